"""The command ``prototxt-tools convert``, as a user runs it."""

import subprocess
import sys

import pytest

NET = 'name: "n"\nlayer { name: "fc" type: "InnerProduct" bottom: "d" top: "fc" }\n'
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }\n'
CONVERTED = NET.replace("\n", "\nforce_backward: true\n", 1)


def convert(*arguments, **options):
    command = [sys.executable, "-m", "prototxt_tools", "convert"] + [str(a) for a in arguments]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=options.get("input")
    )
    return result.returncode, result.stdout.decode(), result.stderr.decode()


@pytest.fixture
def deploy(tmp_path):
    path = tmp_path / "deploy.prototxt"
    path.write_text(NET + SOFTMAX)
    return path


def test_writes_to_stdout_by_default(deploy):
    assert convert(deploy)[:2] == (0, CONVERTED)
    assert convert(deploy, "-o", "-")[:2] == (0, CONVERTED)


def test_reads_standard_input():
    assert convert("-", input=(NET + SOFTMAX).encode())[:2] == (0, CONVERTED)


def test_writes_a_file_and_notes_what_was_done(deploy, tmp_path):
    code, output, notes = convert(deploy, "-o", tmp_path / "out.prototxt")
    assert (code, output) == (0, "")
    assert (tmp_path / "out.prototxt").read_text() == CONVERTED
    assert notes == "removed Softmax prob (line 3)\nadded force_backward: true\n"
    assert deploy.read_text() == NET + SOFTMAX


def test_in_place_keeps_a_backup_and_a_second_run_changes_nothing(deploy, tmp_path):
    assert convert(deploy, "--in-place")[0] == 0
    assert deploy.read_text() == CONVERTED
    assert convert(deploy, "--in-place")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deploy.prototxt", "deploy.prototxt.bak"]
    assert (tmp_path / "deploy.prototxt.bak").read_text() == NET + SOFTMAX


def test_an_older_backup_is_never_lost(deploy, tmp_path):
    convert(deploy, "--in-place")
    deploy.write_text(NET)
    convert(deploy, "--in-place")
    assert (tmp_path / "deploy.prototxt.bak").read_text() == NET + SOFTMAX
    assert (tmp_path / "deploy.prototxt.bak2").read_text() == NET


def test_diff_shows_the_change_and_writes_nothing(deploy):
    code, output, _ = convert(deploy, "--diff")
    assert code == 0
    assert "\n+force_backward: true\n" in output and "\n-" + SOFTMAX in output
    assert deploy.read_text() == NET + SOFTMAX


def test_lean_names_the_blobs_it_found(tmp_path):
    import definitions

    path = tmp_path / "lenet.prototxt"
    path.write_text(definitions.lenet())
    code, output, notes = convert(path, "--backward", "lean")
    assert code == 0
    assert "score blob ip2" in notes and "target blob conv2" in notes
    assert "loss_weight: 1" in output and "force_backward" not in output
    assert convert(path, "--backward", "lean", "--layer", "conv1")[1].count("lr_mult: 0") == 6


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "net.prototxt:1:1: the file is empty"),
        (b"net: 'x'\nbase_lr: 0.1\n", "net.prototxt:1:1: a solver, not a net"),
        (b"<html><body>Not found</body></html>", "net.prototxt:1:1: a web page"),
        (b"layer {\n  name: \"a\"\n  top:", "net.prototxt:3:7: expected a value for top"),
        (b"\x0a\x09CaffeNet\x12\x00", "net.prototxt:1:1: a binary file of Caffe, such as weights"),
    ],
    ids=["empty", "solver", "html", "truncated", "binary"],
)
def test_what_is_no_net_gets_one_sentence_and_no_output(tmp_path, content, problem):
    path = tmp_path / "net.prototxt"
    path.write_bytes(content)
    code, output, message = convert(path, "-o", tmp_path / "out.prototxt")
    assert (code, output) == (2, "")
    assert problem in message and message.count("\n") == 1
    assert not (tmp_path / "out.prototxt").exists()


def test_an_unwritable_output_is_one_sentence(deploy, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, message = convert(deploy, "-o", tmp_path / "file" / "out.prototxt")
    assert code == 2
    assert "cannot be written" in message.splitlines()[-1]


def test_help_teaches_with_examples():
    code, output, _ = convert("--help")
    assert code == 0
    assert "prototxt-tools convert deploy.prototxt -o gradcam.prototxt" in output
