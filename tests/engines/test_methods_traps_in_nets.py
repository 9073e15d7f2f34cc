"""What goes wrong in other implementations, and not here: in whole nets.

The numbers are those of tests/test_methods_traps.py.
"""

import hashlib

import numpy as np
import pytest
from explaining import (
    difference,
    explain,
    load,
    open_explainer,
    photographs,
    rectified,
    results,
    traps,
    unpooled,
)

from caffe_gradcam.asking.questions import Probability, Sum
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import weights

PAIR = [Sum(((1, 1.0), (3, -1.0)))]


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam"])
def test_1_values_and_gradients_are_of_the_same_side_of_an_in_place_relu(tmp_path, kind, method):
    """A full backward leaves post-ReLU values beside gradients from before the ReLU."""
    text = unpooled()
    apart = text.replace('bottom: "conv2" top: "conv2"', 'bottom: "conv2" top: "on"')
    apart = apart.replace('"InnerProduct"\n  bottom: "conv2"', '"InnerProduct"\n  bottom: "on"')
    assert apart.count('"on"') == 2
    expected, = explain(load(tmp_path / "apart", apart, layers="on"), kind, photographs(1),
                        [method], PAIR)
    found, = explain(load(tmp_path / "in place", text, layers="conv2"), kind, photographs(1),
                     [method], PAIR)
    mixed, = explain(load(tmp_path / "mixed", text, layers="conv2"), kind, photographs(1),
                     [method], PAIR, gradient="pre-relu")
    expected, found, mixed = [next(iter(one.values())).cam for one in (expected, found, mixed)]
    assert difference(found, expected) < 1e-5
    if method.startswith("grad-cam"):
        assert difference(mixed, expected) > 0.01


def test_5_every_relu_is_guided_whatever_layers_and_blobs_are_called(tmp_path, kind):
    """Found by names such as relu5 and conv5, some are missed."""
    text = rectified()
    renamed = text
    for name, other in (("conv1", "alpha"), ("conv2", "relu"), ("norm3", "pool9"), ("pool1", "x")):
        renamed = renamed.replace(f'bottom: "{name}"', f'bottom: "{other}"')
        renamed = renamed.replace(f'top: "{name}"', f'top: "{other}"')
    assert renamed != text
    for methods in (["guided-backprop"], ["deconvnet"]):
        found, expected = [
            next(iter(explain(load(tmp_path / folder, one), kind, photographs(1), methods,
                              [1])[0].values())).cam
            for folder, one in (("renamed", renamed), ("plain", text))]
        assert difference(found, expected) < 1e-6


def saturated(folder, factor=1e3):
    """A net whose Softmax gives one class all."""
    model = load(folder, traps())
    learned = weights.load(model.weights)
    learned["score"] = [array * np.float32(factor) for array in learned["score"]]
    weights.save(model.weights, learned)
    return model


def test_6_a_saturated_softmax_leaves_the_map_of_the_score_as_it_is(tmp_path, kind):
    plain = explain(load(tmp_path / "plain", traps()), kind, photographs(1), ["grad-cam"], PAIR)
    model = saturated(tmp_path / "sure")
    sure = explain(model, kind, photographs(1), ["grad-cam"], PAIR)
    found, expected = [next(iter(one[0].values())).cam for one in (sure, plain)]
    assert difference(found / 1e3, expected) < 1e-4


def test_6_the_probability_of_a_saturated_softmax_is_asked_for_in_so_many_words(tmp_path, kind):
    model = saturated(tmp_path / "sure")
    with open_explainer(model, kind) as explainer:
        best = int(explainer.explain(photographs(1))[0].unwrap().scores.argmax())
        result, = results(explainer.explain(photographs(1), [best, Probability(best)]))
    score, chance = result.explanations
    assert chance.probability == pytest.approx(1)
    assert np.abs(chance.cam).max() < 1e-6 * np.abs(score.cam).max()


@pytest.mark.parametrize("method", ["grad-cam", "saliency", "guided-backprop"])
def test_7_gradients_are_not_zero_in_a_deploy_net_that_does_not_force_them(tmp_path, kind, method):
    model = load(tmp_path / "net", traps())
    assert "force_backward" not in model.prototxt
    found, = explain(model, kind, photographs(1), [method], PAIR)
    assert np.abs(next(iter(found.values())).cam).max() > 1e-4


def test_7_nor_where_the_file_switches_learning_off(tmp_path, kind):
    frozen = unpooled().replace('bottom: "data"', 'bottom: "data" param { lr_mult: 0 }')
    expected, found = [
        next(iter(explain(load(tmp_path / folder, text), kind, photographs(1), ["saliency"],
                          PAIR)[0].values())).cam
        for folder, text in (("plain", unpooled()), ("frozen", frozen))]
    assert difference(found, expected) < 1e-6


def test_9_a_second_call_gives_what_the_first_gave(tmp_path, kind):
    """Caffe adds to the gradients of weights call by call; those of blobs must not feel it."""
    model = load(tmp_path / "net", traps())
    with open_explainer(model, kind, ["grad-cam", "saliency", "fullgrad"]) as explainer:
        first, second, third = [explainer.explain(photographs(2), PAIR)[1].unwrap().explanations
                                for _ in range(3)]
    for one, two, three in zip(first, second, third):
        np.testing.assert_allclose(two.cam, one.cam, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(three.cam, one.cam, rtol=1e-4, atol=1e-7)


def test_12_no_method_leaves_the_net_or_its_file_changed(tmp_path, kind):
    """Rectifiers that stay guided, weights that stay negative, a file with a line more."""
    model = load(tmp_path / "net", traps())

    def digests():
        return [hashlib.sha1(open(path, "rb").read()).hexdigest()
                for path in (model.path, model.weights)]

    before = digests()
    with open_explainer(model, kind, list(METHODS), samples=2) as explainer:
        score = explainer.explain(photographs(1), PAIR)[0].unwrap().explanations
        again = explainer.explain(photographs(1), PAIR)[0].unwrap().explanations
        blobs = prepare(photographs(1)[0], model.inputs).blobs
        scores = explainer.engine.forward(blobs, ["score"])["score"]
    with open_explainer(model, kind) as fresh:
        plain = fresh.explain(photographs(1), PAIR)[0].unwrap()
    assert digests() == before
    np.testing.assert_allclose(scores[0], plain.scores, rtol=1e-5)
    for one, other in zip(score, again):
        assert difference(other.cam, one.cam) < 1e-5, one.method
    assert difference(again[0].cam, plain.explanations[0].cam) < 1e-5


HEADS = """
layer { name: "age" type: "InnerProduct" bottom: "hidden" top: "age"
        inner_product_param { num_output: 1 } }
"""


def test_row_6_other_heads_of_the_net_are_not_asked(tmp_path, kind):
    alone, = explain(load(tmp_path / "alone", unpooled()), kind, photographs(1), ["saliency"], PAIR)
    model = load(tmp_path / "heads", unpooled() + HEADS, score="score")
    found, = explain(model, kind, photographs(1), ["saliency"], PAIR)
    assert difference(next(iter(found.values())).cam, next(iter(alone.values())).cam) < 1e-6


def test_row_16_a_regression_is_explained_up_and_down(tmp_path, kind):
    from caffe_gradcam.asking.questions import Against, Class

    model = load(tmp_path / "net", unpooled(outputs=1))
    for one in explain(model, kind, photographs(3), ["grad-cam"], [0, Against(Class(0))]):
        up, down = one.values()
        assert np.array_equal(up.cam, -down.cam) and up.score == -down.score
        assert up.probability is None
