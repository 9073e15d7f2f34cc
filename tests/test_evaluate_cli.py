"""The command caffe-gradcam evaluate."""

import json
import os

import cv2
import numpy as np
import pytest
from cases import path_of
from fake_engine import FakeEngine, write_model

from caffe_gradcam.commands import cli
from caffe_gradcam.explaining import explainer


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder with a model and six pictures, blue or green in one quarter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explainer, "open_engine", lambda net, running: FakeEngine())
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
    code = evaluate("pictures", "--boxes", "boxes.csv", "--method", "grad-cam,layer-cam", "-q",
                    "--metrics", "deletion,insertion,drop,road,pointing,stability")
    out = capsys.readouterr().out.strip().split("\n")
    assert code == 0
    assert out[0].split()[:4] == ["method", "layer", "gap", "+"]
    assert [line.split()[:2] for line in out[1:7]] == [
        ["grad-cam", "smaller"], ["grad-cam", "small"], ["layer-cam", "smaller"],
        ["layer-cam", "small"], ["random", "(baseline)"], ["centre", "(baseline)"]]
    assert out[-1].startswith("Trust ") and " by insertion minus deletion, 0." in out[-1]


def test_json_holds_what_the_table_shows_and_every_single_map(place, capsys):
    code, printed, _ = report(capsys, "pictures", "--boxes", "boxes.csv", "--method", "grad-cam",
                            "--layer", "small", "--metrics", "deletion,pointing", "--steps", "4")
    assert code == 0
    assert (printed["model"], printed["engine"]) == ("colours", "fake")
    assert list(printed["columns"]) == ["deletion", "pointing", "energy"]
    row = printed["rows"][0]
    assert (row["method"], row["layer"], row["cells"]["pointing"]["mean"]) == (
        "grad-cam", "small", 1)
    assert row["cells"]["pointing"]["count"] == 6 and len(row["curves"]["deletion"]) == 5
    assert [image["path"] for image in printed["images"]] == [
        os.path.join("pictures", f"{index}.png") for index in range(6)]
    maps = printed["images"][1]["maps"]
    assert [(entry["class"], entry["method"], entry["layer"]) for entry in maps] == [
        (1, "grad-cam", "small"), (1, "random", None), (1, "centre", None)]
    singles = [image["maps"][0]["values"]["deletion"] for image in printed["images"]]
    assert row["cells"]["deletion"]["mean"] == pytest.approx(np.mean(singles))


def test_a_folder_gets_the_report_and_the_curves(place, capsys):
    assert evaluate("pictures", "-q", "--method", "grad-cam", "-o", "out", "--metrics",
                    "deletion,insertion") == 0
    assert sorted(os.listdir("out")) == ["deletion.png", "evaluate.json", "insertion.png"]
    with open("out/evaluate.json") as file:
        printed = json.load(file)
    assert printed["verdict"]["text"] in capsys.readouterr().out
    assert len(printed["prototxt_sha256"]) == len(printed["weights_sha256"]) == 64
    assert cv2.imread("out/deletion.png").shape[2] == 3


def test_without_boxes_the_predicted_class_is_asked_for(place, capsys):
    _, printed, _ = report(capsys, "pictures", "--method", "grad-cam", "--metrics", "deletion")
    assert [image["maps"][0]["class"] for image in printed["images"]] == [0, 1] * 3
    assert "pointing" not in printed["columns"]


def test_classes_can_be_asked_for(place, capsys):
    _, printed, _ = report(capsys, "pictures/0.png", "--method", "grad-cam", "--metrics",
                         "deletion", "--class", "neither", "--class", "top:2")
    maps = printed["images"][0]["maps"]
    assert list(dict.fromkeys(entry["class"] for entry in maps)) == [2, 0, 1]


def test_a_limit_takes_the_first_images(place, capsys):
    _, printed, _ = report(capsys, "pictures", "--limit", "2", "--metrics", "road")
    assert len(printed["images"]) == 2


def test_the_same_seed_gives_the_same_report(place, capsys):
    arguments = ["pictures", "--method", "grad-cam", "--metrics", "road,deletion", "--limit", "3"]
    once, again = (report(capsys, *arguments)[1] for _ in range(2))
    assert once == again != report(capsys, "--seed", "7", *arguments)[1]


