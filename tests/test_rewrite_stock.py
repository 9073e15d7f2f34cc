"""Fields and layer types of forks, replaced by those of stock Caffe."""

import numpy as np
import pytest

from prototxt_tools import rewrite, shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def stock(text):
    return rewrite.stock(Document.parse(text))


POOLING = 'layer { name: "p" type: "Pooling" pooling_param { kernel_size: 2 %s } }'
HEAD = 'input: "d" input_shape { dim: 1 dim: 4 dim: 8 dim: 8 }\n'


@pytest.mark.parametrize(
    "before, after",
    [
        (POOLING % "ceil_mode: false", POOLING % "round_mode: FLOOR"),
        (POOLING % "ceil_mode: 0", POOLING % "round_mode: FLOOR"),
        (POOLING % "torch_pooling: true", POOLING % "round_mode: FLOOR"),
        (POOLING % "ceil_mode: true stride: 1", POOLING % "stride: 1"),
        (POOLING % "engine: MKL2017 stride: 1", POOLING % "stride: 1"),
        (POOLING % "engine: CUDNN", POOLING % "engine: CUDNN"),
        ('layer { name: "e" type: "Eltwise" eltwise_param { engine: CAFFE } }',
         'layer { name: "e" type: "Eltwise" eltwise_param { } }'),
        ('default_forward_type: FLOAT16\nglobal_grad_scale: 1000\nlayer { forward_type: FLOAT '
         'type: "ReLU" }', 'layer { type: "ReLU" }'),
        ('\ufefflayer { type: "ReLU" }', 'layer { type: "ReLU" }'),
        ('layer { type: "ReLU6" relu_param { engine: CAFFE } top: "a" }',
         'layer { type: "Clip" top: "a" clip_param { min: 0 max: 6 } }'),
        ('layer { type: "ReLU" }\nlayers { type: RELU }',
         'layer { type: "ReLU" }\nlayer { type: "ReLU" }'),
        ('layers { type: "Softmax" }', 'layer { type: "Softmax" }'),
        ('layer { type: "Dropout" dropout_param { scale_train: true dropout_ratio: 0.5 } }',
         'layer { type: "Dropout" dropout_param { dropout_ratio: 0.5 } }'),
    ],
)
def test_what_stock_caffe_has_another_form_for_is_replaced(before, after):
    result = stock(before)
    assert result.document.text() == after
    assert not any(note.startswith("left") for note in result.notes)
    assert stock(after).document.text() == after


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_a_depthwise_layer_becomes_a_convolution_with_a_group_per_channel(kind):
    layer = 'layer { name: "w" type: "%s" bottom: "d" top: "w" convolution_param { ' \
        "num_output: 4 kernel_size: 3 } }"
    result = stock(HEAD + layer % kind)
    expected = layer % "Convolution"
    assert result.document.text() == HEAD + expected.replace("size: 3 }", "size: 3 group: 4 }")
    unknown = stock(layer % kind)
    assert unknown.document.text() == layer % kind
    assert unknown.notes[0] == f"left {kind} w (line 1): how many channels it reads is not known"


def test_what_cannot_be_replaced_is_listed_with_its_line():
    text = 'layer { type: "ReLU" }\nlayer {\n  name: "x"\n  type: "Permute"\n  permute_param { ' \
        "order: 0 } }\nlayer { type: \"Pooling\" pooling_param { pool: AVE\n avg_include_pad: 1 } }"
    result = stock(text)
    assert result.document.text() == text
    assert list(result.notes) == [
        "left Permute x (line 2): stock Caffe has no such layer type",
        "left avg_include_pad (line 7): stock Caffe's PoolingParameter has no such field or value",
    ]


FORK = """
input: "data" input_shape { dim: 2 dim: 4 dim: 7 dim: 7 }
input: "gate" input_shape { dim: 2 dim: 4 dim: 1 dim: 1 }
layer { name: "dw" type: "DepthwiseConvolution" bottom: "data" top: "dw"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 bias_term: false engine: MKLDNN } }
layer { name: "conv" type: "Convolution" bottom: "dw" top: "conv"
  convolution_param { num_output: 4 kernel_size: 1 bias_term: false } }
layer { name: "sum" type: "Axpy" bottom: "gate" bottom: "conv" bottom: "data" top: "sum" }
layer { name: "six" type: "ReLU6" bottom: "sum" top: "six" }
layer { name: "pool" type: "Pooling" bottom: "six" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 ceil_mode: false } }
"""


def test_caffe_computes_what_the_fork_meant(caffe, tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(stock(FORK).document.encode())
    net = caffe.Net(str(path), caffe.TEST)
    random = np.random.RandomState(0)
    data, gate = random.uniform(-3, 3, (2, 4, 7, 7)), random.uniform(0, 1, (2, 4, 1, 1))
    deep, point = random.uniform(-2, 2, (8, 1, 3, 3)), random.uniform(-2, 2, (4, 8, 1, 1))
    net.params["dw"][0].data[...], net.params["conv"][0].data[...] = deep, point
    pooled = net.forward(data=data, gate=gate)["pool"]
    padded = np.pad(data, ((0, 0), (0, 0), (1, 1), (1, 1)), "constant")
    windows = np.stack([padded[:, :, i : i + 7, j : j + 7] for i in range(3) for j in range(3)], -1)
    convolved = np.einsum("nchwk,cok->ncohw", windows, deep.reshape(4, 2, 9)).reshape(2, 8, 7, 7)
    convolved = np.einsum("nchw,oc->nohw", convolved, point[:, :, 0, 0])
    six = np.clip(gate * convolved + data, 0, 6)
    expected = six[:, :, :6, :6].reshape(2, 4, 3, 2, 3, 2).max((3, 5))
    assert (expected > 0).any() and (expected == 6).any() and (six == 0).any()
    assert pooled == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_shapes_stay_those_of_the_fork():
    before, after = (Net.parse(d) for d in (Document.parse(FORK), stock(FORK).document))
    sizes = shapes.infer(after)
    assert sizes["pool"] == (2, 4, 3, 3)
    assert {blob: sizes[blob] for blob in shapes.infer(before)} == shapes.infer(before)
