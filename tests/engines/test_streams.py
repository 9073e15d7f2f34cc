"""Several inputs, several targets, several scores."""

import numpy as np
import pytest
from nets import BATCH, SEED, STREAMS, TARGETS
from opened import open_net

from prototxt_tools import weights
from prototxt_tools.errors import InputError


def test_one_backward_yields_the_targets_of_all_streams(kind, write_weights):
    random = np.random.RandomState(0)
    inputs = {"left": random.randn(2, 3, 8, 8), "right": random.randn(2, 1, 6, 6)}
    seed = random.randn(2, 2).astype(np.float32)
    path = write_weights(STREAMS)
    with open_net(kind, STREAMS, path, ["score"], ["conv_l", "conv_r"]) as engine:
        values = engine.forward(inputs, ["fc_l", "fc_r"])
        gradients = engine.backward("score", seed, ["conv_l", "conv_r"])
        with pytest.raises(InputError, match="input blob 'right' is missing"):
            engine.forward({"left": inputs["left"]}, [])
    learned = weights.load(path)
    for mine, other in (("l", "r"), ("r", "l")):
        to_fc = np.dot(seed, learned["score"][0]) * values["fc_" + other]
        expected = np.dot(to_fc, learned["fc_" + mine][0])
        found = gradients["conv_" + mine].reshape(2, -1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_target_that_is_an_input(kind, write_weights):
    path = write_weights(STREAMS)
    inputs = {"left": np.ones((1, 3, 8, 8)), "right": np.ones((1, 1, 6, 6))}
    with open_net(kind, STREAMS, path, ["score"], ["right"]) as engine:
        engine.forward(inputs, [])
        gradient = engine.backward("score", np.ones((1, 2)), ["right"])["right"]
    with open_net(kind, STREAMS, path, ["score"], ["conv_r"]) as engine:
        engine.forward(inputs, [])
        above = engine.backward("score", np.ones((1, 2)), ["conv_r"])["conv_r"]
    kernels = weights.load(path)["conv_r"][0]
    expected = np.zeros((6, 6))
    for row, column in np.ndindex(4, 4):
        expected[row:row + 3, column:column + 3] += np.tensordot(
            above[0, :, row, column], kernels[:, 0], 1)
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_score_does_not_feel_the_other_scores(branches):
    side = np.ones((3, 3), np.float32)
    with branches() as engine:
        engine.forward({"data": BATCH}, [])
        expected = engine.backward("score", SEED, TARGETS)
    with branches(scores=["side", "score"]) as engine:
        values = engine.forward({"data": BATCH}, ["side", "score"])
        assert values["side"].shape == (3, 3)
        of_side = engine.backward("side", side, TARGETS)
        found = engine.backward("score", SEED, TARGETS)
        again = engine.backward("side", side, TARGETS)
    for target in TARGETS:
        np.testing.assert_allclose(found[target], expected[target], rtol=1e-5, atol=1e-8)
        assert abs(of_side[target] - found[target]).max() > 1e-3
        assert np.array_equal(of_side[target], again[target])


TWO_HEADS = STREAMS + """
layer { name: "relu_r" type: "ReLU" bottom: "conv_r" top: "relu_r" }
layer { name: "only_r" type: "InnerProduct" bottom: "relu_r" top: "only_r"
        inner_product_param { num_output: 3 } }
"""


def test_a_score_of_one_stream_gives_no_gradient_in_the_other(kind, write_weights):
    random = np.random.RandomState(0)
    inputs = {"left": random.randn(2, 3, 8, 8), "right": random.randn(2, 1, 6, 6)}
    path = write_weights(TWO_HEADS)
    learned = weights.load(path)
    with open_net(kind, TWO_HEADS, path, ["score", "only_r"], ["conv_l", "conv_r"]) as engine:
        value = engine.forward(inputs, ["conv_r", "only_r"])["conv_r"]
        seed = random.randn(2, 3).astype(np.float32)
        found = engine.backward("only_r", seed, ["conv_r"])["conv_r"]
        with pytest.raises(InputError, match="'only_r' does not depend on blob 'conv_l'"):
            engine.backward("only_r", seed, ["conv_l", "conv_r"])
        of_score = engine.backward("score", np.ones((2, 2)), ["conv_l", "conv_r"])
        again = engine.backward("only_r", seed, ["conv_r"])["conv_r"]
    expected = np.dot(seed, learned["only_r"][0]).reshape(value.shape) * (value > 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.array_equal(found, again)
    assert of_score["conv_l"].any() and of_score["conv_r"].any()


SIAMESE = """
input: "a" input_shape { dim: 1 dim: 2 dim: 5 dim: 5 }
input: "b" input_shape { dim: 1 dim: 2 dim: 5 dim: 5 }
layer { name: "conv" type: "Convolution" bottom: "a" top: "conv" param { name: "w" }
        param { name: "c" } convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "conv_b" type: "Convolution" bottom: "b" top: "conv_b" param { name: "w" }
        param { name: "c" } convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu_b" type: "ReLU" bottom: "conv_b" top: "conv_b" }
layer { name: "less" type: "Eltwise" bottom: "conv" bottom: "conv_b" top: "less"
        eltwise_param { coeff: 1 coeff: -1 } }
layer { name: "score" type: "Reduction" bottom: "less" top: "score"
        reduction_param { operation: SUMSQ axis: 1 } }
"""


def test_both_images_of_a_siamese_net_are_explained_by_one_backward(kind, write_weights):
    """The score is the squared distance, so its gradient is twice the difference, and minus it."""
    random = np.random.RandomState(0)
    inputs = {name: random.randn(2, 2, 5, 5) for name in "ab"}
    path = write_weights(SIAMESE)
    with open_net(kind, SIAMESE, path, ["score"], ["conv", "conv_b"]) as engine:
        values = engine.forward(inputs, ["conv", "conv_b"])
        gradients = engine.backward("score", np.ones(2), ["conv", "conv_b"])
    difference = values["conv"] - values["conv_b"]
    np.testing.assert_allclose(gradients["conv"], 2 * difference, rtol=1e-5)
    np.testing.assert_allclose(gradients["conv_b"], -2 * difference, rtol=1e-5)
