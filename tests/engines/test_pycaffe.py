"""What only real Caffe can show."""

import resource

import numpy as np
import pytest
from definitions import random_input
from nets import AROUND, BRANCHES, FORKS
from opened import open_net

from prototxt_tools import rewrite
from prototxt_tools.errors import EngineError, InputError, OutOfMemory
from prototxt_tools.text.document import Document

BATCH = random_input((2, 3, 14, 12)) / 60
PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')


@pytest.mark.parametrize("target", ["conv1", "norm1", "left", "join"])
def test_the_gradient_is_that_of_finite_differences(caffe, target, tmp_path, write_weights):
    """Of sum(score * seed), as the value that the blob holds moves along random directions."""
    random = np.random.RandomState(1)
    path = write_weights(BRANCHES)
    seed = random.randn(2, 5).astype(np.float32)
    with open_net("caffe", BRANCHES, path, ["score"], [target]) as engine:
        value = engine.forward({"data": BATCH}, [target])[target]
        gradient = engine.backward("score", seed, [target])[target]

    (tmp_path / "net.prototxt").write_text(BRANCHES)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST, weights=path)
    net.blobs["data"].reshape(*BATCH.shape)
    net.reshape()
    net.blobs["data"].data[...] = BATCH
    net.forward()
    assert np.array_equal(net.blobs[target].data, value)
    names = list(net._layer_names)
    reader = {"conv1": "norm1", "norm1": "norm1_norm1_0_split", "left": "join",
              "join": "join_relu_join_0_split"}[target]

    def score_sum(moved):
        net.blobs[target].data[...] = moved
        net._forward(names.index(reader), len(names) - 1)
        return float((net.blobs["score"].data.astype(np.float64) * seed).sum())

    step = 0.002
    for _ in range(5):
        # Zeros stay zeros and nothing changes its sign: a ReLU and a maximum have kinks there.
        direction = value * random.uniform(-1, 1, value.shape).astype(np.float32)
        difference = score_sum(value + step * direction) - score_sum(value - step * direction)
        products = gradient.astype(np.float64) * direction
        scale = np.linalg.norm(products)
        assert abs(difference / (2 * step) - products.sum()) < 0.03 * scale


def test_what_caffe_aborts_on_is_said_in_its_own_words(caffe, write_weights):
    text = PLAIN + "fancy: 1"
    with pytest.raises(EngineError) as caught:
        open_net("caffe", text, write_weights(PLAIN), ["score"], ["conv"],
                 ignore_unknown_fields=True)
    message = str(caught.value)
    assert message.startswith("Caffe stopped: Error parsing text-format caffe.NetParameter: ")
    assert 'Message type "caffe.NetParameter" has no field named "fancy".' in message
    assert "\n" not in message


@pytest.mark.parametrize("text", [
    PLAIN.replace("kernel_size: 3", "kernel_size: 3 engine: CUDNN").replace(
        'type: "ReLU"', 'type: "ReLU" relu_param { engine: CUDNN }'),
    """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 6 input_dim: 6
    layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
             convolution_param { num_output: 4 kernel_size: 3 engine: CUDNN } }
    layers { name: "score" type: INNER_PRODUCT bottom: "conv" top: "score"
             inner_product_param { num_output: 3 } }"""], ids=["V2", "V1"])
def test_cudnn_is_left_out_where_the_build_has_none(caffe, text, write_weights):
    path = write_weights(PLAIN)
    data = {"data": np.ones((1, 2, 6, 6))}
    with open_net("caffe", text, path, ["score"], ["conv"]) as engine:
        found = engine.forward(data, ["score"])["score"]
    with open_net("caffe", text.replace("engine: CUDNN", ""), path, ["score"],
                     ["conv"]) as engine:
        assert np.array_equal(found, engine.forward(data, ["score"])["score"])


def test_after_caffe_aborted_the_next_forward_runs_again(caffe, write_weights):
    text = AROUND.format('layer { name: "it" type: "Threshold" bottom: "conv" top: "it" }')
    data = {"data": np.ones((1, 2, 6, 6))}
    with open_net("caffe", text, write_weights(text), ["score"], ["conv"]) as engine:
        first = engine.forward(data, ["score"])["score"]
        with pytest.raises(EngineError, match="Caffe stopped: .*Not Implemented Yet"):
            engine.backward("score", np.ones((1, 3)), ["conv"])
        with pytest.raises(EngineError, match="a forward before it"):
            engine.backward("score", np.ones((1, 3)), ["conv"])
        assert np.array_equal(engine.forward(data, ["score"])["score"], first)


