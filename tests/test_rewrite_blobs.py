"""Batch sizes and in-place layers."""

import definitions
import numpy as np
import pytest

from prototxt_tools import rewrite, shapes, weights
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def batch_size(text, n):
    return rewrite.batch_size(Document.parse(text), n)


RELU = 'layer { name: "r" type: "ReLU" bottom: "a" top: "b" }\n'


@pytest.mark.parametrize(
    "text",
    [
        'input: "a"\ninput_dim: %d # images\ninput_dim: 3\ninput_dim: 4\ninput_dim: 5\n' + RELU,
        'input: "a" input_dim: [%d, 3, 4, 5] ' + RELU,
        'input: "a" input_shape { dim: %d dim: 3 } ' + RELU,
        'layer { name: "a" type: "Input" top: "a" top: "c" input_param { shape { dim: %d dim: 3 } '
        "} }\n" + RELU,
        'layer { name: "a" type: "Data" top: "a" data_param { batch_size: %d } }\n' + RELU,
        'layers { name: "a" type: IMAGE_DATA top: "a" image_data_param { batch_size: %d } }\n',
        'layers { layer { name: "a" type: "data" batchsize: %d } top: "a" }\n',
    ],
)
def test_the_batch_size_changes_and_nothing_else(text):
    result = batch_size(text % 10, 2)
    assert result.document.text() == text % 2
    assert len(result.notes) == 1 or text.count("top") == 3
    assert batch_size(text % 2, 2).notes == ()


def test_an_input_that_counts_something_else_stays():
    text = 'input: "a" input_dim: [10, 3, 4, 5] input: "rois" input_dim: [300, 5, 1, 1] ' + RELU
    result = batch_size(text, 1)
    assert result.document.text() == text.replace("[10", "[1")
    assert result.notes[1] == "left input rois: its first size is 300"


def test_a_net_that_cannot_be_built_with_the_batch_is_refused():
    text = 'input: "a" input_shape { dim: 4 dim: 6 } layer { name: "fixed" type: "Reshape" ' \
        'bottom: "a" top: "b" reshape_param { shape { dim: 4 dim: 6 } } }'
    with pytest.raises(InputError, match="layer fixed"):
        batch_size(text, 1)
    with pytest.raises(InputError, match="at least one image"):
        batch_size(text, 0)


CHAIN = """input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: 'conv' } # in place
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "conv" top: "sum" }
"""
APART = """input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" } # in place
layer { name: "drop" type: "Dropout" bottom: "relu" top: "drop" }
layer { name: "sum" type: "Eltwise" bottom: "drop" bottom: "drop" top: "sum" }
"""


def un_in_place(text):
    return rewrite.un_in_place(Document.parse(text)).document.text()


def test_in_place_layers_get_tops_of_their_own():
    assert un_in_place(CHAIN) == APART
    assert un_in_place(APART) == APART


def test_old_forms_get_them_too():
    v1 = 'layers { name: "r" type: RELU bottom: "a" top: "a" }'
    assert un_in_place(v1) == v1.replace('top: "a"', 'top: "r"')
    v0 = 'layers { layer { name: "r" type: "relu" } bottom: "a" top: "a" }'
    assert un_in_place(v0) == v0.replace('top: "a"', 'top: "r"')
    padded = v0 + ' layers { layer { name: "p" type: "padding" pad: 1 } bottom: "a" top: "p" } ' \
        'layers { layer { name: "c" type: "conv" kernelsize: 3 } bottom: "p" top: "c" }'
    net = Net.parse(un_in_place(padded))
    assert (net.form, net.layer("c").bottoms) == ("V2", ["r"])


def test_a_name_that_is_taken_is_not_taken_again():
    text = 'layer { name: "x" top: "a" }\nlayer { name: "a" type: "ReLU" bottom: "a" top: "a" }\n' \
        'layer { type: "ReLU" bottom: "a" top: "a" }\n'
    tops = [layer.tops for layer in Net.parse(un_in_place(text)).layers]
    assert tops == [["a"], ["a_2"], ["a_relu"]]


def test_a_layer_of_one_phase_stays_in_place_behind_the_new_name():
    text = CHAIN.replace('"Dropout"', '"Dropout" include { phase: TRAIN }')
    after = Net.parse(un_in_place(text))
    assert after.layer("drop").bottoms == after.layer("drop").tops == ["relu"]
    assert after.layer("sum").bottoms == ["relu", "relu"]
    notes = rewrite.un_in_place(Document.parse(text)).notes
    assert "left Dropout drop (line 5) in place: not every phase has it" in notes


NETS = {
    "caffenet": definitions.caffenet(20),
    "nin": definitions.nin(20),
    "googlenet": definitions.googlenet(20),
    "densenet": definitions.densenet(),
    "resnet18": definitions.resnet(18, 20),
}


@pytest.mark.parametrize("name", sorted(NETS))
def test_caffe_computes_the_same_with_tops_of_their_own(caffe, tmp_path, name):
    prototxt, caffemodel = definitions.write_model(tmp_path, NETS[name])
    apart = tmp_path / "apart.prototxt"
    changed = rewrite.un_in_place(Document.load(prototxt)).document
    apart.write_bytes(rewrite.batch_size(changed, 2).document.encode())
    before = caffe.Net(prototxt, caffe.TEST, weights=caffemodel)
    after = caffe.Net(str(apart), caffe.TEST, weights=caffemodel)
    image = np.random.RandomState(0).uniform(-9, 9, before.blobs["data"].data.shape)
    expected = before.forward(data=image)["prob"]
    outputs = after.forward(data=np.concatenate([image, image]))["prob"]
    assert np.array_equal(outputs, np.concatenate([expected, expected]))
    names = {layer.name for layer in Net.parse(changed).layers if layer.type == "ReLU"}
    assert names <= set(after.blobs)
    relu = sorted(names)[-1]
    layer = Net.parse(changed).layer(relu)
    pre = after.blobs[layer.bottoms[0]].data
    assert pre.min() < 0
    assert np.array_equal(after.blobs[relu].data, np.maximum(pre, 0))


def test_shapes_and_weights_are_those_of_before():
    net = Net.parse(un_in_place(definitions.resnet(18)))
    before = Net.parse(definitions.resnet(18))
    sizes = shapes.infer(net)
    assert shapes.parameters(net, sizes) == shapes.parameters(before, shapes.infer(before))
    report = weights.check(shapes.parameters(net, sizes), definitions.random_weights(
        definitions.resnet(18)))
    assert report == weights.Check([], [], [])
