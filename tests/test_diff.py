"""What two nets say differently."""

import definitions
import pytest

from prototxt_tools.net.net import Net
from prototxt_tools.reports.diff import differences

NET = """name: "n"
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "prob" type: "Softmax" bottom: "conv" top: "prob" }
"""


def said(before, after):
    return [str(entry) for entry in differences(Net.parse(before), Net.parse(after))]


@pytest.mark.parametrize(
    "same",
    [
        NET.replace("\n", "\r\n").replace(" {", ": {").replace("}", "} # end\r\n"),
        NET.replace('name: "conv" type: "Convolution"', 'type: "Convolution" name: "conv"'),
        NET.replace("num_output: 4 kernel_size: 3", "kernel_size: 3 stride: 1 num_output: 4")
        .replace("stride: 1", "group: 1"),
        NET.replace("input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8",
                    "input_shape { dim: [1, 3, 8, 8] }"),
        NET.replace('input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8',
                    'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 '
                    "dim: 3 dim: 8 dim: 8 } } }"),
        NET.replace("layer {", "layers {").replace('"Convolution"', "CONVOLUTION")
        .replace('"ReLU"', "RELU").replace('"Softmax"', "SOFTMAX"),
        NET + "force_backward: false",
    ],
    ids=["spacing", "order", "defaults", "shape", "Input layer", "form", "default of the net"],
)
def test_ways_of_writing_make_no_difference(same):
    assert same != NET
    assert said(NET, same) == said(same, NET) == []


@pytest.mark.parametrize(
    "after, expected",
    [
        (NET.replace("size: 3", "size: 5"), ["~ layer conv convolution_param.kernel_size: 3 -> 5"]),
        (NET.replace("kernel", "stride: 2 kernel"),
         ["~ layer conv convolution_param.stride: (nothing) -> 2"]),
        (NET.replace("ReLU", "TanH"), ["~ layer relu type: ReLU -> TanH"]),
        (NET.replace('top: "prob"', 'top: "p"'), ["~ layer prob top: prob -> p"]),
        (NET.replace('"relu"', '"r"'), ["- layer relu (ReLU)", "+ layer r (ReLU)"]),
        (NET.replace("input_dim: 1 ", "input_dim: 9 "),
         ["~ input data shape: 1 x 3 x 8 x 8 -> 9 x 3 x 8 x 8"]),
        (NET.replace('"n"', '"m"') + "force_backward: true",
         ["~ net name: n -> m", "~ net force_backward: (nothing) -> true"]),
        (NET.replace("kernel", "dilation: 2 ours: 'x' kernel"),
         ["~ layer conv convolution_param.dilation: (nothing) -> 2", "~ layer conv ours: (nothing) "
          "-> x"]),
        (NET.replace('type: "ReLU"', 'type: "ReLU" include { phase: TRAIN }'),
         ["~ layer relu include.phase: (nothing) -> TRAIN"]),
    ],
)
def test_each_difference_is_named(after, expected):
    assert said(NET, after) == expected


def test_layers_of_the_same_name_are_told_apart_by_their_rules():
    train = 'layer { name: "d" type: "Data" include { phase: TRAIN } ' \
        "data_param { batch_size: %d } }\n"
    test = 'layer { name: "d" type: "Data" include { phase: TEST } }\n'
    expected = ["~ layer d data_param.batch_size: 2 -> 3"]
    assert said(train % 2 + test, train % 3 + test) == expected
    assert said(train % 2 + test, test + train % 2) == []


def test_the_order_of_layers_counts_where_one_then_reads_another_value():
    swapped = NET.splitlines(True)
    swapped[4], swapped[5] = swapped[5], swapped[4]
    assert said(NET, "".join(swapped)) == [
        "~ layer prob bottom conv: made by relu -> made by conv"
    ]


def test_the_order_of_independent_branches_does_not_count():
    branch = 'layer { name: "%s" type: "ReLU" bottom: "conv" top: "%s" }\n'
    a, b = branch % ("a", "a"), branch % ("b", "b")
    assert said(NET + a + b, NET + b + a) == []
    assert said(NET + a + b, NET + b) == ["- layer a (ReLU)"]


def test_layers_put_in_place_between_two_others_are_not_told_as_another_order():
    dropout = 'layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }\n'
    lines = NET.splitlines(True)
    assert said(NET, "".join(lines[:5] + [dropout] + lines[5:])) == ["+ layer drop (Dropout)"]


def test_whole_architectures():
    assert said(definitions.vgg(16, form="V1"), definitions.vgg(16, form="V2")) == []
    found = said(definitions.vgg(16, form="V2"), definitions.vgg(19, form="V2"))
    added = [line for line in found if line.startswith("+")]
    assert added == [
        f"+ layer {prefix}conv{stage}_4 ({kind})"
        for stage in (3, 4, 5) for prefix, kind in (("", "Convolution"), ("relu_", "ReLU"))
    ]
    assert len(found) - len(added) == 4
