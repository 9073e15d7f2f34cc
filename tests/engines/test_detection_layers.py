"""PriorBox and DetectionOutput: literal values, and those of OpenCV 4."""

import os
import pathlib
import sys

import numpy as np
import pytest
from definitions import random_input, write_model

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))

from make_detections import CASES, OUTPUTS, run_opencv  # noqa: E402

from caffe_gradcam.engines.detection import priors, ssd  # noqa: E402
from caffe_gradcam.engines.detection.suppression import overlaps, suppress  # noqa: E402
from caffe_gradcam.engines.running import NetToRun, Running  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "detections.npz"


def message(kind, parameters):
    return Net.parse(f'layer {{ name: "x" type: "{kind}" {parameters} }}').layers[0].message


def rows_of(table):
    """Rows without the zeros that OpenCV pads with."""
    table = table.reshape(-1, 7)
    return table[table.any(axis=1)]


def assert_agrees(values, expected, case):
    for name in OUTPUTS[:3]:
        assert np.allclose(values[name].ravel(), expected[name].ravel(), atol=1e-4), (case, name)
    ours, theirs = rows_of(values["detection_out"]), rows_of(expected["detection_out"])
    assert ours.shape == theirs.shape
    # Confidences that are equal but for their last digits may come in another order.
    distances = np.abs(ours[:, np.newaxis] - theirs).max(axis=2)
    assert distances.min(axis=0).max() < 1e-4 and distances.min(axis=1).max() < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_single_shot_detectors_give_what_opencv_gives(case, tmp_path, torch):
    from caffe_gradcam.engines.opening import open_engine

    text, shape = CASES[case]
    prototxt, weights = write_model(tmp_path, text)
    with open_engine(NetToRun(text, weights, ("detection_out",), ("fc6",) if "vgg" in case
                              else ("conv2",)), Running("torch")) as engine:
        values = engine.forward({"data": random_input(shape) / 40}, OUTPUTS)
    with np.load(GOLDEN) as golden:
        assert str(golden["version"]).startswith("4.")
        assert_agrees(values, {name: golden[f"{case}.{name}"] for name in OUTPUTS}, case)
    python = os.environ.get("OPENCV4_PYTHON")
    if python:
        assert_agrees(values, run_opencv(python, text, random_input(shape) / 40, tmp_path), case)


def test_priors_stand_by_cell_with_the_square_ones_first():
    boxes = priors.prior_boxes(message("PriorBox", """prior_box_param { min_size: 4 max_size: 9
        aspect_ratio: 4 flip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }"""),
        (1, 2), (10, 20))
    assert boxes.shape == (1, 2, 2 * 4 * 4)
    first = boxes[0, 0].reshape(2, 4, 4)[0]
    # Centre (5, 5) in 20 x 10 pixels: a square of 4, one of 6, then 8 x 2 and 2 x 8.
    assert np.allclose(first, [[.15, .3, .35, .7], [.1, .2, .4, .8], [.05, .4, .45, .6],
                               [.2, .1, .3, .9]])
    assert np.allclose(boxes[0, 1, :4], [.1, .1, .2, .2])


def test_sizes_of_priors_lose_their_fractions_as_in_the_fork():
    sizes = priors.box_sizes(message("PriorBox", "prior_box_param { min_size: 4.9 }")
                             .prior_box_param)
    assert sizes == [(4, 4)]


def test_clustered_priors_have_a_size_each_and_steps():
    boxes = priors.prior_boxes(message("PriorBoxClustered", """prior_box_param {
        width: 4 width: 2 height: 6 height: 2 step: 8 offset: 0.5 variance: 0.1 clip: true }"""),
        (1, 1), (16, 8))
    assert np.allclose(boxes[0, 0].reshape(2, 4), [[.25, .0625, .75, .4375],
                                                   [.375, .1875, .625, .3125]])
    assert np.allclose(boxes[0, 1], 0.1)


