"""One view over the forms V0, V1 and V2."""

import pickle

import pytest

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

V2 = """
name: "n" input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { lr_mult: 2 }
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p"
  pooling_param { pool: AVE kernel_size: 3 } }
"""
V1 = """
name: "n" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "c" type: CONVOLUTION bottom: "data" top: "c" blobs_lr: 2
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { pool: AVE kernel_size: 3 } }
"""
V0 = """
name: "n" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 stride: 2 blobs_lr: 2 }
  bottom: "data" top: "c" }
layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }
layers { layer { name: "p" type: "pool" pool: AVE kernelsize: 3 } bottom: "c" top: "p" }
"""


@pytest.mark.parametrize("text, form", [(V2, "V2"), (V1, "V1"), (V0, "V0")])
def test_the_three_forms_say_the_same(text, form):
    net = Net.parse(text)
    assert net.form == form and net.name == "n"
    assert [(entry.blob, entry.shape) for entry in net.inputs] == [("data", (1, 3, 8, 8))]
    assert [layer.type for layer in net.layers] == ["Convolution", "ReLU", "Pooling"]
    assert [layer.name for layer in net.layers] == ["c", "r", "p"]
    convolution = net.layer("c").message
    assert convolution.convolution_param.num_output == 4
    assert list(convolution.convolution_param.kernel_size) == [3]
    assert convolution.param[0].lr_mult == 2
    pooling = net.layer("p").message.pooling_param
    assert (pooling.pool, pooling.kernel_size, pooling.stride) == (1, 3, 1)
    assert net.layers[1].is_in_place and not net.layers[0].is_in_place


def test_all_styles_of_input_look_the_same():
    layer = 'layer { name: "in" type: "Input" top: "a" top: "b" input_param { %s } }'
    shapes = "shape { dim: 1 dim: 2 } shape { dim: 3 dim: 4 }"
    fields = 'input: "a" input: "b" '
    dims = "".join("input_dim: %d " % n for n in (1, 2, 3, 4, 5, 6, 7, 8))
    texts = {
        layer % shapes: [(1, 2), (3, 4)],
        layer % "shape { dim: 5 dim: 6 }": [(5, 6), (5, 6)],
        fields + shapes.replace("shape", "input_shape"): [(1, 2), (3, 4)],
        fields + dims: [(1, 2, 3, 4), (5, 6, 7, 8)],
        fields: [None, None],
    }
    for text, expected in texts.items():
        inputs = Net.parse(text).inputs
        assert [(entry.blob, entry.shape) for entry in inputs] == list(zip("ab", expected))


RULES = """
layer { name: "always" type: "ReLU" }
layer { name: "train" type: "ReLU" include { phase: TRAIN } }
layer { name: "not_test" type: "ReLU" exclude { phase: TEST } }
layer { name: "staged" type: "ReLU" include { stage: "deploy" not_stage: "fast" } }
layer { name: "level" type: "ReLU" include { min_level: 2 max_level: 3 } }
"""


@pytest.mark.parametrize(
    "state, names",
    [
        (("TEST",), ["always"]),
        (("TRAIN",), ["always", "train", "not_test"]),
        (("TEST", ("deploy",)), ["always", "staged"]),
        (("TEST", ("deploy", "fast")), ["always"]),
        (("TEST", (), 2), ["always", "level"]),
        (("TEST", (), 4), ["always"]),
    ],
)
def test_rules_decide_which_layers_exist(state, names):
    assert [layer.name for layer in Net.parse(RULES).at(*state).layers] == names


def test_the_stages_of_the_file_itself_count():
    net = Net.parse('state { stage: "deploy" }' + RULES).at("TEST")
    assert [layer.name for layer in net.layers] == ["always", "staged"]


def test_fields_of_forks_are_kept_aside():
    layer = Net.parse('layer { name: "x" type: "Warp" warp_param { deep: 1 } }').layers[0]
    assert layer.type == "Warp"
    assert [field.name for field in layer.unknown] == ["warp_param"]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("net: 'train.prototxt' base_lr: 0.1", "a solver, not a net"),
        ("item { name: 'x' }", "no layers"),
        ("# only words\n", "only comments"),
        ("layer: 5", "needs braces"),
        ("input: 'a' input_dim: x", "whole number"),
    ],
)
def test_what_is_no_net_is_refused(text, problem):
    with pytest.raises(PrototxtError, match=problem):
        Net.parse(Document.parse(text))


def test_a_value_that_does_not_fit_names_its_line():
    net = Net.parse('layer { name: "p"\n type: "Pooling" pooling_param {\n pool: MAXX } }')
    with pytest.raises(PrototxtError, match=":3:2: pool needs one of MAX"):
        net.layers[0].message  # noqa: B018


def test_a_document_is_read_once_and_so_is_each_of_its_phases():
    document = Document.parse('input: "d" layer { name: "r" type: "ReLU" bottom: "d" top: "r" }')
    net = Net.parse(document)
    assert Net.parse(document) is net
    assert net.at("TEST") is Net.parse(document).at() is not net.at("TRAIN")
    assert net.at("TEST", ["deploy"]) is not net.at("TEST")
    assert net.at("TEST").layers[0] is net.layers[0]


def test_a_net_can_be_pickled_with_what_was_worked_out():
    net = Net.parse('layer { name: "r" type: "ReLU" relu_param { negative_slope: 0.5 } }')
    assert net.layers[0].message.relu_param.negative_slope == 0.5
    copy = pickle.loads(pickle.dumps(net.at("TEST")))
    assert copy.layers[0].message.relu_param.negative_slope == 0.5
    assert copy.document.text() == net.document.text()