def test_the_size_of_the_batch_changes_nothing(place, capsys):
    arguments = ["pictures", "--method", "grad-cam", "--metrics", "road,stability"]
    first, second = (report(capsys, "--batch", size, *arguments)[1] for size in ("1", "4"))
    assert first["rows"] == second["rows"]


def test_an_image_that_fails_is_a_row_and_exit_code_1(place, capsys):
    (place / "pictures" / "9.png").write_bytes(b"")
    code, printed, err = report(capsys, "pictures", "--method", "grad-cam", "--metrics", "drop")
    assert code == 1
    assert "9.png: the file is empty" in printed["images"][6]["error"]
    assert "caffe-gradcam: " in err and "9.png: the file is empty" in err
    assert printed["rows"][0]["cells"]["drop"]["count"] == 6


@pytest.mark.parametrize("arguments, message", [
    (["nothing.png", "--metrics", "drop"], "nothing.png: no such file"),
    (["empty"], "empty: there are no images in this folder"),
    (["pictures", "--method", "grad-cm"], "did you mean grad-cam"),
    (["pictures", "--method", "random"], "only the random baseline, which is always measured"),
    (["pictures", "--metrics", "deletoin"], "did you mean deletion"),
    (["pictures", "--metrics", "pointing"], "the metric pointing needs --boxes"),
    (["pictures", "--boxes", "none.csv"], "none.csv: no such file"),
    (["pictures", "--class", "0+1"], "the value of one class"),
    (["pictures", "--class", "yellow"], "yellow"),
    (["pictures", "--crops", "10"], "ten crops"),
    (["other", "--boxes", "boxes.csv"], "has no boxes of any of these images"),
])
def test_unusable_input_is_explained_in_one_line(place, capsys, arguments, message):
    (place / "empty").mkdir()
    (place / "other").mkdir()
    cv2.imwrite("other/x.png", np.zeros((8, 8, 3), np.uint8))
    assert evaluate("-q", *arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--tolerance", "nan"], ["--steps", "0"]])
def test_numbers_that_make_no_sense_are_refused(place, capsys, option):
    with pytest.raises(SystemExit):
        evaluate("pictures", *option)
    assert "error: argument " + option[0] in capsys.readouterr().err


def test_all_methods_are_those_that_the_net_allows(place):
    from caffe_gradcam.commands.evaluate import allowed_methods
    from caffe_gradcam.explaining.methods import METHODS
    from caffe_gradcam.model.model import LoadedModel

    assert set(allowed_methods(LoadedModel.load("model"))) == set(METHODS)
    text = (place / "model" / "deploy.prototxt").read_text()
    start, end = text.index('layer { name: "pool"'), text.index('layer { name: "score"')
    text = text[:start] + text[end:].replace('bottom: "pool"', 'bottom: "smaller"')
    (place / "model" / "deploy.prototxt").write_text(text)
    assert set(allowed_methods(LoadedModel.load("model"))) == set(METHODS) - {"cam"}


def test_methods_may_be_repeated_and_a_configuration_names_them(place, capsys):
    arguments = ["pictures", "--limit", "2", "--metrics", "deletion"]
    _, twice, _ = report(capsys, *arguments, "--method", "grad-cam", "--method", "layer-cam",
                         "--save-config", "run.yaml")
    _, again, _ = report(capsys, *arguments, "--config", "run.yaml")
    assert twice["rows"] == again["rows"]
    assert {row["method"] for row in twice["rows"]} == {
        "grad-cam", "layer-cam", "random", "centre"}


def test_a_class_is_measured_at_the_step_that_is_named(capsys, torch, tmp_path):
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.random.RandomState(0).randint(0, 255, (40, 52, 3)))
    answers = []
    for question in (["--class", "1", "--step", "2"], ["--class", "1 at step 2"],
                     ["--class", "1 at step 0"]):
        assert cli.main(["evaluate", path_of("timefirst"), str(picture), "--json", "--engine",
                         "torch", "--method", "grad-cam", "--metrics", "deletion", "--steps", "3",
                         "--mean", "none", *question]) == 0
        answers.append(json.loads(capsys.readouterr().out)["images"])
    assert answers[0] == answers[1] != answers[2]
