"""Nets with several inputs, on the command line: an image for each, and several sets of images."""

import json
import os

import cv2
import numpy as np
import pytest
from definitions import Builder, write_model

from caffe_gradcam import Model
from caffe_gradcam.commands import cli
from prototxt_tools.errors import ImageError

pytest.importorskip("torch", reason="torch is not installed here")

LEVELS = {"dark": 40, "light": 220, "middle": 120}


@pytest.fixture
def siamese(tmp_path, monkeypatch):
    """The current folder, with a net of two inputs and images of three levels of grey."""
    monkeypatch.chdir(tmp_path)
    b = Builder("siamese", (1, 3, 8, 8))
    b.lines.append("""layer { name: "other" type: "Input" top: "other"
        input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }""")
    left = b.conv_relu("conv_l", "data", 2, 3)
    right = b.conv_relu("conv_r", "other", 2, 3)
    b.fc("score", b.layer("Concat", "both", [b.fc("fc_l", left, 2), b.fc("fc_r", right, 2)]), 2)
    (tmp_path / "model").mkdir()
    write_model(tmp_path / "model", b.text())
    for name, level in LEVELS.items():
        image = np.full((10, 12, 3), level, np.uint8)
        image[:5, :6] = 255 - level
        cv2.imwrite(name + ".png", image)
    return tmp_path


def explain(capsys, *images, folder="out"):
    """The exit code, the report's entry for each set of images, and stderr."""
    code = cli.main(["explain", "model", *images, "-o", folder, "--json", "--engine", "torch"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["images"] if captured.out else [], captured.err


PAIRS = ["data=dark.png", "other=middle.png", "data=light.png", "other=middle.png"]


def test_every_pair_is_explained_in_order(siamese, capsys):
    code, rows, _ = explain(capsys, *PAIRS)
    assert code == 0
    assert [row["path"] for row in rows] == ["dark.png middle.png", "light.png middle.png"]
    alone = [explain(capsys, *PAIRS[:2])[1][0], explain(capsys, *PAIRS[2:])[1][0]]
    for row, single in zip(rows, alone):
        assert row["top"][0]["score"] == pytest.approx(single["top"][0]["score"], rel=1e-5)


def test_two_pairs_with_one_reference_write_figures_of_different_names(siamese, capsys):
    _, rows, _ = explain(capsys, *PAIRS)
    figures = [entry["figure"] for row in rows for entry in row["explanations"]]
    assert len(set(figures)) == 4 == len(os.listdir("out"))
    assert os.path.basename(figures[0]).startswith("dark+middle.data.class-")


@pytest.mark.parametrize("images, sentence", [
    (["dark.png"], "needs an image for each: data=IMAGE other=IMAGE, not dark.png"),
    (["data=dark.png"], "there are 1 for data, 0 for other"),
    (PAIRS[:3], "there are 2 for data, 1 for other"),
    (["data=dark.png", "third=dark.png"], "not third=dark.png"),
])
def test_without_an_image_for_each_input_nothing_is_explained(siamese, capsys, images, sentence):
    code, rows, err = explain(capsys, *images)
    assert code == 2 and not rows and sentence in err and "Traceback" not in err


def test_python_refuses_one_image_for_all_inputs(siamese):
    with Model.load("model") as model:
        with pytest.raises(ImageError, match="an image for each: {'data': image, 'other': image}"):
            model.explain("dark.png", engine="torch")
        maps = model.explain({"data": "dark.png", "other": "middle.png"}, engine="torch")
    assert [explanation.input for explanation in maps] == ["data", "other"]


@pytest.fixture
def table(siamese):
    """pairs.csv in a folder of its own, with paths from there."""
    (siamese / "lists").mkdir()
    (siamese / "lists" / "pairs.csv").write_text(
        "data,other,class\n../dark.png,../middle.png,1\n../light.png,../middle.png,0\n")
    return "lists/pairs.csv"


def test_a_table_has_a_column_for_each_input(table, capsys):
    code, rows, _ = explain(capsys, table)
    expected = explain(capsys, *PAIRS, folder="expected")[1]
    assert code == 0
    assert [row["explanations"][0]["class"] for row in rows] == [1, 0]
    assert [row["top"][0]["score"] for row in rows] == pytest.approx(
        [row["top"][0]["score"] for row in expected], rel=1e-5)


def test_a_batch_reads_the_same_table(table, capsys):
    from caffe_gradcam.batch.output import parts
    from caffe_gradcam.batch.output.plan import Plan
    from caffe_gradcam.batch.storage import open_folder

    expected = explain(capsys, table)[1]
    assert cli.main(["batch", "model", table, "-o", "out2", "-q", "--engine", "torch",
                     "--overlays", "all"]) == 0
    rows = parts.read(Plan.open(open_folder("out2")), 0)
    assert [(row["item"], row["input"], row["class"]) for row in rows] == [
        (0, "data", 1), (0, "other", 1), (1, "data", 0), (1, "other", 0)]
    assert [row["score"] for row in rows] == pytest.approx(
        [entry["score"] for row in expected for entry in row["explanations"]], rel=1e-5)
    assert len(os.listdir("out2/overlays/part-000000")) == 4


def test_a_batch_of_a_folder_is_refused(siamese, capsys):
    assert cli.main(["batch", "model", ".", "-o", "out2", "-q", "--engine", "torch"]) == 2
    assert ("the net has several inputs; give a .csv, .tsv, .jsonl or .parquet with a column of "
            "paths for each: data, other") in capsys.readouterr().err


def test_a_table_without_the_column_of_an_input_is_refused(siamese, capsys):
    (siamese / "pairs.csv").write_text("data,path\ndark.png,light.png\n")
    code, _, err = explain(capsys, "pairs.csv")
    assert code == 2 and "pairs.csv: the first line names no column other" in err
