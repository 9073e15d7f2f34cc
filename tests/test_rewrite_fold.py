"""BatchNorm and Scale as part of the convolution before them."""

import definitions
import numpy as np
import pytest

from prototxt_tools import rewrite, weights
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

HEAD = """input: "data" input_shape { dim: 2 dim: 3 dim: 6 dim: 6 }
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  convolution_param {
    num_output: 4
    bias_term: false
    kernel_size: 3
  }
}
"""
BATCH_NORM = 'layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }\n'
SCALE = 'layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" ' \
    "scale_param { bias_term: true } }\n"
TAIL = 'layer { name: "relu" type: "ReLU" bottom: "conv" top: "out" }\n'


def folded(text):
    return rewrite.fold(Document.parse(text), definitions.random_weights(text))


def test_the_layers_go_and_the_convolution_has_a_bias():
    result = folded(HEAD + BATCH_NORM + SCALE + TAIL)
    assert result.document.text() == HEAD.replace("    bias_term: false\n", "") + TAIL
    assert list(result.notes) == [
        "folded BatchNorm bn (line 13) into Convolution conv (line 2)",
        "folded Scale scale (line 14) into Convolution conv (line 2)",
    ]
    assert [(name, [blob.shape for blob in blobs]) for name, blobs in result.weights.items()] == [
        ("conv", [(4, 3, 3, 3), (4,)])
    ]


def test_the_weights_are_those_of_the_formula():
    text = HEAD.replace("bias_term: false", "bias_term: true") + BATCH_NORM + SCALE + TAIL
    before = definitions.random_weights(text)
    after = rewrite.fold(Document.parse(text), before).weights
    weight, bias = before["conv"]
    mean, variance, factor = before["bn"]
    gamma, beta = before["scale"]
    a = gamma / np.sqrt(variance / factor + 1e-5)
    assert after["conv"][0] == pytest.approx(weight * a[:, None, None, None], rel=1e-6)
    assert after["conv"][1] == pytest.approx((bias - mean / factor) * a + beta, rel=1e-4, abs=1e-6)
    assert "bn" in before and before["conv"][0] is weight


def test_a_top_of_its_own_becomes_that_of_the_convolution():
    apart = BATCH_NORM.replace('top: "conv"', 'top: "bn"')
    document = folded(HEAD + apart + TAIL.replace('"conv"', '"bn"')).document
    tops = [(layer.name, layer.tops) for layer in Net.parse(document).layers]
    assert tops == [("conv", ["bn"]), ("relu", ["out"])]


READER = 'layer { name: "other" type: "TanH" bottom: "conv" top: "other" }\n'


@pytest.mark.parametrize(
    "text, obstacle",
    [
        (HEAD + READER + BATCH_NORM, "another layer reads conv as well"),
        (HEAD + TAIL + BATCH_NORM.replace('"conv"', '"out"'), "it follows ReLU relu (line 13)"),
        (HEAD + BATCH_NORM.replace("top", "batch_norm_param { use_global_stats: false } top"),
         "it uses the statistics of each batch"),
        (HEAD + SCALE.replace("bias_term", "axis: 0 bias_term"), "does not scale each channel"),
        (HEAD.replace("top:", 'param { name: "w" } top:') + BATCH_NORM, "shares its name or"),
        (HEAD + BATCH_NORM.replace("top", "include { phase: TEST } top"), "or has phases"),
        (BATCH_NORM.replace('"conv"', '"data"', 1) + HEAD, "does not read one layer"),
    ],
)
def test_what_would_change_the_outputs_stays(text, obstacle):
    values = {"conv": [np.ones((4, 3, 3, 3))], "bn": [np.ones(4)] * 2 + [np.ones(1)],
              "scale": [np.ones(4), np.ones(4)]}
    result = rewrite.fold(Document.parse(text), values)
    assert result.document.text() == text
    [note] = result.notes
    assert note.startswith("left") and obstacle in note
    assert result.weights == values


def test_layers_without_weights_stay():
    result = rewrite.fold(Document.parse(HEAD + BATCH_NORM), {})
    assert result.document.text() == HEAD + BATCH_NORM
    assert list(result.notes) == ["left BatchNorm bn (line 13): there are no weights for bn"]


SMALL = """input: "data" input_shape { dim: 2 dim: 3 dim: 6 dim: 6 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 group: 1 bias_term: false } }
layer { name: "s0" type: "Scale" bottom: "c" top: "s0" }
layer { name: "b" type: "BatchNorm" bottom: "s0" top: "s0" batch_norm_param { eps: 0.1 } }
layer { name: "r" type: "ReLU" bottom: "s0" top: "s0" }
layer { name: "f" type: "InnerProduct" bottom: "s0" top: "f"
  inner_product_param { num_output: 5 transpose: true } }
layer { name: "s1" type: "Scale" bottom: "f" top: "s1" scale_param { bias_term: true } }
layer { name: "g" type: "InnerProduct" bottom: "s1" top: "g" inner_product_param { num_output: 3 } }
layer { name: "b2" type: "BatchNorm" bottom: "g" top: "g" }
"""


@pytest.mark.parametrize(
    "text, fewer, blobs",
    [
        (SMALL, 4, ["s0", "s1", "g"]),
        (definitions.resnet(18, 20), 40, ["pool1", "pool5", "fc20"]),
        (definitions.resnet(50, 20), 106, ["pool1", "pool5", "fc20"]),
    ],
    ids=["small", "resnet18", "resnet50"],
)
def test_caffe_gives_the_same_outputs(caffe, tmp_path, text, fewer, blobs):
    result = folded(text)
    before = caffe_net(caffe, tmp_path, text.encode(), definitions.random_weights(text))
    after = caffe_net(caffe, tmp_path, result.document.encode(), result.weights)
    assert len(before.layers) - len(after.layers) == fewer
    image = np.random.RandomState(0).uniform(-9, 9, before.blobs["data"].data.shape)
    before.forward(data=image)
    after.forward(data=image)
    for blob in blobs:
        size = np.abs(before.blobs[blob].data).max()
        assert size > 0.01
        assert np.abs(after.blobs[blob].data - before.blobs[blob].data).max() <= 1e-5 * size


def caffe_net(caffe, folder, definition, values):
    path, model = folder / "net.prototxt", str(folder / "net.caffemodel")
    path.write_bytes(definition)
    weights.save(model, values)
    return caffe.Net(str(path), caffe.TEST, weights=model)


def test_a_net_that_normalises_before_its_convolutions_stays():
    result = folded(definitions.densenet())
    assert result.document.text() == definitions.densenet()
    assert len(result.notes) == 24 and all(note.startswith("left") for note in result.notes)


def test_legacy_weights_with_four_axes_fold_as_well():
    values = definitions.random_weights(SMALL)
    weight, bias = values["g"]
    legacy = dict(values, g=[weight.reshape(1, 1, 3, 5), bias.reshape(1, 1, 1, 3)])
    plain = rewrite.fold(Document.parse(SMALL), values).weights
    old = rewrite.fold(Document.parse(SMALL), legacy).weights
    assert np.array_equal(plain["g"][0].ravel(), old["g"][0].ravel())
    assert np.array_equal(plain["g"][1], old["g"][1])
