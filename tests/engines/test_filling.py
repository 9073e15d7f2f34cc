"""Layers without weights of their own."""

import numpy as np
import pytest
from definitions import random_input
from nets import AROUND
from opened import open_net

from prototxt_tools import weights
from prototxt_tools.errors import InputError, WeightsError

UNLEARNED = """
input: "data" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { value: 0.5 }
                            bias_filler { type: "constant" value: -20 } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true } }
layer { name: "prelu" type: "PReLU" bottom: "scale" top: "prelu" }
layer { name: "up" type: "Deconvolution" bottom: "prelu" top: "up"
        convolution_param { num_output: 2 group: 2 kernel_size: 4 stride: 2 pad: 1
                            bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score" type: "InnerProduct" bottom: "up" top: "score"
        inner_product_param { num_output: 3 } }
"""


def only(path, *names):
    """Leave the weights of some layers in a file."""
    learned = weights.load(path)
    weights.save(path, {name: learned[name] for name in names})


def test_layers_without_weights_are_filled_as_caffe_fills_them(kind, write_weights):
    path = write_weights(UNLEARNED)
    only(path, "score")
    with pytest.raises(InputError) as caught:
        open_net(kind, UNLEARNED, path, ["score"], ["conv"])
    assert str(caught.value) == path + ": no weights for layer conv, bn, scale, prelu, up"
    with open_net(kind, UNLEARNED, path, ["score"], ["conv"], allow_missing=True) as engine:
        values = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["conv", "scale", "up"])
    # 18 ones times 0.5, minus 20; variance 0, so eps alone; then a slope of 0.25.
    np.testing.assert_allclose(values["conv"], -11, rtol=1e-6)
    np.testing.assert_allclose(values["scale"], -11 / np.sqrt(1e-5), rtol=1e-5)
    edge = np.array([0.75, 1, 1, 1, 1, 1, 1, 0.75])
    expected = np.outer(edge, edge) * values["scale"].mean() / 4
    np.testing.assert_allclose(values["up"], np.stack([[expected] * 2]), rtol=1e-5)


def test_random_fillers_are_left_to_caffe(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    text = text.replace("num_output: 3", 'num_output: 3 weight_filler { type: "xavier" }')
    path = write_weights(text)
    only(path, "conv")
    if kind == "torch":
        with pytest.raises(WeightsError, match="layer score, and its filler 'xavier' draws random"):
            open_net(kind, text, path, ["score"], ["conv"], allow_missing=True)
    else:
        with open_net(kind, text, path, ["score"], ["conv"], allow_missing=True) as engine:
            score = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["score"])["score"]
        assert len(set(score[0])) == 3


def test_layers_that_share_weights_by_name_get_the_same(kind, write_weights):
    """The file holds one stream of a siamese net, the definition has two."""
    shared = 'param { name: "w" } param { name: "b" }'
    stream = """
        layer {{ name: "conv{0}" type: "Convolution" bottom: "data{0}" top: "conv{0}" {1}
                convolution_param {{ num_output: 4 kernel_size: 3 }} }}"""
    head = 'input: "data{0}" input_shape {{ dim: 1 dim: 2 dim: 3 dim: 3 }}'
    text = head.format(1) + head.format(2) + stream.format(1, shared) + stream.format(2, shared)
    text += 'layer { name: "score" type: "Eltwise" bottom: "conv1" bottom: "conv2" top: "score" }'
    path = write_weights(head.format(1) + stream.format(1, ""))
    image = random_input((1, 2, 3, 3))
    with open_net(kind, text, path, ["score"], ["conv1", "conv2"]) as engine:
        values = engine.forward({"data1": image, "data2": image}, ["conv1", "conv2"])
    assert abs(values["conv1"]).max() > 0
    assert np.array_equal(values["conv1"], values["conv2"])


def test_weights_of_half_precision_are_taken(kind, tmp_path, write_weights):
    h5py = pytest.importorskip("h5py")
    text = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    learned = weights.load(write_weights(text))
    path = str(tmp_path / "half.caffemodel.h5")
    with h5py.File(path, "w") as file:
        for name, blobs in learned.items():
            for index, blob in enumerate(blobs):
                file[f"data/{name}/{index}"] = blob.astype(np.float16)
    assert weights.load(path)["conv"][0].dtype == np.float16
    with open_net(kind, text, path, ["score"], ["conv"]) as engine:
        conv = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["conv"])["conv"]
    kernels, bias = (blob.astype(np.float16) for blob in learned["conv"])
    expected = kernels.sum((1, 2, 3), np.float32) + bias
    np.testing.assert_allclose(conv[0, :, 0, 0], expected, rtol=1e-5, atol=1e-6)
