"""What lies behind a blob, run again with another value in it."""

import numpy as np
import pytest
from nets import AROUND, BATCH, BRANCHES, SEED, STREAMS, TARGETS
from opened import open_net

from prototxt_tools import weights
from prototxt_tools.errors import EngineError, InputError

SCORES = ["score", "side"]


@pytest.mark.parametrize("blob", ["data", "conv1", "norm1", "left", "join", "pool", "fc"])
def test_the_value_of_another_image_gives_that_images_scores(branches, blob):
    with branches(scores=SCORES) as engine:
        kept = ["score"] if blob in ("pool", "fc") else SCORES
        keep = {blob, "score", "side", "norm1", "right"} - {"data"}
        values = engine.forward({"data": BATCH}, keep)
        order = [2, 0, 0, 1, 2]
        value = dict(values, data=BATCH)[blob][order]
        # Other blobs that the same layers read come from the same images.
        again = engine.forward_from(blob, value, kept, rows=order)
        for one in kept:
            np.testing.assert_allclose(again[one], values[one][order], rtol=1e-5, atol=1e-6)


def test_other_blobs_are_those_of_the_rows(branches):
    """Layer join reads left, right and norm1; only left is another."""
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["left", "right", "norm1", "join"])
        left = np.zeros((2, 4, 14, 12), np.float32)
        join = engine.forward_from("left", left, ["join"], rows=[2, 1])["join"]
    expected = np.concatenate([left, values["right"][[2, 1]], values["norm1"][[2, 1]]], 1)
    assert np.array_equal(join, np.where(expected > 0, expected, np.float32(0.1) * expected))


def test_rows_are_those_of_the_last_forward_if_nothing_else_is_said(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["left", "score"])
        again = engine.forward_from("left", values["left"], ["score"])
        np.testing.assert_allclose(again["score"], values["score"], rtol=1e-5)
        with pytest.raises(InputError, match="2 rows for blob 'left', which had 3 in the last"):
            engine.forward_from("left", values["left"][:2], ["score"])


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
def test_a_backward_afterwards_gives_what_it_gave_before(branches, gradient):
    with branches(gradient=gradient) as engine:
        values = engine.forward({"data": BATCH}, TARGETS)
        before = engine.backward("score", SEED, TARGETS)
        first = engine.forward_from("conv1", values["conv1"][:1] * 2, ["score"], rows=[1])
        for target in TARGETS:
            engine.forward_from(target, values[target][:2] * 0, ["score"], rows=[0, 0])
        after = engine.backward("score", SEED, TARGETS)
        again = engine.forward_from("conv1", values["conv1"][:1] * 2, ["score"], rows=[1])
    for target in TARGETS:
        assert np.array_equal(before[target], after[target])
    assert np.array_equal(first["score"], again["score"])


def test_it_follows_the_next_forward(branches):
    with branches() as engine:
        engine.forward({"data": BATCH}, [])
        engine.forward_from("left", np.zeros((3, 4, 14, 12)), ["score"])
        values = engine.forward({"data": -BATCH[:2]}, ["left", "score"])
        again = engine.forward_from("left", values["left"], ["score"])
    np.testing.assert_allclose(again["score"], values["score"], rtol=1e-5)


def test_a_channel_taken_away_takes_its_share_of_the_score(kind, write_weights):
    """The head is one InnerProduct."""
    text = AROUND.format('layer { name: "it" type: "Dropout" bottom: "conv" top: "it" }')
    path = write_weights(text)
    with open_net(kind, text, path, ["score"], ["conv"]) as engine:
        value = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["conv"])["conv"]
        without = np.repeat(value, 4, 0)
        without[range(4), range(4)] = 0
        scores = engine.forward_from("conv", without, ["score"], rows=[0] * 4)["score"]
    matrix, bias = weights.load(path)["score"]
    expected = np.dot(without.reshape(4, -1), matrix.T) + bias
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_the_other_stream_stays_as_it_is(kind, write_weights):
    random = np.random.RandomState(0)
    inputs = {"left": random.randn(2, 3, 8, 8), "right": random.randn(2, 1, 6, 6)}
    path = write_weights(STREAMS)
    with open_net(kind, STREAMS, path, ["score"], ["conv_l", "conv_r"]) as engine:
        values = engine.forward(inputs, ["fc_l", "fc_r"])
        value = random.randn(3, 4, 4, 4).astype(np.float32)
        score = engine.forward_from("conv_r", value, ["score"], rows=[1, 1, 0])["score"]
    (matrix, bias), (last, last_bias) = (weights.load(path)[name] for name in ("fc_r", "score"))
    product = (np.dot(value.reshape(3, -1), matrix.T) + bias) * values["fc_l"][[1, 1, 0]]
    np.testing.assert_allclose(score, np.dot(product, last.T) + last_bias, rtol=1e-4, atol=1e-5)


CONSTANT = AROUND.format("""
    layer { name: "still" type: "Parameter" top: "still"
            parameter_param { shape { dim: 4 } } }
    layer { name: "it" type: "Bias" bottom: "conv" bottom: "still" top: "it"
            bias_param { axis: 1 } }""")


