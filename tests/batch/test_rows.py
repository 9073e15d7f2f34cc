"""What a batch writes: rows, parts and the manifest."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest
from tables import column, explain, picture, pictures, plan_of, recipe, table

from caffe_gradcam.batch.output import parts, status
from caffe_gradcam.batch.output.columns import of_rows
from caffe_gradcam.batch.output.rows import COLUMNS, pack, to_explanation, unpack
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.pictures.figures import FigureOptions
from prototxt_tools.errors import InputError


def test_a_row_says_all_about_an_image_and_a_class(model, tmp_path, written_as):
    path = picture(tmp_path / "in" / "blue.png", blue=150)
    explain(model, tmp_path / "in", tmp_path / "out", classes=["green"],
            figures=FigureOptions(heat_boxes=0.5))
    row, = table(tmp_path / "out")
    assert list(row) == list(COLUMNS)
    cam = row.pop("cam")
    # A quarter is 190, three quarters are 150; a hundredth of that. Green is 130 and 90.
    assert row == {
        "item": 0, "id": "blue.png", "path": str(path), "status": "ok", "error": None, "note": None,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "true_label": None, "predicted": 0,
        "question": "1 green", "class": 1, "class_name": "green", "step": None, "prior": None,
        "roi": None, "score": pytest.approx(1.0),
        "probability": pytest.approx(1 / (1 + np.exp(0.6) + np.exp(-3.6))),
        "method": "grad-cam", "layer": "smaller", "cam_shape": [2, 2],
        "cam_scale": pytest.approx(0.325), "positive_mass": pytest.approx(1.0),
        "negative_mass": 0.0, "input": "data", "image_size": [12, 16],
        "rectangle": [0.0, 0.0, 16.0, 12.0], "placement": [0.25, 0.5, 0.25, 0.5],
        "box": None, "heat_boxes": [[0, 0, 16, 12]], "detected_box": None,
        "sentence": None, "words": None, "word_relevances": None, "frames": None,
    }
    assert np.frombuffer(cam, "<f2").tolist() == pytest.approx([1, 9 / 13, 9 / 13, 9 / 13], 1e-3)


def test_each_class_of_an_image_has_a_row_and_an_image_that_fails_has_one(model, tmp_path,
                                                                           written_as):
    pictures(tmp_path / "in", 2)
    (tmp_path / "in" / "0002.jpg").write_text("no image")
    explain(model, tmp_path / "in", tmp_path / "out", classes=["top:2"])
    rows = table(tmp_path / "out", ["item", "status", "class", "error"])
    assert [(row["item"], row["status"], row["class"]) for row in rows] == [
        (0, "ok", 0), (0, "ok", 1), (1, "ok", 1), (1, "ok", 0), (2, "unreadable", None)]
    assert "0002.jpg: not an image that OpenCV can read" in rows[4]["error"]


def test_a_map_where_nothing_speaks_for_the_class_is_empty(model, tmp_path):
    picture(tmp_path / "in" / "a.png")
    explain(model, tmp_path / "in", tmp_path / "out", classes=["neither"])
    row, = table(tmp_path / "out")
    assert (row["status"], row["positive_mass"]) == ("empty", 0)
    assert row["negative_mass"] == pytest.approx(2.0)  # 1 of blue and 1 of green


def test_maps_keep_eleven_bits_however_small_or_large_their_values_are():
    for scale in (1e-30, 1e-6, 1.0, 1e20):
        cam = np.float32([[1, -0.3], [0.01, 0]]) * np.float32(scale)
        data, factor = pack(cam)
        again = unpack({"cam": data, "cam_shape": [2, 2], "cam_scale": factor})
        np.testing.assert_allclose(again, cam, rtol=2.0 ** -11)
    assert pack(np.zeros((1, 2), np.float32)) == (b"\0\0\0\0", 0.0)


def test_an_explanation_can_be_made_of_its_row_again(model, tmp_path):
    picture(tmp_path / "in" / "a.png", blue=150)
    explain(model, tmp_path / "in", tmp_path / "out")
    one = to_explanation(table(tmp_path / "out")[0])
    assert one.question == "0 blue, azure" and one.geometry.image_size == (12, 16)
    assert one.heatmap.shape == (12, 16)
    assert one.heatmap[0, 0] == 1 and one.heatmap[-1, -1] == pytest.approx(15 / 19, abs=1e-3)


def test_the_manifest_says_what_the_rows_were_made_of(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CAFFE_GRADCAM_IMAGE_DIGEST", "sha256:0123")
    pictures(tmp_path / "in", 7)
    explain(model, tmp_path / "in", tmp_path / "out", command=("caffe-gradcam", "batch"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    digest = hashlib.sha256((model / "deploy.prototxt").read_bytes()).hexdigest()
    assert manifest["rows_depend_on"]["prototxt_sha256"] == digest
    assert manifest["rows_depend_on"]["weights_sha256"] == hashlib.sha256(b"").hexdigest()
    assert (manifest["items"], manifest["part_sizes"], manifest["part_size"]) == (7, [6, 1], 6)
    assert manifest["counts"] == {"ok": 7, "empty": 0, "unreadable": 0, "failed": 0, "rows": 7}
    assert Recipe.from_dict(manifest["recipe"]) == dataclasses.replace(
        recipe(model), running=dataclasses.replace(recipe(model).running, isolated=False))
    run, = manifest["runs"]
    assert run["engines"] == [{"engine": "fake", "version": "1", "device": "cpu"}]
    assert run["command"] == ["caffe-gradcam", "batch"]
    assert set(run["versions"]) == {
        "caffe-gradcam", "python", "numpy", "opencv", "pyarrow", "torch", "openvino", "driver",
        "os", "processor", "image_digest"}
    assert run["versions"]["opencv"] == cv2.__version__
    assert run["versions"]["image_digest"] == "sha256:0123"


def test_parts_are_numbered_and_hold_as_many_images_as_asked_for(model, tmp_path):
    pictures(tmp_path / "in", 14)
    explain(model, tmp_path / "in", tmp_path / "out")
    names = {one.stem for one in (tmp_path / "out" / "parts").iterdir()}
    assert sorted(names) == ["part-000000", "part-000001", "part-000002"]
    assert column(tmp_path / "out", "item") == list(range(14))
    assert [len(plan_of(tmp_path / "out").items(part)) for part in range(3)] == [6, 6, 2]


def test_verify_finds_a_damaged_part(model, tmp_path, written_as):
    pictures(tmp_path / "in", 7)
    explain(model, tmp_path / "in", tmp_path / "out")
    plan = plan_of(tmp_path / "out")
    assert status.problems(plan) == []
    part, = (tmp_path / "out" / "parts").glob("part-000001.[pj]*")
    part.write_bytes(part.read_bytes()[:-20])
    problem, = status.problems(plan)
    assert "part-000001" in problem and "is damaged" in problem


def test_verify_finds_a_part_of_other_images(model, tmp_path, written_as):
    pictures(tmp_path / "in", 12)
    explain(model, tmp_path / "in", tmp_path / "out")
    plan = plan_of(tmp_path / "out")
    parts.write(plan, 1, of_rows(parts.read(plan, 0), list(COLUMNS)), replaces=True)
    assert status.problems(plan_of(tmp_path / "out")) == [
        "part 1: its rows are not those of the 6 images of its list"]


def test_an_item_of_an_unknown_class_fails_alone(model, tmp_path):
    pictures(tmp_path / "in", 3)
    (tmp_path / "in.csv").write_text(
        "path,class,label\nin/0000.png,green,blue\nin/0001.png,red,\nin/0002.png,,violet\n")
    explain(model, tmp_path / "in.csv", tmp_path / "out")
    rows = table(tmp_path / "out")
    assert [row["status"] for row in rows] == ["ok", "failed", "failed"]
    assert (rows[0]["class"], rows[0]["true_label"], rows[0]["predicted"]) == (1, 0, 0)
    assert "red" in rows[1]["error"] and "violet" in rows[2]["error"]


def test_a_box_is_the_part_of_the_picture_that_is_asked_about(model, tmp_path):
    picture(tmp_path / "in" / "a.png", blue=100, green=100, size=(16, 16))
    (tmp_path / "in.jsonl").write_text(
        '{"path": "in/a.png", "box": [8, 8, 8, 8]}\n{"path": "in/a.png", "box": "20,0,8,8"}\n')
    explain(model, tmp_path / "in.jsonl", tmp_path / "out")
    inside, outside = table(tmp_path / "out")
    assert inside["score"] == pytest.approx(1.0)  # the darker quarter alone
    assert (inside["image_size"], inside["rectangle"]) == ([16, 16], [8.0, 8.0, 16.0, 16.0])
    assert to_explanation(inside).heatmap[:8].max() == 0
    assert outside["status"] == "unreadable"
    assert "the box 20,0,8,8 lies outside the image of 16x16" in outside["error"]


def test_an_output_of_another_question_is_not_gone_on_with(model, tmp_path):
    pictures(tmp_path / "in", 2)
    explain(model, tmp_path / "in", tmp_path / "out")
    with pytest.raises(InputError, match="was started with asking {}, not"):
        explain(model, tmp_path / "in", tmp_path / "out", classes=["green"])
    with pytest.raises(InputError, match="was started with part size 6, not 5"):
        explain(model, tmp_path / "in", tmp_path / "out", part_size=5)


def test_without_resume_an_output_is_made_anew(model, tmp_path):
    pictures(tmp_path / "in", 8)
    explain(model, tmp_path / "in", tmp_path / "out")
    summary = explain(model, tmp_path / "in", tmp_path / "out", classes=["green"],
                      limit=3, resume=False)
    assert summary.counts["ok"] == 3
    assert column(tmp_path / "out", "class") == [1, 1, 1]
