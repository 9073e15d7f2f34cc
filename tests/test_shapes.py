"""Shapes without Caffe are the shapes of Caffe."""

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.document import Document
from prototxt_tools.errors import InputError
from prototxt_tools.net import Net


def shape_of(layer, *bottoms):
    text = "".join(
        'input: "b{}" input_shape {{ {} }} '.format(i, " ".join("dim: %d" % d for d in shape))
        for i, shape in enumerate(bottoms)
    )
    reads = " ".join('bottom: "b{}"'.format(i) for i in range(len(bottoms)))
    net = Net.parse(text + 'layer {{ name: "l" {} top: "t" {} }}'.format(reads, layer))
    sizes = shapes.infer(net)
    return sizes["t"], shapes.parameters(net, sizes).get("l")


CONVOLUTION = 'type: "Convolution" convolution_param { num_output: 8 %s }'


@pytest.mark.parametrize(
    "layer, bottom, top, blobs",
    [
        (CONVOLUTION % "kernel_size: 3", (1, 4, 9, 7), (1, 8, 7, 5), [(8, 4, 3, 3), (8,)]),
        (CONVOLUTION % "kernel_h: 1 kernel_w: 3 stride_h: 2 stride_w: 1 pad_w: 1 group: 2",
         (1, 4, 9, 7), (1, 8, 5, 7), [(8, 2, 1, 3), (8,)]),
        (CONVOLUTION % "kernel_size: 3 dilation: 2 bias_term: false", (1, 4, 9, 7), (1, 8, 5, 3),
         [(8, 4, 3, 3)]),
        ('type: "Deconvolution" '
         "convolution_param { num_output: 6 kernel_size: 4 stride: 2 pad: 1 }",
         (1, 4, 5, 5), (1, 6, 10, 10), [(4, 6, 4, 4), (6,)]),
        ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }', (1, 4, 8, 7), (1, 4, 4, 3),
         None),
        ('type: "Pooling" pooling_param { kernel_size: 2 stride: 2 pad: 1 }', (1, 4, 5, 4),
         (1, 4, 3, 3), None),
        ('type: "Pooling" pooling_param { global_pooling: true }', (2, 4, 8, 7), (2, 4, 1, 1),
         None),
        ('type: "InnerProduct" inner_product_param { num_output: 5 }', (2, 4, 3, 3), (2, 5),
         [(5, 36), (5,)]),
        ('type: "InnerProduct" inner_product_param { num_output: 5 axis: 2 transpose: true }',
         (2, 4, 3, 3), (2, 4, 5), [(9, 5), (5,)]),
        ('type: "Flatten" flatten_param { axis: 1 end_axis: 2 }', (2, 3, 4, 5), (2, 12, 5), None),
        ('type: "Reshape" reshape_param { shape { dim: 0 dim: -1 dim: 2 } }', (2, 3, 4, 5),
         (2, 30, 2), None),
        ('type: "Reduction" reduction_param { axis: 2 }', (2, 3, 4, 5), (2, 3), None),
        ('type: "BatchNorm"', (2, 3, 4, 5), (2, 3, 4, 5), [(3,), (3,), (1,)]),
        ('type: "Scale" scale_param { bias_term: true }', (2, 3, 4, 5), (2, 3, 4, 5), [(3,), (3,)]),
        ('type: "PReLU"', (2, 3, 4, 5), (2, 3, 4, 5), [(3,)]),
    ],
    ids=lambda value: None,
)
def test_shape_rules(layer, bottom, top, blobs):
    assert shape_of(layer, bottom) == (top, blobs)


def test_concat_adds_along_its_axis():
    assert shape_of('type: "Concat"', (1, 2, 3, 3), (1, 5, 3, 3))[0] == (1, 7, 3, 3)


def test_slice_points_divide_an_axis():
    net = Net.parse('input: "d" input_shape { dim: 1 dim: 9 } layer { name: "s" type: "Slice" '
                    'bottom: "d" top: "a" top: "b" slice_param { slice_point: 2 } }')
    sizes = shapes.infer(net)
    assert (sizes["a"], sizes["b"]) == ((1, 2), (1, 7))


@pytest.mark.parametrize(
    "layer, bottoms, problem",
    [
        (CONVOLUTION % "kernel_size: 9", [(1, 4, 5, 5)], "does not fit into 5"),
        (CONVOLUTION % "kernel_size: 3 group: 3", [(1, 4, 5, 5)], "divide into 3 groups"),
        (CONVOLUTION % "", [(1, 4, 5, 5)], "no kernel_size"),
        ('type: "Eltwise"', [(1, 4), (1, 5)], "the shapes differ"),
        ('type: "Concat"', [(1, 4, 2), (1, 4, 3)], "differ in more than axis 1"),
        ('type: "Reshape" reshape_param { shape { dim: 0 dim: 7 } }', [(2, 4)], "another count"),
    ],
)
def test_a_layer_that_cannot_be_built_is_named(layer, bottoms, problem):
    with pytest.raises(InputError, match="layer l .*" + problem):
        shape_of(layer, *bottoms)


def test_blobs_behind_unknown_layers_are_left_out():
    net = Net.parse('input: "d" input_shape { dim: 1 } layer { name: "w" type: "Warp" '
                    'bottom: "d" top: "w" } layer { name: "r" type: "ReLU" bottom: "w" top: "r" }')
    assert shapes.infer(net) == {"d": (1,)}


@pytest.mark.parametrize(
    "text",
    [definitions.caffenet(10), definitions.googlenet(10), definitions.resnet(18, 10),
     definitions.densenet(), definitions.lenet(), definitions.nin(10)],
    ids=lambda text: text.split('"')[1],
)
def test_shapes_equal_those_of_real_caffe(caffe, tmp_path, text):
    assert_same_shapes(caffe, tmp_path, Document.parse(text))


def test_shapes_of_the_given_models_equal_those_of_real_caffe(caffe, tmp_path, shared):
    names = ["squeezenet_v1.1/deploy", "mtcnn_det3_onet/deploy",
             "densenet_cifar10_lijianfei/deploy_a", "hyperlpr_finemapping/deploy",
             "captcha_resnet20_multihead_lijianfei/deploy"]
    for name in names:
        document = Document.load(shared / "models" / (name + ".prototxt"))
        assert_same_shapes(caffe, tmp_path, document)


def assert_same_shapes(caffe, folder, document):
    path = folder / "net.prototxt"
    path.write_bytes(document.encode())
    net = caffe.Net(str(path), caffe.TEST)
    ours = Net.parse(document).at("TEST")
    sizes = shapes.infer(ours)
    theirs = {name: tuple(blob.data.shape) for name, blob in net.blobs.items() if name in sizes}
    assert theirs == sizes
    blobs = {name: [tuple(b.data.shape) for b in params] for name, params in net.params.items()}
    assert shapes.parameters(ours, sizes) == blobs