def test_a_blob_that_no_input_goes_into_has_no_rows(kind, write_weights):
    path = write_weights(CONSTANT)
    with open_net(kind, CONSTANT, path, ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        it = engine.forward_from("conv", np.zeros((3, 4, 4, 4)), ["it"], rows=[0, 0, 0])["it"]
    still = weights.load(path)["still"][0].reshape(-1)
    np.testing.assert_allclose(it, np.broadcast_to(still[:, None, None], (3, 4, 4, 4)))


def test_what_does_not_fit_is_said(branches):
    with branches() as engine:
        with pytest.raises(EngineError, match="forward_from needs a forward before it"):
            engine.forward_from("left", np.zeros((3, 4, 14, 12)), ["score"])
        engine.forward({"data": BATCH}, [])
        for blob, value, keep, rows, words in (
                ("left", (1, 5, 14, 12), "score", [0], "blob 'left' has rows of 4 x 14 x 12"),
                ("left", (1, 4, 14, 12), "score", [3], "rows must name one of 0 to 2"),
                ("left", (2, 4, 14, 12), "score", [0], "for each of 2 rows"),
                ("left", (1, 4, 14, 12), "right", [0], "'right' does not depend on blob 'left'"),
                ("left", (1, 4, 14, 12), "left", [0], "'left' does not depend on blob 'left'"),
                ("side", (1, 4), "score", [0], "'side' is not among those")):
            with pytest.raises(InputError, match=words):
                engine.forward_from(blob, np.zeros(value), [keep], rows=rows)
        assert engine.backward("score", SEED, ["left"])["left"].any()


def test_layers_that_cannot_take_so_many_rows_are_named(kind, write_weights):
    text = AROUND.format("""
        layer { name: "fixed" type: "Reshape" bottom: "conv" top: "fixed"
                reshape_param { shape { dim: 2 dim: -1 } } }
        layer { name: "it" type: "ReLU" bottom: "fixed" top: "it" }""")
    text = text.replace("{ dim: 1 dim: 2 dim: 6", "{ dim: 2 dim: 2 dim: 6")
    path = write_weights(text)
    with open_net(kind, text, path, ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((2, 2, 6, 6))}, [])
        with pytest.raises(InputError, match="layer score"):
            engine.forward_from("conv", np.zeros((4, 4, 4, 4)), ["score"], rows=[0] * 4)
        assert engine.backward("score", np.ones((2, 3)), ["conv"])["conv"].any()


def test_a_blob_that_is_gone_is_named_and_can_be_kept(torch, write_weights):
    """The torch engine lets go what only layers below its targets read; Caffe has them all."""
    path = write_weights(BRANCHES)
    with open_net("torch", BRANCHES, path, ["score"], ["pool"]) as engine:
        engine.forward({"data": BATCH}, [])
        with pytest.raises(EngineError, match="read blob 'right' too, which is gone"):
            engine.forward_from("left", np.zeros((3, 4, 14, 12)), ["score"])
        values = engine.forward({"data": BATCH}, ["right", "norm1", "left", "score"])
        again = engine.forward_from("left", values["left"], ["score"])["score"]
    np.testing.assert_allclose(again, values["score"], rtol=1e-5)


CAPTIONS = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
layer { name: "sequences" type: "Input" top: "cont" top: "words"
        input_param { shape { dim: 3 dim: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "features" type: "InnerProduct" bottom: "conv" top: "features"
        inner_product_param { num_output: 5 } }
layer { name: "embedded" type: "Embed" bottom: "words" top: "embedded"
        embed_param { input_dim: 7 num_output: 4 } }
layer { name: "lstm" type: "LSTM" bottom: "embedded" bottom: "cont" bottom: "features" top: "lstm"
        recurrent_param { num_output: 6 } }
layer { name: "score" type: "InnerProduct" bottom: "lstm" top: "score"
        inner_product_param { num_output: 3 axis: 2 } }
"""


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sequences_beside_a_blob_have_their_items_behind_time(kind, write_weights, count):
    """Also where there are as many items as steps."""
    random = np.random.RandomState(0)
    cont = np.ones((3, count))
    cont[0] = 0
    inputs = {"data": random.randn(count, 2, 6, 6), "cont": cont,
              "words": random.randint(0, 7, (3, count))}
    order = [count - 1, 0, count - 1, 0]
    path = write_weights(CAPTIONS)
    with open_net(kind, CAPTIONS, path, ["score"], ["conv"]) as engine:
        values = engine.forward(inputs, ["conv", "score"])
        again = engine.forward_from("conv", values["conv"][order], ["score"], rows=order)
    np.testing.assert_allclose(again["score"], values["score"][:, order], rtol=1e-4, atol=1e-6)


def test_a_blob_of_other_items_is_refused_with_a_way_out(kind, write_weights):
    text = AROUND.format("""
        layer { name: "it" type: "Scale" bottom: "conv" bottom: "factors" top: "it" }""")
    text = ('layer { name: "factors" type: "Input" top: "factors" '
            "input_param { shape { dim: 4 } } }") + text
    text = text.replace('top: "it" }', 'top: "it" scale_param { axis: 1 } }')
    path = write_weights(text)
    with open_net(kind, text, path, ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6)), "factors": np.ones(4)}, [])
        with pytest.raises(EngineError, match="take a method that needs gradients only or runs "
                                              "the whole net, such as grad-cam or score-cam"):
            engine.forward_from("conv", np.zeros((2, 4, 4, 4)), ["score"], rows=[0, 0])
