"""models/digits-detector: both engines list its boxes, and each box's map points into it."""

import json
import os

import numpy as np
import pytest

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.box_questions import BoxQuestion
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring.box_bench import target_box
from caffe_gradcam.measuring.metrics import pointing
from caffe_gradcam.model import images
from caffe_gradcam.model.model import LoadedModel


@pytest.fixture(scope="module")
def scenes(models):
    folder = models / "digits-detector" / "scenes"
    drawn = json.loads((folder / "boxes.json").read_text())
    return {name: (images.read(folder / name), boxes) for name, boxes in drawn.items()}


def test_the_digits_of_the_samples_are_found_and_each_map_points_into_its_box(
        kind, models, scenes):
    model = LoadedModel.load(str(models / "digits-detector"))
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(0.5),
                                 Running(kind)) as explainer:
        outcomes = explainer.explain([image for image, _ in scenes.values()])
    for outcome, (_, boxes) in zip(outcomes, scenes.values()):
        found = outcome.unwrap()
        assert sorted(explanation.class_index for explanation in found) == sorted(
            box["class"] for box in boxes)
        for explanation in found:
            drawn = {box["class"]: [other["box"] for other in boxes
                                    if other["class"] == box["class"]] for box in boxes}
            assert target_box(explanation, drawn) is not None
            assert pointing.hits(explanation.heatmap, [explanation.box])
            assert pointing.energy_inside(explanation.heatmap, [explanation.box]) > 0.5


def test_the_samples_hold_two_digits_of_one_class_which_only_their_boxes_tell_apart(scenes):
    assert any(len({box["class"] for box in boxes}) < len(boxes) for _, boxes in scenes.values())


def test_the_model_is_small_and_complete(models):
    folder = models / "digits-detector"
    assert os.path.getsize(str(folder / "digits-detector.caffemodel")) < 1000000
    model = LoadedModel.load(str(folder))
    assert model.warnings == () and model.layers == ("conv3",)
    assert model.class_names[:2] == ("background", "zero")


def test_the_face_in_a_photograph_holds_most_of_its_heat(shared, torch):
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed here")
    photograph = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    model = LoadedModel.load(str(shared / "models" / "res10_ssd_face"), mean=[104, 177, 123])
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(0.5),
                                 Running("torch")) as explainer:
        face, = explainer.explain([photograph])[0].unwrap()
    assert face.box == pytest.approx((179.4, 58.0, 92.2, 119.2), abs=0.5)
    assert pointing.hits(face.heatmap, [face.box])
    assert pointing.energy_inside(face.heatmap, [face.box]) > 0.5
