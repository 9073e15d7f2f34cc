"""CROP layers of V1, which have no offset: it is worked out from the layers between."""

import numpy as np
import pytest
from opened import open_net

from prototxt_tools import rewrite, shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

_CONVOLUTION = """layers {{ name: "{0}" type: {1} bottom: "{2}" top: "{0}"
  convolution_param {{ num_output: 2 kernel_size: {3} stride: {4} pad: {5} }} }}
"""
_POOLING = """layers {{ name: "{0}" type: POOLING bottom: "{1}" top: "{0}"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
"""


def crop(name, cut, like):
    return (f'layers {{ name: "{name}" type: CROP bottom: "{cut}" bottom: "{like}" '
            f'top: "{name}" }}\n')


def net(size=40, pad=100, up=(64, 32)):
    """The strides and paddings of FCN-8s with one convolution per stage."""
    text = f'input: "data" input_dim: 1 input_dim: 3 input_dim: {size} input_dim: {size}\n'
    text += _CONVOLUTION.format("conv1", "CONVOLUTION", "data", 3, 1, pad)
    below = "conv1"
    for number in range(1, 6):
        text += 'layers { name: "relu%d" type: RELU bottom: "%s" top: "%s" }\n' % (
            number, below, below)
        below = f"pool{number}"
        text += _POOLING.format(below, "conv1" if number == 1 else f"pool{number - 1}")
    text += _CONVOLUTION.format("fc6", "CONVOLUTION", "pool5", 7, 1, 0)
    return text


FCN8 = (net() + _CONVOLUTION.format("score2", "DECONVOLUTION", "fc6", 4, 2, 0)
        + crop("pool4c", "pool4", "score2")
        + _CONVOLUTION.format("score4", "DECONVOLUTION", "pool4c", 4, 2, 0)
        + crop("pool3c", "pool3", "score4")
        + _CONVOLUTION.format("big", "DECONVOLUTION", "pool3c", 16, 8, 0)
        + crop("upscore", "big", "data"))
FCN32 = (net() + _CONVOLUTION.format("big", "DECONVOLUTION", "fc6", 64, 32, 0)
         + crop("upscore", "big", "data"))


def offsets(text):
    return {layer.name: layer.offset for layer in Net.parse(text).layers if layer.offset}


def test_offsets_are_those_that_the_authors_published_for_v2():
    # fcn.berkeleyvision.org: voc-fcn8s has 5, 9 and 31, voc-fcn32s 19.
    assert offsets(FCN8) == {"pool4c": (5, 5), "pool3c": (9, 9), "upscore": (31, 31)}
    assert offsets(FCN32) == {"upscore": (19, 19)}


def test_shapes_and_the_upgraded_net_follow():
    assert shapes.infer(Net.parse(FCN8))["upscore"] == (1, 2, 40, 40)
    result = rewrite.upgrade(Document.parse(FCN8))
    assert sum(note.startswith("worked out the offset of Crop") for note in result.notes) == 3
    upgraded = Net.parse(result.document)
    assert list(upgraded.layer("upscore").message.crop_param.offset) == [31, 31]
    assert shapes.infer(upgraded)["upscore"] == (1, 2, 40, 40)


@pytest.mark.parametrize("text", [
    net() + crop("c", "fc6", "data"),  # The cells of one are 32 times as large.
    net(pad=99) + _CONVOLUTION.format("b", "DECONVOLUTION", "fc6", 63, 32, 0)
    + crop("c", "b", "data"),  # Half a cell.
    net(pad=0) + _CONVOLUTION.format("b", "DECONVOLUTION", "pool1", 4, 2, 3)
    + crop("c", "b", "data"),  # Before the first cell.
    'input: "a" input: "b"\n' + crop("c", "a", "b"),  # Nothing in common.
])
def test_what_cannot_be_aligned_stays_unknown(text):
    assert Net.parse(text).layer("c").type == "CROP" and offsets(text) == {}


def test_the_torch_engine_cuts_there(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed here")
    from prototxt_tools import weights

    text = ('input: "data" input_dim: 1 input_dim: 1 input_dim: 6 input_dim: 6\n'
            + _CONVOLUTION.format("wide", "CONVOLUTION", "data", 1, 1, 2)
            + crop("back", "wide", "data"))
    path = tmp_path / "net.caffemodel"
    weights.save(path, {"wide": [np.ones((2, 1, 1, 1)), np.zeros(2)]})
    image = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    with open_net("torch", text, path, ["back"], ["wide"]) as engine:
        values = engine.forward({"data": image}, ["back"])["back"]
    assert np.array_equal(values, np.repeat(image, 2, axis=1))
