"""The command compare."""

import json

import pytest
from outputs import explanation, items, pets, rows_of, write

from caffe_gradcam.commands import cli

pytest.importorskip("jinja2", reason="jinja2 is not installed here")


@pytest.fixture
def folders(tmp_path):
    """Two batches of the same four images; the second gets one more wrong."""
    before = pets(tmp_path)
    several = items(tmp_path / "pictures", 4)
    rows = [rows_of(several[0], "ok", 0, 0, [explanation(0, (0, 0), 0.9)]),
            rows_of(several[1], "ok", 0, 1, [explanation(1, (4, 4), 0.8)]),
            rows_of(several[2], "ok", 2, 1, [explanation(1, (0, 0), 0.6)]),
            rows_of(several[3], "unreadable", 1, error="not an image")]
    return before, write(tmp_path / "after", several, rows)


def compare(folders, tmp_path, *options):
    return cli.main(["compare", *map(str, folders), "-o", str(tmp_path / "d"), *options])


def test_two_batches_are_compared(folders, tmp_path, capsys):
    assert compare(folders, tmp_path, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values == json.loads((tmp_path / "d" / "compare.json").read_text())
    assert (values["images"], values["changed_images"]) == (4, 1)
    assert values["accuracy_before"] == pytest.approx(2 / 3)
    assert values["accuracy_after"] == pytest.approx(1 / 3)
    assert values["p_value"] == 1
    assert (tmp_path / "d" / "sheet-01.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "d" / "report.html").read_text(encoding="utf-8")
    assert "cat → dog" in page and "McNemar&#39;s test" in page and "answers that changed" in page


@pytest.mark.parametrize("condition, code", [
    ("accuracy_drop > 0.5", 0), ("accuracy_drop > 0.1", 3), ("changed > 0.9 or similarity < 1", 3)])
def test_a_condition_decides_the_exit_code(folders, tmp_path, capsys, condition, code):
    assert compare(folders, tmp_path, "--fail-if", condition, "-q") == code
    assert ("--fail-if is true" in capsys.readouterr().err) == (code == 3)


@pytest.mark.parametrize("options, message", [
    (["--fail-if", "accuracy_dorp > 1"], "there is no accuracy_dorp"),
    (["--fail-if", "'x' > 1"], "not a condition")])
def test_a_condition_is_checked_before_anything_runs(folders, tmp_path, capsys, options, message):
    assert compare(folders, tmp_path, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_model_needs_a_source(folders, tmp_path, models, capsys):
    assert compare([folders[0], models / "digits"], tmp_path) == 2
    assert "give the images to explain with it as SOURCE" in capsys.readouterr().err


def test_batches_of_other_images_are_refused(folders, tmp_path, capsys):
    several = items(tmp_path / "others", 1)
    from dataclasses import replace

    other = write(tmp_path / "other", [replace(several[0], id="x")], [rows_of(several[0], id="x")])
    assert compare([folders[0], other], tmp_path) == 2
    assert "have no image in common" in capsys.readouterr().err


def test_models_explain_the_source_first(tmp_path, models, torch, capsys):
    model = str(models / "digits")
    code = compare([model, model, models / "digits" / "scenes"], tmp_path, "--json",
                   "--engine", "torch", "--fail-if", "changed > 0 or similarity < 0.999")
    assert code == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6


def test_a_configuration_explains_the_source_first(tmp_path, models, torch, capsys):
    model, scenes = str(models / "digits"), models / "digits" / "scenes"
    configurations = [str(tmp_path / "run.yaml"), str(tmp_path / "other.yaml")]
    for configuration, method in zip(configurations, ("grad-cam", "layer-cam")):
        assert cli.main(["explain", model, str(scenes / "2-7.png"), "-o", str(tmp_path / "figures"),
                         "--engine", "torch", "--method", method, "--class", "seven",
                         "--save-config", configuration, "-q"]) == 0
    assert compare([*configurations, scenes], tmp_path, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["images"], values["changed_images"]) == (6, 0)
    manifests = [json.loads((tmp_path / "d" / side / "manifest.json").read_text())
                 for side in ("before", "after")]
    assert [manifest["recipe"]["explaining"]["methods"] for manifest in manifests] == [
        ["grad-cam"], ["layer-cam"]]
    assert all(manifest["recipe"]["asking"]["classes"] == ["seven"] for manifest in manifests)