@pytest.mark.parametrize("code, box", [
    ("CORNER", [0.3, 0.4, 0.5, 0.6]),
    ("CORNER_SIZE", [0.24, 0.24, 0.48, 0.48]),
    ("CENTER_SIZE", [0.34 - 0.1 * np.exp(.1), 0.34 - 0.1 * np.exp(.1),
                     0.34 + 0.1 * np.exp(.1), 0.34 + 0.1 * np.exp(.1)]),
])
def test_locations_are_decoded_by_their_code(code, box):
    numbers = {"CORNER": [1, 2, 1, 2], "CORNER_SIZE": [2, 2, 4, 4],
               "CENTER_SIZE": [2, 2, 1, 1]}[code]
    pair = np.array([[[.2, .2, .4, .4]], [[.1, .1, .1, .1]]])
    for encoded, factor in ((False, 1), (True, 0.1)):
        param = message("DetectionOutput", f"""detection_output_param {{ num_classes: 2
            code_type: {code} variance_encoded_in_target: {str(encoded).lower()} }}"""
                        ).detection_output_param
        decoded = ssd.decoded(param, factor * np.array(numbers, float).reshape(1, 1, 4), pair)
        assert np.allclose(decoded[0, 0], box)


def test_overlap_is_intersection_over_union():
    box = np.array([0, 0, 2, 2.])
    others = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2], [1, 1, 1, 1]], float)
    assert np.allclose(overlaps(box, others), [1 / 7, 1, 0, 0])
    # Counted in pixels, a box from 0 to 2 is 3 wide.
    assert np.allclose(overlaps(box, others[:1], edge=1), [4 / 14])


def test_suppression_keeps_the_best_of_boxes_that_overlap():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 4]], float)
    assert suppress(boxes, np.array([1, 0, 2, 3]), 0.5) == [1, 2, 3]
    assert suppress(boxes, np.array([1, 0, 2, 3]), 0.9) == [1, 0, 2, 3]


def test_eta_lowers_the_threshold_with_each_kept_box():
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 6.5]], float)
    order = np.array([0, 1, 2])
    assert suppress(boxes, order, 0.7) == [0, 1, 2]
    assert suppress(boxes, order, 0.7, eta=0.9) == [0, 1]


def test_where_nothing_is_found_each_image_has_a_row_of_minus_one(torch):
    from caffe_gradcam.engines.torch.engine import LAYERS

    layer = message("DetectionOutput", """detection_output_param { num_classes: 2
        confidence_threshold: 0.9 }""")
    top, = LAYERS["DetectionOutput"](layer, [
        torch.zeros(2, 4), torch.full((2, 2), .5), torch.zeros(1, 2, 4)], [])
    assert top.tolist() == [[[[0, -1, -1, -1, -1, -1, -1], [1, -1, -1, -1, -1, -1, -1]]]]


def test_bottoms_that_do_not_fit_are_named(torch):
    from caffe_gradcam.engines.torch.engine import LAYERS

    layer = message("DetectionOutput", "detection_output_param { num_classes: 3 }")
    with pytest.raises(ValueError, match="2 confidences for 1 priors and 3 classes"):
        LAYERS["DetectionOutput"](layer, [torch.zeros(1, 4), torch.zeros(1, 2),
                                          torch.zeros(1, 2, 4)], [])


def test_the_face_detector_gives_what_opencv_gives(shared, torch):
    from caffe_gradcam.engines.opening import open_engine

    folder = shared / "models" / "res10_ssd_face"
    net = NetToRun((folder / "deploy.prototxt").read_text(),
                   str(folder / "res10_300x300_ssd_iter_140000.caffemodel"),
                   ("detection_out",), ("fc7",))
    with np.load(folder / "expected_opencv4.npz") as expected:
        with open_engine(net, Running("torch")) as engine:
            values = engine.forward({"data": expected["data"]}, OUTPUTS)
        assert_agrees(values, expected, "face")
