"""Scores of every layout, and inputs of every kind, on each engine: values and gradients."""

import numpy as np
import pytest
from explaining import difference, open_explainer, results
from input_kinds import AXES, FORKS, item, net

from caffe_gradcam.asking.questions import AtIndex, Class, Probability, Sum, Top
from caffe_gradcam.explaining.answering import ask
from caffe_gradcam.explaining.grouping import stacked
from caffe_gradcam.explaining.passes import Pass
from caffe_gradcam.model.preprocess import prepare

# Between these, neither kinks nor rounding spoil a difference.
STEPS = (0.1, 0.03, 0.01, 0.003)


@pytest.fixture(params=sorted(AXES))
def name(request, kind):
    if kind == "caffe" and request.param in FORKS:
        pytest.skip("stock Caffe does not have all layers of this net")
    return request.param


def passed(explainer, value):
    """The forward pass of one item."""
    model = explainer.model
    inputs = stacked([prepare(value, model.inputs, model.arrays)], model)
    return Pass(explainer.engine, model, inputs, [])


def element(blob, axes, **indices):
    """The score at some indices of a blob; the mean where an axis of places has none."""
    index = tuple(indices.get(axis, 0 if axis == "item" else slice(None)) for axis in axes)
    return float(np.mean(blob[index], dtype=np.float64))


def test_a_class_is_asked_at_its_index_of_each_axis(name, kind):
    model = net(name)
    with open_explainer(model, kind) as explainer:
        blob = passed(explainer, item(name)).blobs[model.score]
        for axis in model.layout.indexed or (None,):
            question = Class(0) if axis is None else AtIndex(Class(0), axis, 1)
            result, = results(explainer.explain([item(name)], [question]))
            indices = {} if axis is None else {axis: 1}
            if "class" in model.layout.axes:
                indices["class"] = 0
            assert result.explanations[0].score == pytest.approx(
                element(blob, AXES[name], **indices), rel=1e-5)
            assert result.explanations[0].position == (() if axis is None else ((axis, 1),))


def test_gradients_at_the_picture_are_the_slope_of_the_score(name, kind):
    model, value = net(name), item(name)
    axis = (model.layout.indexed or (None,))[0]
    question = Class(0) if axis is None else AtIndex(Class(0), axis, 1)
    with open_explainer(model, kind, ["saliency"]) as explainer:
        batch = passed(explainer, value)
        seed, = ask(model, batch.scores, (), None, [question]).seeds
        for picture in model.inputs:
            slope = batch.gradients([seed], picture)
            steepness = float(np.linalg.norm(slope))
            direction = slope / np.float32(steepness)
            slopes = [difference_of(explainer, batch, seed, {picture: step * direction})
                      / (2 * step) for step in STEPS]
            assert min(abs(slope - steepness) for slope in slopes) < 0.02 * steepness


def difference_of(explainer, batch, seed, moves):
    """How a value differs where inputs are moved by something and by its opposite."""
    values = []
    for sign in (1, -1):
        inputs = dict(batch.inputs, **{
            name: batch.inputs[name] + np.float32(sign) * move for name, move in moves.items()})
        blobs = explainer.engine.forward(explainer.model.net_inputs(inputs), [batch.score])
        values.append(seed.values(explainer.model.layout.rows(blobs[batch.score]))[0])
    return values[0] - values[1]


def test_items_give_the_same_together_and_alone(name, kind):
    with open_explainer(net(name), kind) as explainer:
        together = explainer.explain([item(name, 0), item(name, 1)], [Top(1)])
        alone = explainer.explain([item(name, 0)], [Top(1)]) + explainer.explain(
            [item(name, 1)], [Top(1)])
    for result, expected in zip(results(together), results(alone)):
        explanation, expected_explanation = result.explanations[0], expected.explanations[0]
        assert explanation.question == expected_explanation.question
        np.testing.assert_allclose(result.scores, expected.scores, rtol=1e-4, atol=1e-5)
        assert difference(explanation.cam, expected_explanation.cam) < 1e-3


def test_the_likeliest_pairs_of_a_class_and_a_step_come_first(kind):
    model = net("lrcn")
    with open_explainer(model, kind) as explainer:
        blob = passed(explainer, item("lrcn")).blobs["predict"][:, 0]
        result, = results(explainer.explain([item("lrcn")], [Top(4)]))
    powers = np.exp(blob - blob.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities.T.ravel(), kind="mergesort")[:4]
    assert [(explanation.class_index, explanation.position)
            for explanation in result.explanations] == [
        (index // 6, (("step", index % 6),)) for index in order]
    assert [explanation.probability for explanation in result.explanations] == pytest.approx(
        probabilities.T.ravel()[order], rel=1e-4)


def test_what_tells_two_classes_apart_and_a_probability_have_a_step_too(kind):
    with open_explainer(net("lrcn"), kind) as explainer:
        blob = passed(explainer, item("lrcn")).blobs["predict"][4, 0]
        result, = results(explainer.explain([item("lrcn")], [
            AtIndex(Sum(((2, 1.0), (7, -1.0))), "step", 4),
            Probability(AtIndex(Class(2), "step", 4))]))
    versus, probability = result.explanations
    assert versus.question == "2 versus 7 at step 4"
    assert versus.score == pytest.approx(float(blob[2] - blob[7]), rel=1e-4)
    powers = np.exp(blob - blob.max())
    assert probability.question == "probability of 2 at step 4"
    assert probability.score == pytest.approx(float(powers[2] / powers.sum()), rel=1e-4)


@pytest.mark.parametrize("sizes", [[(96, 128)], [(96, 128), (70, 90), (96, 128), (120, 100)]])
def test_a_fully_convolutional_net_sees_each_image_at_its_own_size(kind, sizes):
    model = net("fcn", resize="none")
    images = [np.random.RandomState(number).randint(0, 256, size + (3,)).astype(np.uint8)
              for number, size in enumerate(sizes)]
    with open_explainer(model, kind) as explainer:
        together = results(explainer.explain(images, [Top(1)]))
        for image, result in zip(images, together):
            inputs = {"data": np.float32(image.transpose(2, 0, 1)[np.newaxis] / 255.0)}
            blob = explainer.engine.forward(inputs, ["fc8-conv"])["fc8-conv"]
            np.testing.assert_allclose(result.scores, blob[0].mean(axis=(1, 2)), rtol=1e-4,
                                       atol=1e-5)
            assert result.explanations[0].cam.shape == blob.shape[2:]
            assert result.explanations[0].heatmap.shape == image.shape[:2]


def test_an_image_that_is_too_small_for_the_net_fails_alone(kind):
    images = [np.zeros((96, 128, 3), np.uint8), np.zeros((20, 128, 3), np.uint8)]
    with open_explainer(net("fcn", resize="none"), kind) as explainer:
        good, bad = explainer.explain(images, [Top(1)])
    assert good.ok and str(bad.error).startswith(
        "an image of 20x128 does not fit input data of the net, which is declared as 96x128: ")
