"""Model folders for tests: a tiny net, and what may lie beside it."""

import pytest

from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema

NET = """
name: "tiny"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: %d dim: 8 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
TRAINING = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { %s } data_param { source: "x" batch_size: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 } }
"""


def tiny(folder):
    """The folder, with the tiny net and a file in the place of its weights."""
    (folder / "deploy.prototxt").write_text(NET % 3)
    (folder / "tiny.caffemodel").write_bytes(b"weights")
    return folder


def say(folder, gradcam, front="caffemodel: tiny.caffemodel\n"):
    section = "".join(f"  {line}\n" for line in gradcam.splitlines())
    text = f"---\n{front}gradcam:\n{section}---\nProse.\n"
    (folder / "readme.md").write_text(text)
    return folder


def write_binaryproto(path, mean):
    blob = schema.new("BlobProto")
    blob.num, (blob.channels, blob.height, blob.width) = 1, mean.shape
    blob.data.extend(mean.ravel().tolist())
    path.write_bytes(blob.SerializeToString())


def values(preprocessing):
    """All but the mean."""
    return (preprocessing.size, preprocessing.channel_order, preprocessing.scale,
            preprocessing.resize, preprocessing.crop, preprocessing.crops)


def refusal(*arguments, **overrides):
    with pytest.raises(InputError) as caught:
        LoadedModel.load(*arguments, **overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)
