"""Receptive fields: literature, arithmetic by hand, and which pixels real Caffe's cells see."""

import definitions
import numpy as np
import pytest

from prototxt_tools import shapes
from prototxt_tools.net.net import Net
from prototxt_tools.reports import receptive

INPUT = 'input: "d" input_shape { dim: 1 dim: 1 dim: 40 dim: 36 }\n'
LAYER = 'layer { name: "%s" type: "%s" %s top: "%s" %s }\n'
CONV = 'convolution_param { num_output: 2 %s weight_filler { type: "constant" value: 0.1 } }'


def layer(kind, name, bottoms, params=""):
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return LAYER % (name, kind, reads, name, params)


def conv(name, bottom, params):
    return layer("Convolution", name, bottom, CONV % params)


def fields_of(text):
    net = Net.parse(text).at("TEST")
    sizes = shapes.infer(net)
    return receptive.fields(net, sizes), sizes


@pytest.mark.parametrize(
    "text, blob, size, stride",
    [
        # Araujo et al. 2019, table of architectures (AlexNet, VGG-16, ResNet-50), and by hand.
        (definitions.caffenet(), "pool5", 195, 32),
        (definitions.caffenet(), "conv5", 163, 16),
        (definitions.vgg(16), "pool5", 212, 32),
        (definitions.vgg(16), "conv5_3", 196, 16),
        (definitions.vgg(19), "pool5", 268, 32),
        (definitions.resnet(50), "res5c", 483, 32),
        (definitions.lenet(), "conv2", 14, 2),
    ],
    ids=lambda value: value.split('"')[1] if isinstance(value, str) and len(value) > 30 else None,
)
def test_well_known_nets_see_what_the_literature_says(text, blob, size, stride):
    field = fields_of(text)[0][blob]
    assert (field.size, field.stride) == ((size, size), (stride, stride))


def test_the_offset_is_the_centre_of_the_first_cell():
    # An 11 x 11 window without padding is centred at pixel 5; conv5 of CaffeNet follows at 17.
    fields, _ = fields_of(definitions.caffenet())
    assert fields["conv1"] == receptive.Field((11, 11), (4, 4), (5, 5))
    assert fields["conv5"].offset == (17, 17)
    # Padding of half a window keeps the first cell over the first pixel.
    assert fields_of(definitions.vgg(16))[0]["conv1_2"] == receptive.Field((5, 5), (1, 1), (0, 0))


def test_every_cell_behind_a_fully_connected_layer_sees_all():
    text = INPUT + layer("InnerProduct", "fc", "d", "inner_product_param { num_output: 3 }")
    assert fields_of(text)[0]["fc"] == receptive.Field((40, 36), (0, 0), (19.5, 17.5))


def test_global_context_added_to_a_map_lets_each_cell_see_all():
    text = INPUT + conv("c", "d", "kernel_size: 3 pad: 1") + layer(
        "Pooling", "p", "c", "pooling_param { pool: AVE global_pooling: true }")
    text += layer("Flatten", "f", "p") + layer("Scale", "s", "c f", "scale_param { axis: 0 }")
    fields = fields_of(text)[0]
    assert fields["p"].size == (42, 38)
    assert fields["s"] == receptive.Field((42, 38), (0, 0), (19.5, 17.5))


def test_branches_of_different_stride_have_no_common_field():
    text = INPUT + conv("a", "d", "kernel_size: 2 stride: 2") + conv("b", "d", "kernel_size: 3")
    text += layer("Crop", "c", "b a")
    text += layer("Eltwise", "e", "c a")
    assert "e" not in fields_of(text)[0]


def test_unknown_layers_and_blobs_without_axes_have_none():
    text = INPUT + layer("Warp", "w", "d") + 'input: "flat" input_shape { dim: 1 dim: 9 }'
    assert set(fields_of(text)[0]) == {"d"}


NETS = {
    "stride, pad, dilation": conv("a", "d", "kernel_size: 3 stride: 2 pad: 1")
    + conv("t", "a", "kernel_h: 3 kernel_w: 2 dilation: 2 pad_h: 2 pad_w: 0"),
    "pooling": conv("a", "d", "kernel_size: 3")
    + layer("Pooling", "t", "a", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"),
    "inception": conv("a", "d", "kernel_size: 1") + conv("b", "a", "kernel_size: 5 pad: 2")
    + conv("c", "d", "kernel_size: 3 pad: 1") + layer("Concat", "t", "a b c"),
    "residual": conv("a", "d", "kernel_size: 3 stride: 2 pad: 1")
    + conv("b", "a", "kernel_size: 3 pad: 1") + layer("Eltwise", "t", "a b"),
    "deconvolution": conv("a", "d", "kernel_size: 4 stride: 4")
    + layer("Deconvolution", "t", "a", CONV % "kernel_size: 4 stride: 2 pad: 1"),
    "odd deconvolution": conv("a", "d", "kernel_size: 3 stride: 3")
    + layer("Deconvolution", "t", "a", CONV % "kernel_size: 5 stride: 3 pad: 1"),
    "crop": conv("a", "d", "kernel_size: 2 stride: 2") + conv("b", "a", "kernel_size: 7")
    + layer("Crop", "t", "a b", "crop_param { axis: 2 offset: 4 offset: 2 }"),
    "normalisation": conv("a", "d", "kernel_size: 2 stride: 2")
    + layer("LRN", "t", "a", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 5 }"),
    "fully connected": conv("a", "d", "kernel_size: 5 stride: 5")
    + layer("InnerProduct", "t", "a", "inner_product_param { num_output: 2 weight_filler { "
            'type: "constant" value: 0.1 } }'),
}


@pytest.mark.parametrize("layers", NETS.values(), ids=list(NETS))
def test_the_pixels_that_change_a_cell_in_real_caffe_are_those_of_the_field(
    caffe, tmp_path, layers
):
    text = INPUT + layers
    fields, sizes = fields_of(text)
    path = tmp_path / "net.prototxt"
    path.write_text("force_backward: true\n" + text)
    net = caffe.Net(str(path), caffe.TEST)
    net.blobs["d"].data[...] = np.random.RandomState(0).uniform(0.5, 1.5, sizes["d"])
    net.forward()
    extents = []
    for cell in cells_inside(fields["t"], sizes["t"]):
        net.blobs["t"].diff[...] = 0
        net.blobs["t"].diff[(0, slice(None)) + cell] = 1
        net.backward(start=net._layer_names[len(net.layers) - 1])
        rows, columns = np.nonzero(net.blobs["d"].diff[0, 0])
        seen = [(rows.min(), rows.max()), (columns.min(), columns.max())]
        for axis, (first, last) in enumerate(seen):
            field, index = fields["t"], (cell + (0, 0))[axis]
            centre = field.offset[axis] + index * field.stride[axis]
            reach = (field.size[axis] - 1) / 2
            assert centre - reach <= first and last <= centre + reach
        extents.append([last - first + 1 for first, last in seen])
    # Behind a Deconvolution the field holds cells that see more and fewer pixels.
    slack = fields["a"].stride if "Deconvolution" in layers else (1, 1)
    for seen, size, more in zip(np.max(extents, axis=0), fields["t"].size, slack):
        assert size - more < seen <= size


def cells_inside(field, shape):
    """Some neighbouring cells whose fields lie inside the picture, as indices of the axes."""
    if len(shape) < 4:
        return [()]
    rows, columns = (range(size // 2 - 2, size // 2 + 2) for size in shape[2:])
    return [(row, column) for row in rows for column in columns]
