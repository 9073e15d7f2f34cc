"""Other weights put into a net that is open."""

import os
import signal

import numpy as np
import pytest
from nets import AROUND, BATCH, BRANCHES, SEED
from opened import open_net

from caffe_gradcam.engines import NetToRun, Running
from caffe_gradcam.engines.isolated import IsolatedEngine
from prototxt_tools import weights
from prototxt_tools.errors import EngineError, InputError

PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')


def explain(engine):
    values = engine.forward({"data": BATCH}, ["score", "left"])
    gradient = engine.backward("score", SEED, ["left"])["left"]
    again = engine.forward_from("left", values["left"][:1], ["score"], rows=[0])["score"]
    return [values["score"], values["left"], gradient, again]


def test_they_give_what_a_file_with_them_gives_and_the_old_ones_come_back(kind, write_weights):
    path = write_weights(BRANCHES)
    learned = weights.load(path)
    random = np.random.RandomState(0)
    other = {name: [random.permutation(blob.ravel()).reshape(blob.shape) for blob in blobs]
             for name, blobs in learned.items() if name in ("conv1", "left", "fc", "score")}
    other_path = path + ".other"
    weights.save(other_path, dict(learned, **other))
    with open_net(kind, BRANCHES, other_path, ["score"], ["left"]) as engine:
        expected = explain(engine)
    with open_net(kind, BRANCHES, path, ["score"], ["left"]) as engine:
        before = explain(engine)
        engine.replace_weights(other)
        with pytest.raises(EngineError, match="needs a forward before it"):
            engine.backward("score", SEED, ["left"])
        with pytest.raises(EngineError, match="needs a forward before it"):
            engine.forward_from("left", before[1], ["score"])
        replaced = explain(engine)
        engine.replace_weights({name: learned[name] for name in other})
        after = explain(engine)
    for index in range(4):
        assert abs(before[index] - expected[index]).max() > 1e-3
        np.testing.assert_allclose(replaced[index], expected[index], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(after[index], before[index], rtol=1e-4, atol=1e-6)


def test_layers_that_share_them_get_them_too(kind, write_weights):
    stream = """
        input: "data{0}" input_shape {{ dim: 1 dim: 2 dim: 3 dim: 3 }}
        layer {{ name: "conv{0}" type: "Convolution" bottom: "data{0}" top: "conv{0}"
                 param {{ name: "w" }} param {{ name: "b" }}
                 convolution_param {{ num_output: 4 kernel_size: 3 }} }}"""
    text = stream.format(1) + stream.format(2)
    text += 'layer { name: "score" type: "Eltwise" bottom: "conv1" bottom: "conv2" top: "score" }'
    path = write_weights(text)
    image = np.ones((1, 2, 3, 3), np.float32)
    with open_net(kind, text, path, ["score"], ["conv1", "conv2"]) as engine:
        engine.replace_weights({"conv1": [np.ones((4, 2, 3, 3)), np.arange(4)]})
        values = engine.forward({"data1": image, "data2": image}, ["conv1", "conv2"])
    assert values["conv1"].ravel().tolist() == [18, 19, 20, 21]
    assert np.array_equal(values["conv1"], values["conv2"])


def test_what_does_not_fit_is_said_and_changes_nothing(kind, write_weights):
    path = write_weights(PLAIN)
    matrix, bias = weights.load(path)["score"]
    with open_net(kind, PLAIN, path, ["score"], ["conv"]) as engine:
        before = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["score"])["score"]
        for other, words in (
                ({"score": [matrix[:2], bias]}, "layer score, blob 0: the net needs 3 x 64 and"),
                ({"score": [matrix]}, "layer score needs 2 blobs"),
                ({"score": [matrix, bias * np.nan]}, "layer score, blob 1 holds NaN"),
                ({"it": [matrix]}, "no layer 'it' with weights"),
                ({"nowhere": [matrix]}, "no layer 'nowhere' with weights")):
            with pytest.raises(InputError, match=words):
                engine.replace_weights(dict(other, conv=weights.load(path)["conv"]))
        after = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["score"])["score"]
    assert np.array_equal(before, after)


def test_a_child_that_replaces_a_dead_one_has_them(torch, write_weights):
    path = write_weights(PLAIN)
    data = {"data": np.ones((1, 2, 6, 6), np.float32)}
    net = NetToRun(PLAIN, path, ("score",), ("conv",))
    with IsolatedEngine(net, Running(engine="torch")) as engine:
        engine.replace_weights({"score": [np.zeros((3, 64)), np.float32([1, 2, 3])]})
        os.kill(engine.pid, signal.SIGKILL)
        with pytest.raises(EngineError):
            engine.forward(data, ["score"])
        assert engine.forward(data, ["score"])["score"].tolist() == [[1, 2, 3]]
