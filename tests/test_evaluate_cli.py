"""The command caffe-gradcam evaluate."""

import json
import os

import cv2
import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

import caffe_gradcam.engines
from caffe_gradcam.commands import cli


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder with a model and six pictures, blue or green in one quarter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(caffe_gradcam.engines, "open_engine", lambda kind, **wanted: FakeEngine())
    write_model(tmp_path / "model")
    boxes = ["path,class,x,y,width,height"]
    (tmp_path / "pictures").mkdir()
    for index in range(6):
        picture = np.random.RandomState(index).randint(0, 20, (16, 16, 3)).astype(np.uint8)
        x, y = 8 * (index % 2), 8 * (index // 3)
        picture[y:y + 8, x:x + 8, index % 2] = 200
        cv2.imwrite(f"pictures/{index}.png", picture)
        boxes.append("{}.png,{},{},{},8,8".format(index, "green" if index % 2 else "azure", x, y))
    (tmp_path / "boxes.csv").write_text("\n".join(boxes))
    return tmp_path


def evaluate(*arguments):
    return cli.main(["evaluate", "model", "--placement", "stretch"] + list(arguments))


def report(capsys, *arguments):
    code = evaluate("--json", *arguments)
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


def test_a_table_and_a_sentence_that_says_what_to_trust(place, capsys):
    code = evaluate("pictures", "--boxes", "boxes.csv", "--methods", "grad-cam,layer-cam", "-q",
                    "--metrics", "deletion,insertion,drop,road,pointing,stability")
    out = capsys.readouterr().out.strip().split("\n")
    assert code == 0
    assert out[0].split()[:4] == ["method", "layer", "gap", "+"]
    assert [line.split()[:2] for line in out[1:7]] == [
        ["grad-cam", "smaller"], ["grad-cam", "small"], ["layer-cam", "smaller"],
        ["layer-cam", "small"], ["random", "(baseline)"], ["centre", "(baseline)"]]
    assert out[-1].startswith("Trust ") and " by insertion minus deletion, 0." in out[-1]


def test_json_holds_what_the_table_shows_and_every_single_map(place, capsys):
    code, found, _ = report(capsys, "pictures", "--boxes", "boxes.csv", "--methods", "grad-cam",
                            "--layer", "small", "--metrics", "deletion,pointing", "--steps", "4")
    assert code == 0
    assert (found["model"], found["engine"]) == ("colours", "fake")
    assert list(found["columns"]) == ["deletion", "pointing", "energy"]
    row = found["rows"][0]
    assert (row["method"], row["layer"], row["cells"]["pointing"]["mean"]) == (
        "grad-cam", "small", 1)
    assert row["cells"]["pointing"]["count"] == 6 and len(row["curves"]["deletion"]) == 5
    assert [one["path"] for one in found["images"]] == [
        os.path.join("pictures", f"{index}.png") for index in range(6)]
    maps = found["images"][1]["maps"]
    assert [(one["class"], one["method"], one["layer"]) for one in maps] == [
        (1, "grad-cam", "small"), (1, "random", None), (1, "centre", None)]
    singles = [one["maps"][0]["values"]["deletion"] for one in found["images"]]
    assert row["cells"]["deletion"]["mean"] == pytest.approx(np.mean(singles))


def test_a_folder_gets_the_report_and_the_curves(place, capsys):
    assert evaluate("pictures", "-q", "--methods", "grad-cam", "-o", "out", "--metrics",
                    "deletion,insertion") == 0
    assert sorted(os.listdir("out")) == ["deletion.png", "evaluate.json", "insertion.png"]
    with open("out/evaluate.json") as file:
        found = json.load(file)
    assert found["verdict"]["text"] in capsys.readouterr().out
    assert cv2.imread("out/deletion.png").shape[2] == 3


def test_without_boxes_the_predicted_class_is_asked_for(place, capsys):
    _, found, _ = report(capsys, "pictures", "--methods", "grad-cam", "--metrics", "deletion")
    assert [one["maps"][0]["class"] for one in found["images"]] == [0, 1] * 3
    assert "pointing" not in found["columns"]


def test_classes_can_be_asked_for(place, capsys):
    _, found, _ = report(capsys, "pictures/0.png", "--methods", "grad-cam", "--metrics",
                         "deletion", "--class", "neither", "--class", "top:2")
    maps = found["images"][0]["maps"]
    assert list(dict.fromkeys(one["class"] for one in maps)) == [2, 0, 1]


def test_a_limit_takes_the_first_images(place, capsys):
    _, found, _ = report(capsys, "pictures", "--limit", "2", "--metrics", "road")
    assert len(found["images"]) == 2


def test_the_same_seed_gives_the_same_report(place, capsys):
    arguments = ["pictures", "--methods", "grad-cam", "--metrics", "road,deletion", "--limit", "3"]
    once, again = (report(capsys, *arguments)[1] for _ in range(2))
    assert once == again != report(capsys, "--seed", "7", *arguments)[1]


def test_the_size_of_the_batch_changes_nothing(place, capsys):
    arguments = ["pictures", "--methods", "grad-cam", "--metrics", "road,stability"]
    first, second = (report(capsys, "--batch", one, *arguments)[1] for one in ("1", "4"))
    assert first["rows"] == second["rows"]


def test_an_image_that_fails_is_a_row_and_exit_code_1(place, capsys):
    (place / "pictures" / "9.png").write_bytes(b"")
    code, found, err = report(capsys, "pictures", "--methods", "grad-cam", "--metrics", "drop")
    assert code == 1
    assert "9.png: the file is empty" in found["images"][6]["error"]
    assert "caffe-gradcam: " in err and "9.png: the file is empty" in err
    assert found["rows"][0]["cells"]["drop"]["count"] == 6


@pytest.mark.parametrize("arguments, said", [
    (["nothing.png", "--metrics", "drop"], "nothing.png: no such file"),
    (["empty"], "empty: no images in this folder"),
    (["pictures", "--methods", "grad-cm"], "did you mean grad-cam"),
    (["pictures", "--methods", "random"], "the baseline, which is there anyway"),
    (["pictures", "--metrics", "deletoin"], "did you mean deletion"),
    (["pictures", "--metrics", "pointing"], "the pointing game wants --boxes"),
    (["pictures", "--boxes", "none.csv"], "none.csv: cannot be read"),
    (["pictures", "--class", "0+1"], "the value of one class"),
    (["pictures", "--class", "yellow"], "yellow"),
    (["pictures", "--crops", "10"], "ten crops"),
    (["other", "--boxes", "boxes.csv"], "has no boxes of any of these images"),
])
def test_what_cannot_be_done_is_said_in_one_line(place, capsys, arguments, said):
    (place / "empty").mkdir()
    (place / "other").mkdir()
    cv2.imwrite("other/x.png", np.zeros((8, 8, 3), np.uint8))
    assert evaluate("-q", *arguments) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--tolerance", "nan"], ["--steps", "0"]])
def test_numbers_that_make_no_sense_are_refused(place, capsys, option):
    with pytest.raises(SystemExit):
        evaluate("pictures", *option)
    assert "error: argument " + option[0] in capsys.readouterr().err


def test_all_methods_are_those_that_the_net_allows(place, models, monkeypatch, capsys):
    from caffe_gradcam.commands.evaluate import _methods
    from caffe_gradcam.explaining.methods import METHODS
    from caffe_gradcam.model.model import Model

    class Options:
        methods = "all"

    pooled = Model.load("model")
    assert set(_methods(Options, pooled)) == set(METHODS) - {"random"}
    text = (place / "model" / "deploy.prototxt").read_text()
    start, end = text.index('layer { name: "pool"'), text.index('layer { name: "score"')
    text = text[:start] + text[end:].replace('bottom: "pool"', 'bottom: "smaller"')
    (place / "model" / "deploy.prototxt").write_text(text)
    assert set(_methods(Options, Model.load("model"))) == set(METHODS) - {"random", "cam"}
