"""prototxt-tools on whole folders."""

import json
import os

import pytest

from prototxt_tools.commands.cli import main

NET = """input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
OLD = NET.replace("layer {", "layers {").replace('"InnerProduct"', "INNER_PRODUCT").replace(
    '"Softmax"', "SOFTMAX")


@pytest.fixture
def tree(tmp_path):
    """A folder with two nets, a solver, a damaged file and a file that is no prototxt."""
    folder = tmp_path / "nets"
    (folder / "old").mkdir(parents=True)
    (folder / "a.prototxt").write_text(NET)
    (folder / "old" / "b.prototxt").write_text(OLD)
    (folder / "solver.prototxt").write_text('net: "a.prototxt"\nbase_lr: 0.1\n')
    (folder / "readme.md").write_text("two nets")
    return folder


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(place, name), str(folder))
                  for place, _, names in os.walk(str(folder)) for name in names)


def test_every_net_below_a_folder_is_converted(tree, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["convert", str(tree), "-o", str(out)]) == 0
    assert files_below(out) == ["a.prototxt", os.path.join("old", "b.prototxt")]
    assert "force_backward: true" in (out / "a.prototxt").read_text()
    assert "Softmax" not in (out / "a.prototxt").read_text()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "result", "remark"]
    assert lines[-1] == "2 changed, 1 skipped"


def test_a_refused_file_gives_exit_code_1_and_the_others_go_on(tree, tmp_path, capsys):
    (tree / "broken.prototxt").write_text("layer { name: ")
    assert main(["upgrade", str(tree), "-o", str(tmp_path / "out"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    results = {entry["file"]: entry["result"] for entry in report["files"]}
    assert results == {"a.prototxt": "changed", "broken.prototxt": "refused",
                       os.path.join("old", "b.prototxt"): "changed", "solver.prototxt": "skipped"}
    assert report["counts"] == {"changed": 2, "refused": 1, "skipped": 1}
    assert "broken.prototxt:1:15" in [entry["reason"] for entry in report["files"]][1]


def test_nothing_is_overwritten(tree, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.prototxt").write_text("precious")
    assert main(["convert", str(tree), "-o", str(out)]) == 1
    assert (out / "a.prototxt").read_text() == "precious"
    assert "exists, and nothing is overwritten" in capsys.readouterr().out
    assert main(["convert", str(tree), "-o", str(out)]) == 1


@pytest.mark.parametrize("command", [["deploy"], ["rewrite", "--stock"]])
def test_deploy_and_rewrite_take_folders(command, tree, tmp_path):
    out = tmp_path / "out"
    assert main(command + [str(tree), "-o", str(out)]) == 0
    assert len(files_below(out)) == 2


def test_audit_takes_a_folder(tree, capsys):
    assert main(["audit", str(tree)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 fine, 1 skipped"
    (tree / "code.prototxt").write_text(
        'layer { name: "p" type: "Python" top: "t" python_param { module: "m" layer: "L" } }')
    assert main(["audit", str(tree), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    entry = [entry for entry in report["files"] if entry["file"] == "code.prototxt"][0]
    assert entry["result"] == "findings" and entry["notes"][0].startswith("code: ")


@pytest.mark.parametrize("arguments, problem", [
    ([], "is a folder; give -o FOLDER for the results"),
    (["--in-place"], "--in-place and --diff need a file"),
    (["-o", "{tree}"], "lie within each other"),
    (["-o", "{tree}/out"], "lie within each other"),
    (["-o", "{tree}/readme.md"], "is a file; give -o a folder"),
    (["--backward", "lean", "-o", "x"], "need a file, not a folder"),
])
def test_what_does_not_fit_a_folder_is_refused(arguments, problem, tree, capsys):
    arguments = [argument.format(tree=tree) for argument in arguments]
    assert main(["convert", str(tree)] + arguments) == 2
    assert problem in capsys.readouterr().err


def test_a_folder_without_a_prototxt_is_refused(tmp_path, capsys):
    assert main(["convert", str(tmp_path), "-o", str(tmp_path.parent / "elsewhere")]) == 2
    assert "no file in it ends with .prototxt" in capsys.readouterr().err


def test_links_are_not_followed(tree, tmp_path):
    secret = tmp_path / "secret.prototxt"
    secret.write_text(NET)
    (tree / "link.prototxt").symlink_to(secret)
    (tree / "loop").symlink_to(tree)
    out = tmp_path / "out"
    assert main(["convert", str(tree), "-o", str(out)]) == 0
    assert "link.prototxt" not in files_below(out) and len(files_below(out)) == 2