def test_a_batch_that_caffe_cannot_hold_is_told_apart_and_a_smaller_one_runs(
        caffe, write_weights):
    """One image takes 130 MB; the process may have 300 MB more than after the first."""
    text = AROUND.format("""
        layer { name: "tile" type: "Tile" bottom: "conv" top: "tile"
                tile_param { axis: 1 tiles: 500000 } }
        layer { name: "sum" type: "Reduction" bottom: "tile" top: "sum"
                reduction_param { axis: 1 } }
        layer { name: "it" type: "Reshape" bottom: "sum" top: "it"
                reshape_param { shape { dim: 0 dim: 1 } } }""")
    data = np.ones((4, 2, 6, 6), np.float32)
    with open_net("caffe", text, write_weights(text), ["score"], ["conv"]) as engine:
        expected = engine.forward({"data": data[:1]}, ["score"])["score"]
        pid = engine.pid
        with open(f"/proc/{pid}/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (size + (300 << 20),) * 2)
        with pytest.raises(OutOfMemory):
            engine.forward({"data": data}, ["score"])
        again = engine.forward({"data": data[:1]}, ["score"])["score"]
    assert np.array_equal(again, expected)


def test_a_gpu_where_caffe_has_none_is_refused(caffe, write_weights):
    refusals = "Cannot use GPU in CPU-only Caffe|found no NVIDIA card that it can use"
    with pytest.raises(InputError, match=refusals):
        open_net("caffe", PLAIN, write_weights(PLAIN), ["score"], ["conv"], device="cuda")


def test_short_numbers_are_left_to_the_torch_engine(caffe, write_weights):
    with pytest.raises(EngineError, match="Caffe does not compute in bf16; use fp32"):
        open_net("caffe", PLAIN, write_weights(PLAIN), ["score"], ["conv"], precision="bf16")


def test_caffe_is_silent_unless_asked(caffe, write_weights, capfd):
    path = write_weights(PLAIN)
    open_net("caffe", PLAIN, path, ["score"], ["conv"]).close()
    assert capfd.readouterr() == ("", "")
    open_net("caffe", PLAIN, path, ["score"], ["conv"], verbose=True).close()
    output = capfd.readouterr()
    assert output.out == ""
    assert "Network initialization done" in output.err


def test_no_weight_gradient_is_computed(caffe, write_weights):
    engine = open_net(
        "caffe", BRANCHES, write_weights(BRANCHES), ["score"], ["left"], isolated=False)
    engine.forward({"data": BATCH}, [])
    engine.backward("score", np.ones((2, 5), np.float32), ["left"])
    for blobs in engine._net.params.values():
        assert not any(blob.diff.any() for blob in blobs)


SCORED_BY_A_CONVOLUTION = """
input: "data" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "maps" type: "Convolution" bottom: "conv" top: "maps"
        convolution_param { num_output: 20 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "maps" top: "maps" }
layer { name: "score" type: "Pooling" bottom: "maps" top: "score"
        pooling_param { pool: AVE global_pooling: true } }
"""


@pytest.mark.parametrize("text", [
    SCORED_BY_A_CONVOLUTION, PLAIN.replace("num_output: 3", "num_output: 20")],
    ids=["convolution", "inner product"])
@pytest.mark.parametrize("classes", [[0, 0], [3, 17], [None, None]])
def test_the_gradient_of_a_class_is_that_of_caffes_own_backward(
        caffe, text, classes, tmp_path, write_weights):
    """One class in twenty: the engine multiplies by its row alone, and Caffe by all."""
    path = write_weights(text)
    data = random_input((2, 2, 6, 6)) / 60
    with open_net("caffe", text, path, ["score"], ["conv"], isolated=False) as engine:
        seed = np.zeros_like(engine.forward({"data": data}, ["score"])["score"])
        for row, one in enumerate(classes):
            seed[row, one if one is not None else []] = 1
        multiply, ran = engine._multiply, []
        engine._multiply = lambda index: ran.append(multiply(index)) or ran[-1]
        gradient = engine.backward("score", seed, ["conv"])["conv"]
        engine._products = set()
        expected = engine.backward("score", seed, ["conv"])["conv"]
    assert ran == [True]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("target", ["conv1", "norm1", "left", "join"])
def test_pre_relu_is_what_a_full_backward_leaves_in_the_blob(
        caffe, target, tmp_path, write_weights):
    path = write_weights(BRANCHES)
    seed = np.random.RandomState(1).randn(2, 5).astype(np.float32)
    with open_net("caffe", BRANCHES, path, ["score"], [target], "pre-relu") as engine:
        engine.forward({"data": BATCH}, [])
        found = engine.backward("score", seed, [target])[target]

    only_score = rewrite.cut(Document.parse(BRANCHES), ["score"]).document
    (tmp_path / "net.prototxt").write_text(rewrite.force_backward(only_score).document.text())
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST, weights=path)
    net.blobs["data"].reshape(*BATCH.shape)
    net.reshape()
    net.forward(data=BATCH)
    net.backward(score=seed)
    assert np.array_equal(found, net.blobs[target].diff)


def test_what_forks_write_runs_in_stock_caffe_as_in_torch(caffe, torch, write_weights):
    path = write_weights(FORKS)
    data = {"data": random_input((2, 3, 8, 8)) / 60}
    results = []
    for kind in ("caffe", "torch"):
        with open_net(kind, FORKS, path, ["score"], ["conv", "down"]) as engine:
            values = engine.forward(data, ["conv", "down", "axpy", "score"])
            gradients = engine.backward("score", np.eye(2, 3), ["conv", "down"])
            results.append(list(values.values()) + [gradients["conv"], gradients["down"]])
    for found, expected in zip(*results):
        assert abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_weights_file_is_let_go_once_caffe_has_its_copy(caffe, write_weights):
    path = write_weights(PLAIN)
    with open_net("caffe", PLAIN, path, ["score"], ["conv"], isolated=False) as engine:
        with open("/proc/self/maps") as maps:
            assert path not in maps.read()
        # Other shapes are still held against the weights.
        with pytest.raises(InputError, match="layer score"):
            engine.forward({"data": np.ones((1, 2, 9, 9))}, [])
