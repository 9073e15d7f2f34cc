"""Boxes around the hot parts of a heatmap, and the tables they are written to."""

import csv
import json
import os

import numpy as np
import pytest

from caffe_gradcam.pictures import boxes
from caffe_gradcam.pictures.boxes import Box
from prototxt_tools.errors import InputError

# Two hot parts and a faint pixel.
HEAT = np.float32([
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.1],
    [0.0, 0.5, 0.7, 0.0, 0.0, 0.0],
    [0.0, 0.6, 0.0, 0.0, 0.0, 1.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.8],
])
LEFT = Box(1, 1, 2, 2, pytest.approx(0.7), pytest.approx(0.6), 3)
RIGHT = Box(5, 2, 1, 2, 1.0, pytest.approx(0.9), 2)


def test_each_connected_part_has_a_box_the_hottest_first():
    assert boxes.find(HEAT, 0.5) == [RIGHT, LEFT]


def test_the_threshold_is_a_part_of_the_maximum():
    assert boxes.find(HEAT, 0.75) == [RIGHT]
    assert boxes.find(HEAT * 8, 0.75) == [Box(5, 2, 1, 2, 8.0, pytest.approx(7.2), 2)]
    assert boxes.find(HEAT, 1) == [Box(5, 2, 1, 1, 1.0, 1.0, 1)]


def test_a_pixel_that_just_reaches_the_threshold_counts():
    heat = np.float32([[0, 0.25, 0.2, 0.5]])
    assert [(box.x, box.width) for box in boxes.find(heat, 0.5)] == [(3, 1), (1, 1)]


def test_small_parts_are_left_out():
    # The picture has 24 pixels, the parts 3 and 2.
    assert boxes.find(HEAT, 0.5, least_area=2.5 / 24) == [LEFT]
    assert boxes.find(HEAT, 0.5, least_area=3 / 24.0) == [LEFT]
    assert boxes.find(HEAT, 0.5, least_area=4 / 24.0) == []


def test_specks_have_no_boxes_unless_they_are_asked_for():
    heat = np.zeros((100, 100), np.float32)
    heat[:3, :3] = 1
    assert boxes.find(heat) == []
    assert [box.area for box in boxes.find(heat, least_area=0)] == [9]
    heat[:5, :2] = 1
    assert [box.area for box in boxes.find(heat)] == [13]


def test_parts_that_touch_at_a_corner_are_one():
    box, = boxes.find(np.eye(5, dtype=np.float32), 0.5)
    assert box == Box(0, 0, 5, 5, 1.0, 1.0, 5)


def test_of_equally_hot_parts_the_largest_goes_first():
    heat = np.float32([[1, 0, 1, 1, 0, 1]])
    assert [(box.x, box.width) for box in boxes.find(heat, 0.5)] == [(2, 2), (0, 1), (5, 1)]


def test_a_part_inside_anothers_box_has_its_own_heat():
    heat = np.full((5, 5), 0.6, np.float32)
    heat[1:4, 1:4] = 0
    heat[2, 2] = 1
    inner, ring = boxes.find(heat, 0.5)
    assert inner == Box(2, 2, 1, 1, 1.0, 1.0, 1)
    assert ring == Box(0, 0, 5, 5, pytest.approx(0.6), pytest.approx(0.6), 16)


@pytest.mark.parametrize("level", [0, 1, -0.5])
def test_a_flat_map_has_no_boxes(level):
    assert boxes.find(np.full((4, 6), level, np.float32)) == []


def test_what_is_negative_is_never_hot():
    assert boxes.find(HEAT - 1.5) == []
    hottest = Box(5, 2, 1, 1, pytest.approx(0.1), pytest.approx(0.1), 1)
    assert boxes.find(HEAT - 0.9, 0.5) == [hottest]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((HEAT, 0), "threshold of boxes must be greater than 0 and at most 1, not 0"),
        ((HEAT, 50), "threshold of boxes must be greater than 0 and at most 1, not 50"),
        ((HEAT, 0.5, 30), "least area must be between 0 and 1, not 30"),
        ((HEAT * np.nan, 0.5), "NaN or infinity"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        boxes.find(*arguments)


def table():
    about = {"path": "a,b.png", "label": u'K\u00e4tzchen "Mia"'}
    return boxes.rows(boxes.find(np.float32([[0, 1], [0, 0.5]]), 0.5), **about)


def test_a_row_says_what_it_is_about_and_then_the_box():
    assert [list(row.items()) for row in table()] == [[
        ("path", "a,b.png"), ("label", u'K\u00e4tzchen "Mia"'), ("x", 1), ("y", 0), ("width", 1),
        ("height", 2), ("score", 1.0), ("mean", 0.75), ("area", 2),
    ]]


def test_json_and_csv_hold_the_rows(tmp_path):
    boxes.write(tmp_path / "boxes.json", table())
    boxes.write(tmp_path / "boxes.CSV", table())
    assert json.loads((tmp_path / "boxes.json").read_text(encoding="utf-8")) == table()
    with open(str(tmp_path / "boxes.CSV"), encoding="utf-8", newline="") as file:
        row, = csv.DictReader(file)
    assert dict(row) == {key: str(value) for key, value in table()[0].items()}


def test_a_table_without_rows_still_has_a_heading(tmp_path):
    boxes.write(tmp_path / "boxes.csv", [])
    assert (tmp_path / "boxes.csv").read_text() == "x,y,width,height,score,mean,area\n"


def test_another_extension_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match=r"boxes.xlsx: boxes are written as .csv or .json"):
        boxes.write(tmp_path / "boxes.xlsx", table())
    assert os.listdir(str(tmp_path)) == []


def overlap(box, other):
    """Intersection over union of two boxes (x, y, width, height, ...)."""
    width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both / float(box[2] * box[3] + other[2] * other[3] - both)


@pytest.mark.slow
def test_the_default_threshold_fits_the_digits_better_than_a_higher_one(torch, models):
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    import digit_scenes
    from explaining import open_explainer, results

    from caffe_gradcam.model.model import LoadedModel

    fits = {boxes.THRESHOLD: [], 0.3: []}
    with open_explainer(LoadedModel.load(models / "digits"), "torch") as explainer:
        for scene in digit_scenes.evaluation_scenes(20):
            image = np.repeat(scene.image[:, :, np.newaxis], 3, axis=2)
            result, = results(explainer.explain(
                [image], [label for label, _ in scene.digits]))
            for explanation, (_, ink) in zip(result.explanations, scene.digits):
                for threshold, fit in fits.items():
                    box = boxes.find(explanation.heatmap, threshold)[0]
                    fit.append(overlap(box.rectangle, ink))
    assert np.mean(fits[boxes.THRESHOLD]) > 0.5 > 0.45 > np.mean(fits[0.3])
