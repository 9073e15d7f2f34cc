"""Where scores stand in a blob, read from nets of many forms; questions about one step or prior."""

import numpy as np
import pytest
from definitions import random_weights

from caffe_gradcam.asking.context import Context
from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import (
    Against,
    At,
    AtIndex,
    Class,
    Like,
    Probability,
    Top,
    Weighted,
    resolve,
)
from caffe_gradcam.model import layouts
from caffe_gradcam.model.labels import find
from caffe_gradcam.model.layouts import ScoreLayout
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights
from prototxt_tools.errors import InputError, QuestionError

DATA = """layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 12 dim: 16 } } }
layer { name: "features" type: "Convolution" bottom: "data" top: "features"
        convolution_param { num_output: 6 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "features" top: "features" }
layer { name: "conv" type: "Convolution" bottom: "features" top: "conv"
        convolution_param { num_output: %d kernel_size: 1 } }
"""
RESHAPE = """layer { name: "line" type: "Reshape" bottom: "conv" top: "line"
        reshape_param { shape { dim: 0 dim: 5 dim: -1 } } }
"""
SOFTMAX = 'layer {{ name: "prob" type: "Softmax" bottom: "{}" top: "prob" {} }}\n'
PERMUTE = """layer { name: "turned" type: "Permute" bottom: "conv" top: "turned"
        permute_param { order: 0 order: 2 order: 3 order: 1 } }
"""
PRIORS = PERMUTE + """layer { name: "flat" type: "Flatten" bottom: "turned" top: "flat" }
layer { name: "conf" type: "Reshape" bottom: "flat" top: "conf"
        reshape_param { shape { dim: 0 dim: -1 dim: 5 } } }
layer { name: "prior" type: "PriorBox" bottom: "conv" bottom: "data" top: "prior"
        prior_box_param { min_size: 4 } }
""" + SOFTMAX.format("conf", "softmax_param { axis: 2 }") + """
layer { name: "flat_prob" type: "Flatten" bottom: "prob" top: "flat_prob" }
layer { name: "loc" type: "Flatten" bottom: "conv" top: "loc" }
layer { name: "out" type: "DetectionOutput" bottom: "loc" bottom: "flat_prob" bottom: "prior"
        top: "out" detection_output_param { num_classes: 5 background_label_id: 0 } }
"""
NETS = {
    "a map": (5, SOFTMAX.format("conv", ""), "conv", ("item", "class", "row", "column")),
    "classes before steps": (
        5, RESHAPE + SOFTMAX.format("line", ""), "line", ("item", "class", "step")),
    "steps before classes": (
        8, RESHAPE + SOFTMAX.format("line", "softmax_param { axis: 2 }"), "line",
        ("item", "step", "class")),
    "a map with its classes last": (
        5, PERMUTE + SOFTMAX.format("turned", "softmax_param { axis: -1 }"), "turned",
        ("item", "row", "column", "class")),
    "priors": (10, PRIORS, "conf", ("item", "prior", "class")),
}


def load(folder, text, **overrides):
    (folder / "deploy.prototxt").write_text(text)
    weights.save(str(folder / "net.caffemodel"), random_weights(text))
    return LoadedModel.load(str(folder), **overrides)


@pytest.mark.parametrize("name", sorted(NETS))
def test_the_axes_follow_from_softmax_permute_and_reshape(tmp_path, name):
    channels, rest, score, axes = NETS[name]
    model = load(tmp_path, DATA % channels + rest, score=score)
    assert (model.score, model.layout.axes) == (score, axes)


def test_the_background_of_a_detector_is_known(tmp_path):
    channels, rest, score, _ = NETS["priors"]
    assert load(tmp_path, DATA % channels + rest, score=score).layout.background == 0


def test_without_a_softmax_the_axis_of_the_inner_product_counts(tmp_path):
    text = DATA % 4 + RESHAPE.replace("dim: 5", "dim: 4") + """
layer { name: "fc" type: "InnerProduct" bottom: "line" top: "fc"
        inner_product_param { num_output: 7 axis: 2 } }
"""
    model = load(tmp_path, text)
    assert model.layout.axes == ("item", "step", "class") and model.class_count == 7


def test_a_net_whose_reshape_holds_one_image_takes_images_one_by_one(tmp_path):
    text = DATA % 5 + RESHAPE.replace("dim: 0", "dim: 1") + SOFTMAX.format("line", "")
    model = load(tmp_path, text)
    assert not model.items_share and model.layout.axes == ("item", "class", "step")


YOLO = """layer { name: "region" type: "Yolov3DetectionOutput" bottom: "conv" top: "boxes" }
"""


def test_channels_that_yolo_reads_are_named_for_what_they_are(tmp_path):
    labels = ["cat", "dog", "cow"]
    model = load(tmp_path, DATA % 16 + YOLO, score="conv", labels=labels)
    assert model.layout.kind == "outputs"
    assert model.class_name(0) == "anchor 0 x" and model.class_name(4) == "anchor 0 objectness"
    assert model.class_name(15) == "anchor 1 cow"
    assert model.find_class("anchor 1 dog") == 14
    with pytest.raises(QuestionError, match=r"fits several labels: 6 \(anchor 0 dog\)"):
        find("dog", model.class_names, 16)


