"""Nets in which something is unusual, and clear all the same."""

import cases
import numpy as np
import pytest
from opened import open_net

from prototxt_tools import rewrite, shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

INPUT = 'input: "data" input_shape { dim: 1 dim: 6 dim: 5 dim: 7 }\n'


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


def top_of(layer, head=INPUT):
    return shapes.infer(Net.parse(head + layer))["t"]


def test_v1_names_of_layers_of_forks():
    text = ('layers { name: "t" type: INTERP bottom: "data" top: "t" '
            "interp_param { height: 10 width: 14 } }\n")
    assert top_of(text) == (1, 6, 10, 14)
    upgraded = rewrite.upgrade(Document.parse(INPUT + text)).document
    assert Net.parse(upgraded).layer("t").type == "Interp"
    rois = 'input: "rois" input_shape { dim: 9 dim: 5 }\n'
    assert top_of(
        'layers { name: "t" type: ROI_POOLING bottom: "data" bottom: "rois" top: "t" '
        "roi_pooling_param { pooled_h: 2 pooled_w: 3 } }", INPUT + rois) == (9, 6, 2, 3)


def test_mvn_works_on_vectors(kind):
    inputs = cases.inputs_of("bn_fc.in.npz")
    with open_net(kind, cases.text_of("bn_fc.prototxt"), cases.path_of("bn_fc.rand.caffemodel"),
                  ["logits"], ["data"]) as engine:
        blobs = engine.forward(inputs, ["ft", "mvn", "logits"])
    ft = blobs["ft"].astype(np.float64)
    centred = ft - ft.mean(1, keepdims=True)
    expected = centred / (np.sqrt((centred ** 2).mean(1, keepdims=True)) + 1e-9)
    assert blobs["mvn"].shape == (2, 8, 1, 1) and blobs["logits"].shape == (2, 4)
    np.testing.assert_allclose(blobs["mvn"].reshape(2, 8), expected, rtol=1e-4, atol=1e-5)


DOUBLED = INPUT + ('layer { name: "data" type: "Input" top: "data" '
                   "input_param { shape { dim: 1 dim: 6 dim: 5 dim: 7 } } }\n"
                   'layer { name: "t" type: "InnerProduct" bottom: "data" top: "t" '
                   "inner_product_param { num_output: 3 } }\n")


def test_an_input_field_beside_an_input_layer_counts_once():
    assert [entry.blob for entry in Net.parse(DOUBLED).inputs] == ["data"]
    assert top_of(DOUBLED, "") == (1, 3)
    result = rewrite.stock(Document.parse(DOUBLED))
    assert result.document.text().strip() == DOUBLED[len(INPUT):].strip()
    assert result.notes[0] == "removed input data (line 1): an Input layer fills it"


def test_open_sizes_are_filled_in():
    text = INPUT.replace("dim: 1 dim: 6 dim: 5 dim: 7", "dim: -1 dim: 3 dim: -1 dim: 0")
    result = rewrite.fill_open_sizes(Document.parse(text), {"data": (20, 30)})
    assert Net.parse(result.document).inputs[0].shape == (1, 3, 20, 30)


@pytest.mark.parametrize("layer, shape", [
    ('type: "GRN" bottom: "data"', (1, 6, 5, 7)),
    ('type: "BroadcastMul" bottom: "data" bottom: "gate"', (1, 6, 5, 7)),
    ('type: "PriorBox" bottom: "data" bottom: "image" prior_box_param { min_size: 60 '
     "max_size: 111 aspect_ratio: 2 aspect_ratio: 3 flip: true }", (1, 2, 5 * 7 * 6 * 4)),
    ('type: "PriorBox" bottom: "data" bottom: "image" prior_box_param { min_size: 60 '
     "aspect_ratio: 1 aspect_ratio: 2 flip: false }", (1, 2, 5 * 7 * 2 * 4)),
    ('type: "PriorBoxClustered" bottom: "data" bottom: "image" prior_box_param { '
     "width: 9.4 height: 15 width: 25.1 height: 39.6 }", (1, 2, 5 * 7 * 2 * 4)),
])
def test_shapes_of_layers_of_forks(layer, shape):
    others = ('input: "gate" input_shape { dim: 1 dim: 6 dim: 1 dim: 1 }\n'
              'input: "image" input_shape { dim: 1 dim: 3 dim: 300 dim: 300 }\n')
    assert top_of('layer { name: "t" top: "t" %s }' % layer, INPUT + others) == shape


def test_broadcast_mul_scales_each_channel(torch):
    from caffe_gradcam.engines.torch import LAYERS, families  # noqa: F401

    x, gate = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 1, 1)
    top, = LAYERS["BroadcastMul"](None, [x, gate], [])
    assert torch.equal(top, x * gate)
