"""Parameters and multiply-adds."""

from dataclasses import astuple

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.net.net import Net
from prototxt_tools.reports import cost


def spent(text):
    net = Net.parse(text).at("TEST")
    sizes = shapes.infer(net, problems=[])
    return list(map(astuple, cost.costs(net, sizes))), astuple(cost.total(net, sizes))


@pytest.mark.parametrize(
    "text, parameters, multiply_adds",
    [
        # Parameters as published; multiply-adds as in Canziani et al. 2016 and netscope.
        (definitions.caffenet(), 60965224, 724406816),
        (definitions.vgg(16), 138357544, 15470264320),
        (definitions.vgg(19), 143667240, 19632062464),
        (definitions.googlenet(), 6998552, 1582671872),
        (definitions.resnet(50), 25610269, 3857973248),
    ],
    ids=["CaffeNet", "VGG-16", "VGG-19", "GoogLeNet", "ResNet-50"],
)
def test_well_known_nets_cost_what_the_literature_says(text, parameters, multiply_adds):
    assert spent(text)[1] == (parameters, multiply_adds)


INPUT = 'input: "d" input_shape { dim: 2 dim: 4 dim: 5 dim: 6 }\n'


@pytest.mark.parametrize(
    "layer, parameters, multiply_adds",
    [
        ('type: "Convolution" convolution_param { num_output: 8 kernel_size: 3 group: 2 }',
         8 * 2 * 9 + 8, 2 * 8 * (3 * 4) * 2 * 9),
        ('type: "Deconvolution" convolution_param { num_output: 6 kernel_size: 4 stride: 2 }',
         4 * 6 * 16 + 6, 2 * 4 * (5 * 6) * 6 * 16),
        ('type: "Deconvolution" convolution_param { num_output: 4 group: 4 kernel_size: 2 '
         'bias_term: false }', 4 * 4, 2 * 4 * (5 * 6) * 4),
        ('type: "InnerProduct" inner_product_param { num_output: 7 axis: 2 }',
         30 * 7 + 7, 2 * 4 * 30 * 7),
        ('type: "Scale" scale_param { bias_term: true }', 8, 0),
        ('type: "BatchNorm"', 9, 0),
        ('type: "ReLU"', 0, 0),
        ('type: "Warp"', None, None),
        ('type: "InnerProduct" inner_product_param { axis: 9 }', None, None),
    ],
)
def test_cost_of_a_layer(layer, parameters, multiply_adds):
    costs, _ = spent(INPUT + 'layer { name: "l" bottom: "d" top: "t" %s }' % layer)
    assert costs == [(parameters, multiply_adds)]


def test_recurrent_layers_use_each_matrix_once_per_step():
    text = ('input: "x" input_shape { dim: 5 dim: 2 dim: 3 } '
            'input: "c" input_shape { dim: 5 dim: 2 } layer { name: "l" type: "LSTM" bottom: "x" '
            'bottom: "c" top: "t" recurrent_param { num_output: 4 } }')
    assert spent(text)[0] == [(16 * 3 + 16 + 16 * 4, 5 * 2 * (16 * 3 + 16 * 4))]


def test_weights_shared_by_name_count_once_and_their_use_twice():
    layer = ('layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s" param { name: "w" } '
             "inner_product_param { num_output: 120 } }")
    both = spent('input: "d" input_shape { dim: 1 dim: 120 }' + layer % ("a", "d", "a")
                 + layer % ("b", "a", "b"))[1]
    assert both == (120 * 120 + 120 + 120, 2 * 120 * 120)
