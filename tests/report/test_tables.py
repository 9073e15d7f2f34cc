"""What other tools read of a batch."""

import csv
import io
import json

import numpy as np
import pytest
from outputs import explanation, items, pets, rows_of, write

from caffe_gradcam.commands import cli
from caffe_gradcam.report import tables
from caffe_gradcam.report.output import Output


def one_image(tmp_path, *explanations, **fields):
    several = items(tmp_path / "pictures", 1)
    rows = [rows_of(several[0], "ok", 0, 0, list(explanations) or None, **fields)]
    return Output(str(write(tmp_path / "out", several, rows)))


def read_csv(data):
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def test_csv_has_a_row_for_each_map_and_for_each_image_without(tmp_path):
    rows = read_csv(tables.to_csv(Output(str(pets(tmp_path)))))
    assert [(row["item"], row["question"], row["status"]) for row in rows] == [
        ("0", "0 cat", "ok"), ("0", "1 dog", "ok"), ("1", "0 cat", "ok"), ("1", "1 dog", "ok"),
        ("2", "1 dog", "ok"), ("2", "2 owl", "ok"), ("3", "", "unreadable")]
    assert (rows[0]["score"], rows[0]["class_name"], rows[3]["true_label"]) == ("4.5", "cat", "0")
    assert rows[6]["error"] == "not an image"


@pytest.mark.parametrize("text", [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C x'!A0"])
def test_no_text_in_a_csv_is_a_formula(tmp_path, text):
    output = one_image(tmp_path, explanation(0, names=(text,)), id=text, path=text, note=text)
    row, = read_csv(tables.to_csv(output))
    assert row["id"] == row["path"] == row["class_name"] == "'" + text
    assert row["question"] == "0 " + text and row["score"] == "4.5"


def test_commas_quotes_and_lines_stay_in_their_cells(tmp_path):
    name = 'a,"b"\nc;d'
    row, = read_csv(tables.to_csv(one_image(tmp_path, explanation(0, names=(name,)))))
    assert row["class_name"] == name


def test_a_frame_has_the_same_rows(tmp_path):
    pytest.importorskip("pandas", reason="pandas is not installed here")
    frame = tables.to_frame(Output(str(pets(tmp_path))))
    assert list(frame.columns) == list(tables.COLUMNS) and len(frame) == 7
    assert frame["class"].tolist()[:2] == [0, 1] and str(frame["predicted"].dtype) == "Int64"
    assert frame["predicted"].isna().tolist() == [False] * 6 + [True]
    right = frame[frame["true_label"] == frame["predicted"]]
    assert sorted(set(right["item"])) == [0, 1]


@pytest.mark.parametrize("segments", tables.SEGMENTS)
def test_coco_is_read_by_its_own_library(tmp_path, segments):
    coco_library = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    mask_library = pytest.importorskip("pycocotools.mask")
    output = one_image(tmp_path, explanation(1, (2, 2)), explanation(0, (0, 0)))
    (tmp_path / "coco.json").write_bytes(tables.to_coco(output, 0.5, segments))
    coco = coco_library.COCO(str(tmp_path / "coco.json"))
    assert coco.loadCats([0, 1, 2]) == [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"},
                                        {"id": 2, "name": "owl"}]
    image, = coco.loadImgs(coco.getImgIds())
    assert (image["height"], image["width"]) == (60, 80)
    annotation, = coco.loadAnns(coco.getAnnIds(catIds=[1]))
    hot = explanation(1, (2, 2)).heatmap >= 0.5
    assert annotation["area"] == hot.sum() and annotation["score"] == pytest.approx(0.9)
    mask = coco.annToMask(annotation)
    assert (mask.astype(bool) == hot).mean() > (0.995 if segments == "polygons" else 0.99999)
    assert mask_library.toBbox(coco.annToRLE(annotation)).tolist() == pytest.approx(
        annotation["bbox"], abs=1)


def test_a_polygon_runs_along_the_edges_of_the_pixels(tmp_path):
    document = json.loads(tables.to_coco(one_image(tmp_path, explanation(0)), 0.999).decode())
    annotation, = document["annotations"]
    xs, ys = np.array(annotation["segmentation"][0]).reshape(-1, 2).T
    x, y, width, height = annotation["bbox"]
    assert xs.min() == pytest.approx(x, abs=0.3) and ys.min() == pytest.approx(y, abs=0.3)
    assert xs.max() == pytest.approx(x + width, abs=0.3)
    assert ys.max() == pytest.approx(y + height, abs=0.3)


@pytest.mark.parametrize("mask, counts", [
    ([[0, 1], [0, 1]], [2, 2]), ([[1, 0], [0, 0]], [0, 1, 3]), ([[0, 0], [0, 0]], [4]),
    ([[0, 0], [1, 1]], [1, 1, 1, 1])])
def test_run_lengths_go_down_the_columns_and_begin_with_zeros(mask, counts):
    assert tables.run_lengths(np.array(mask, np.uint8)) == {"size": [2, 2], "counts": counts}


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    output = one_image(tmp_path, explanation(0), explanation(1))
    part = tmp_path / "out" / "parts" / "part-000000.jsonl"
    part.write_text(part.read_text().replace("conv5", "conv6"))
    assert json.loads(tables.to_coco(output).decode())["annotations"] == []
    assert "this file is damaged" in output.problems[0]


def test_the_command_writes_both(tmp_path):
    folder = pets(tmp_path)
    code = cli.main(["report", str(folder), "--csv", str(tmp_path / "a.csv"), "--coco",
                     str(tmp_path / "b" / "c.json")])
    assert code == 0 and len(read_csv((tmp_path / "a.csv").read_bytes())) == 7
    assert len(json.loads((tmp_path / "b" / "c.json").read_text())["images"]) == 3


def test_explanations_give_a_frame(models, torch):
    pytest.importorskip("pandas", reason="pandas is not installed here")
    from caffe_gradcam import Model

    with Model.load(str(models / "digits")) as model:
        frame = model.explain(str(models / "digits" / "scenes" / "2-7.png"), "top:2",
                              engine="torch").to_frame()
    assert frame["class_name"].tolist() == ["two", "seven"]
    assert frame["cam"][0].shape == (24, 24) and frame["status"].tolist() == ["ok", "ok"]
