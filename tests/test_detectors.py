"""Detectors: their output lists boxes, so the scores behind it are explained."""

import pytest
from definitions import Builder, write_model

from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ModelError


def ssd(heads):
    """A single-shot detector: a convolution of scores for each size of boxes."""
    b = Builder("detector", (1, 3, 16, 16))
    x = b.conv_relu("conv", "data", 4, 3)
    confidences = []
    for name in heads:
        moved = b.layer("Permute", name + "_perm", b.conv(name, x, 2, 1), params="""permute_param {
            order: 0 order: 2 order: 3 order: 1 }""")
        confidences.append(b.layer("Flatten", name + "_flat", moved))
    joined = confidences[0] if len(heads) == 1 else b.layer("Concat", "conf", confidences)
    shaped = b.layer("Reshape", "conf_reshape", joined, params="""reshape_param {
        shape { dim: 0 dim: -1 dim: 2 } }""")
    b.softmax(shaped, "conf_softmax")
    flat = b.layer("Flatten", "conf_flat", "conf_softmax")
    b.layer("DetectionOutput", "detection_out", [b.conv("loc", x, 4, 1), flat])
    return b.text()


def detectnet():
    """Coverage behind a Sigmoid, and Python code that makes boxes of it."""
    b = Builder("detectnet", (1, 3, 16, 16))
    x = b.conv_relu("conv", "data", 4, 3)
    b.layer("Sigmoid", "coverage/sig", b.conv("cvg/classifier", x, 1, 1), top="coverage")
    b.layer("Python", "cluster", ["coverage", b.conv("bboxes", x, 4, 1)], top="bbox-list",
            params='python_param { module: "clustering" layer: "ClusterDetections" }')
    return b.text()


@pytest.mark.parametrize("text, score", [
    (ssd(["mbox_conf"]), "conf_reshape"),
    (ssd(["small_conf", "large_conf"]), "conf_reshape"),
    (detectnet(), "cvg/classifier"),
])
def test_the_scores_behind_the_boxes_are_taken(tmp_path, text, score):
    path, _ = write_model(tmp_path, text)
    model = LoadedModel.load(path)
    assert model.score == score
    assert model.origins["score"].startswith("found: the boxes in ")
    assert model.layers == ("conv",)


def test_a_list_of_boxes_without_known_scores_is_refused(tmp_path):
    b = Builder("other", (1, 3, 16, 16))
    b.layer("NMS", "boxes", b.conv("loc", b.conv_relu("conv", "data", 4, 3), 4, 1))
    path, _ = write_model(tmp_path, b.text())
    with pytest.raises(ModelError) as refused:
        LoadedModel.load(path)
    assert str(refused.value).endswith(
        "boxes, which layer boxes of type NMS writes, lists boxes, not scores, and has no "
        "gradient; give --score with a blob before it")


def test_a_python_layer_without_probabilities_before_it_may_give_scores(tmp_path):
    b = Builder("custom", (1, 3, 16, 16))
    b.layer("Python", "score", b.conv_relu("conv", "data", 4, 3),
            params='python_param { module: "mine" layer: "Mine" }')
    path, _ = write_model(tmp_path, b.text())
    assert LoadedModel.load(path).score == "score"
