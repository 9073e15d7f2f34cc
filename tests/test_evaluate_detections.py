"""Measuring the maps of boxes: deletion, insertion and the pointing game."""

import json

import numpy as np
import pytest
from definitions import write_model
from detector_nets import yolo
from detectors import mobilenet_ssd

pytest.importorskip("torch")

from caffe_gradcam.asking.asker import Asking  # noqa: E402
from caffe_gradcam.commands import measured_images  # noqa: E402
from caffe_gradcam.engines.running import Running  # noqa: E402
from caffe_gradcam.explaining.box_questions import BoxQuestion  # noqa: E402
from caffe_gradcam.explaining.detections import DetectionExplainer  # noqa: E402
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe  # noqa: E402
from caffe_gradcam.explaining.settings import Explaining  # noqa: E402
from caffe_gradcam.measuring import box_bench  # noqa: E402
from caffe_gradcam.measuring.measurement import Settings  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402
from prototxt_tools.errors import Outcome  # noqa: E402

PIXELS = np.random.RandomState(0).randint(0, 255, (90, 70, 3)).astype(np.uint8)
READING = dict(mean=[100, 100, 100], scale=1 / 60)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("ssd"), mobilenet_ssd())


def measured(paths, least, drawn=None, metrics=box_bench.METRICS):
    model = LoadedModel.load(*paths, **READING)
    with DetectionExplainer.open(model, Explaining(("odam",)), BoxQuestion(least),
                                 Running("torch")) as explainer:
        bench = box_bench.BoxBench(explainer, Settings(metrics, steps=4))
        return bench.measure(["noise.png"], [Outcome(PIXELS)], (), drawn and [drawn])[0]


def test_each_box_has_its_maps_and_its_baselines(paths):
    measurements = measured(paths, 0.75).unwrap()
    ranks = sorted({measurement.rank for measurement in measurements})
    assert ranks == list(range(len(ranks))) and len(ranks) >= 2
    for rank in ranks:
        of_box = [entry for entry in measurements if entry.rank == rank]
        assert [(entry.method, entry.layer) for entry in of_box] == [
            ("odam", box_bench.SOURCES), ("random", None), ("centre", None)]
        for entry in of_box:
            assert set(entry.values) == {"deletion", "insertion", "gap", "pointing", "energy"}


def test_deletion_begins_and_insertion_ends_with_the_box_as_it_is(paths):
    first = measured(paths, 0.75).unwrap()[0]
    # Without a change the box itself is found: overlap and cosine are 1.
    assert first.curves["deletion"][0] == pytest.approx(first.curves["insertion"][-1], rel=1e-4)
    assert first.curves["deletion"][0] > 0.7
    assert first.curves["deletion"][-1] < first.curves["deletion"][0]


def test_pointing_is_measured_in_the_drawn_box_that_was_found(paths):
    found = measured(paths, 0.75, metrics=("pointing",)).unwrap()
    class_index = found[0].class_index
    drawn = {class_index: [(0, 0, 1, 1)]}
    assert all("pointing" not in entry.values
               for entry in measured(paths, 0.75, drawn, ("pointing",)).unwrap())


def test_an_image_without_boxes_is_an_error_of_its_own(paths):
    outcome = measured(paths, 1.0)
    assert str(outcome.error) == "noise.png: the net finds no box with a score of 1 or more"


def test_evaluate_compares_methods_on_boxes(tmp_path, paths, capsys):
    import cv2

    from caffe_gradcam.commands.cli import main

    cv2.imwrite(str(tmp_path / "noise.png"), PIXELS)
    arguments = ["evaluate", paths[0], str(tmp_path / "noise.png"), "--detections", "--min-score",
                 "0.8", "--engine", "torch", "--weights", paths[1], "--mean", "100,100,100",
                 "--scale", "0.016667", "--method", "odam,grad-cam,d-rise", "--samples", "20",
                 "--steps", "3"]
    assert main(arguments + ["--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in report["rows"]] == ["odam", "grad-cam", "d-rise", "random",
                                                         "centre"]
    assert set(report["columns"]) == {"gap", "deletion", "insertion", "pointing", "energy"}
    assert main(arguments + ["--metrics", "sanity"]) == 2
    assert "no metric of boxes 'sanity'" in capsys.readouterr().err


def test_boxes_of_a_net_whose_scores_are_no_classes_need_no_question(tmp_path):
    model = LoadedModel.load(*write_model(tmp_path, yolo(3)))
    recipe = Recipe(ModelChoice(model.path), Asking(detections=True))
    assert measured_images._asked(recipe, model)("noise.png", set()) == []