STEPS = ScoreLayout(("item", "step", "class"))
SCORES = np.random.RandomState(4).randn(4, 6).astype(np.float32)  # classes x steps


def context(link="softmax", layout=STEPS, **fields):
    return Context(SCORES, link, lambda index: None, lambda region: region, layout=layout,
                   **fields)


def seed(question, **fields):
    found, = resolve([question], context(**fields))
    return found


def probabilities():
    powers = np.exp(SCORES - SCORES.max(axis=0))
    return powers / powers.sum(axis=0)


def test_a_class_has_the_score_of_its_step_and_its_gradient_there():
    found = seed(AtIndex(Class(2), "step", 3))
    assert found.values(SCORES[np.newaxis])[0] == pytest.approx(float(SCORES[2, 3]))
    slopes = found.gradients(SCORES[np.newaxis])[0]
    assert slopes[2, 3] == 1 and np.abs(slopes).sum() == 1
    assert (found.text, found.position) == ("2 at step 3", (("step", 3),))


def test_without_a_step_a_class_is_asked_where_it_is_likeliest():
    for index in range(4):
        step = int(probabilities()[index].argmax())
        assert seed(Class(index)).text == f"{index} at step {step}"
        assert seed(Class(index), link="none").position == (
            ("step", int(SCORES[index].argmax())),)


def test_the_best_are_pairs_of_a_class_and_a_step():
    texts = [found.text for found in resolve([Top(3)], context())]
    order = np.argsort(-probabilities().ravel(), kind="mergesort")[:3]
    assert texts == ["{} at step {}".format(*divmod(index, 6)) for index in order]


def test_the_best_leave_the_background_out():
    layout = ScoreLayout(("item", "prior", "class"), background=int(
        np.unravel_index(probabilities().argmax(), SCORES.shape)[0]))
    best = resolve([Top(24)], context(layout=layout))
    assert len(best) == 18 and layout.background not in {found.class_index for found in best}


@pytest.mark.parametrize("question, text", [
    (Probability(AtIndex(Class(1), "step", 2)), "probability of 1 at step 2"),
    (AtIndex(Probability(Class(1)), "step", 2), "probability of 1 at step 2"),
    (Against(AtIndex(Class(1), "step", 2)), "against 1 at step 2"),
    (AtIndex(Weighted(2), "step", 2), "top 2 weighted at step 2"),
])
def test_questions_about_questions_keep_the_step(question, text):
    found = seed(question)
    assert (found.text, found.position) == (text, (("step", 2),))
    slopes = found.gradients(SCORES[np.newaxis])[0]
    assert slopes[:, 2].any() and not np.delete(slopes, 2, axis=1).any()


def test_the_gradient_of_a_probability_at_a_step_is_its_derivative():
    found = seed(Probability(AtIndex(Class(1), "step", 2)))
    slopes = found.gradients(SCORES[np.newaxis])[0]
    for index in range(4):
        moved = np.stack([SCORES.astype(np.float64)] * 2)
        moved[0, index, 2] += 1e-5
        moved[1, index, 2] -= 1e-5
        upper, lower = found.values(moved)
        assert slopes[index, 2] == pytest.approx((upper - lower) / 2e-5, abs=1e-4)


@pytest.mark.parametrize("question, message", [
    (AtIndex(Class(1), "step", 6), "there is no step 6; the net gives scores for 6 steps, 0 to 5"),
    (AtIndex(Class(1), "prior", 0), "the scores of this net have no priors"),
    (AtIndex(Class(4), "step", 0), "there is no class 4; the net's classes are 0 to 3"),
    (AtIndex(Like(np.zeros(3)), "step", 0), "likeness compares the whole score blob"),
    (At(Class(1), (0, 0, 1, 1)), "the net gives no map of scores"),
])
def test_what_is_not_there_is_refused(question, message):
    with pytest.raises(QuestionError, match=message):
        resolve([question], context())


def test_outputs_are_called_outputs():
    layout = ScoreLayout(("item", "class"), layouts.OUTPUTS)
    vector = Context(SCORES[:, 0], "none", lambda index: None, lambda region: region,
                     layout=layout)
    assert resolve([Class(2)], vector)[0].text == "output 2"
    with pytest.raises(QuestionError, match="there is no output 4; the net's outputs are 0 to 3"):
        resolve([Class(4)], vector)


@pytest.mark.parametrize("text, question", [
    ("7 at step 3", AtIndex(Class(7), "step", 3)),
    ("top:2 at prior 812", AtIndex(Top(2), "prior", 812)),
    ("4 at roi 2", AtIndex(Class(4), "roi", 2)),
    ("4 at region of interest 2", AtIndex(Class(4), "roi", 2)),
    ("against 7 at step 3", AtIndex(Against(Class(7)), "step", 3)),
])
def test_texts_name_a_step_after_the_question(text, question):
    assert parse(text, int) == question


def test_a_class_named_like_a_question_about_a_step_is_that_class():
    names = ["dog at step 3", "dog"]
    assert parse("dog at step 3", names.index, names) == Class(0)


def test_a_step_is_a_whole_number():
    with pytest.raises(InputError, match="a step is a whole number, counted from 0, not 1.5"):
        AtIndex(Class(0), "step", 1.5)
