"""What every engine promises, whichever it is."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from nets import AROUND, BATCH, SEED, TARGETS
from opened import open_net

from prototxt_tools import weights
from prototxt_tools.errors import EngineError


def test_a_batch_gives_what_its_images_give_one_by_one(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["score", "join"])
        gradients = engine.backward("score", SEED, TARGETS)
        for row in range(3):
            one = engine.forward({"data": BATCH[row:row + 1]}, ["score", "join"])
            single = engine.backward("score", SEED[row:row + 1], TARGETS)
            for blob in one:
                np.testing.assert_allclose(one[blob][0], values[blob][row], rtol=1e-4, atol=1e-6)
            for target in TARGETS:
                np.testing.assert_allclose(
                    single[target][0], gradients[target][row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
def test_several_targets_at_once_give_what_each_gives_alone(branches, gradient):
    with branches(gradient=gradient) as engine:
        engine.forward({"data": BATCH}, [])
        together = engine.backward("score", SEED, TARGETS)
        alone = {target: engine.backward("score", SEED, [target])[target] for target in TARGETS}
    for target in TARGETS:
        assert abs(alone[target]).max() > 0
        assert np.array_equal(together[target], alone[target]), target


def test_backward_again_gives_the_same_and_nothing_carries_over(branches):
    with branches() as engine:
        engine.forward({"data": BATCH}, [])
        first = engine.backward("score", SEED, TARGETS)
        other = engine.backward("score", -2 * SEED, TARGETS)
        again = engine.backward("score", SEED, TARGETS)
    for target in TARGETS:
        assert np.array_equal(first[target], again[target])
        assert np.array_equal(other[target], -2 * first[target])


def test_pre_relu_is_post_where_the_relu_was_open_and_zero_elsewhere(branches):
    with branches() as engine:
        value = engine.forward({"data": BATCH}, ["conv1"])["conv1"]
        post = engine.backward("score", SEED, ["conv1"])["conv1"]
    with branches(gradient="pre-relu") as engine:
        assert np.array_equal(engine.forward({"data": BATCH}, ["conv1"])["conv1"], value)
        pre = engine.backward("score", SEED, ["conv1"])["conv1"]
    assert value.min() == 0
    assert np.array_equal(pre, post * (value > 0))
    assert abs(post[value == 0]).max() > 0


def test_the_two_gradients_are_one_where_nothing_is_in_place(branches):
    results = []
    for gradient in ("post", "pre-relu"):
        with branches(gradient=gradient) as engine:
            engine.forward({"data": BATCH}, [])
            results.append(engine.backward("score", SEED, ["norm1"])["norm1"])
    assert np.array_equal(*results)


def test_another_size_of_image_is_taken_where_the_net_allows_it(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "Pooling" bottom: "conv" top: "it" '
                         'pooling_param { pool: AVE global_pooling: true } }')
    with open_net(kind, text, write_weights(text), ["score"], ["conv"]) as engine:
        for size in ((1, 2, 6, 6), (2, 2, 9, 5), (1, 2, 6, 6)):
            values = engine.forward({"data": np.ones(size, np.float32)}, ["conv", "score"])
            assert values["conv"].shape == (size[0], 4, size[2] - 2, size[3] - 2)
            gradient = engine.backward("score", np.ones((size[0], 3)), ["conv"])["conv"]
            assert gradient.shape == values["conv"].shape


def test_what_comes_back_are_copies(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["conv1", "score"])
        kept = values["conv1"].copy()
        values["conv1"][...] = 7
        first = engine.backward("score", SEED, ["conv1"])["conv1"]
        expected = first.copy()
        first[...] = 7
        assert np.array_equal(engine.backward("score", SEED, ["conv1"])["conv1"], expected)
        assert np.array_equal(engine.forward({"data": BATCH}, ["conv1"])["conv1"], kept)


def test_two_targets_that_share_one_tensor_have_their_own_gradients(kind, write_weights):
    text = AROUND.format("""
        layer { name: "drop" type: "Dropout" bottom: "conv" top: "drop" }
        layer { name: "it" type: "Concat" bottom: "conv" bottom: "drop" top: "it" }""")
    path = write_weights(text)
    with open_net(kind, text, path, ["score"], ["conv", "drop"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        gradients = engine.backward("score", np.float32([[1, 0, 0]]), ["conv", "drop"])
    of_conv, of_drop = weights.load(path)["score"][0][0].reshape(2, 1, 4, 4, 4)
    np.testing.assert_allclose(gradients["drop"], of_drop, rtol=1e-6)
    np.testing.assert_allclose(gradients["conv"], of_conv + of_drop, rtol=1e-5, atol=1e-7)


V1 = """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 3
    layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
             convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
    layers { name: "score" type: INNER_PRODUCT bottom: "conv" top: "score"
             inner_product_param { num_output: 3 } }
"""
V0 = """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 3
    layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "pad" }
    layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 }
             bottom: "pad" top: "conv" }
    layers { layer { name: "score" type: "innerproduct" num_output: 3 }
             bottom: "conv" top: "score" }
"""


@pytest.mark.parametrize("text", [V1, V0], ids=["V1", "V0"])
def test_old_forms_run(kind, text, write_weights):
    path = write_weights(V1)
    with open_net(kind, text, path, ["score"], ["conv"]) as engine:
        assert engine.forward({"data": np.ones((1, 2, 3, 3))}, ["conv"])["conv"].shape[3] == 3
        gradient = engine.backward("score", np.float32([[0, 1, 0]]), ["conv"])["conv"]
    np.testing.assert_allclose(gradient.ravel(), weights.load(path)["score"][0][1], rtol=1e-6)


def test_a_closed_engine_says_so_and_can_be_closed_again(branches):
    engine = branches()
    engine.forward({"data": BATCH}, [])
    engine.close()
    engine.close()
    for call in (lambda: engine.forward({"data": BATCH}, []),
                 lambda: engine.forward_from("left", BATCH, ["score"]),
                 lambda: engine.backward("score", SEED, ["left"]),
                 lambda: engine.replace_weights({})):
        with pytest.raises(EngineError, match="the engine is closed"):
            call()


def test_calls_may_come_from_any_thread_one_after_the_other(branches):
    with ThreadPoolExecutor(1) as pool:
        engine = pool.submit(branches).result()
    with engine:
        values = engine.forward({"data": BATCH}, ["score"])["score"]
        gradient = engine.backward("score", SEED, ["left"])["left"]
        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                again = pool.submit(engine.forward, {"data": BATCH}, ["score"]).result()
            with ThreadPoolExecutor(1) as pool:
                slopes = pool.submit(engine.backward, "score", SEED, ["left"]).result()
            np.testing.assert_allclose(again["score"], values, rtol=1e-5)
            np.testing.assert_allclose(slopes["left"], gradient, rtol=1e-5, atol=1e-8)


def test_a_fork_can_neither_use_nor_close_an_inherited_engine(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["score"])["score"]
        child = os.fork()
        if not child:
            try:
                engine.close()
                with pytest.raises(EngineError, match="before this process was forked"):
                    engine.forward({"data": BATCH}, ["score"])
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        again = engine.forward({"data": BATCH}, ["score"])["score"]
        np.testing.assert_allclose(again, values, rtol=1e-5)
        assert engine.backward("score", SEED, ["left"])["left"].any()
