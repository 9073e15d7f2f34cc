"""Shapes without Caffe are the shapes of Caffe."""

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.errors import InputError, PrototxtError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def shape_of(layer, *bottoms):
    text = "".join(
        'input: "b{}" input_shape {{ {} }} '.format(i, " ".join("dim: %d" % d for d in shape))
        for i, shape in enumerate(bottoms)
    )
    reads = " ".join(f'bottom: "b{i}"' for i in range(len(bottoms)))
    net = Net.parse(text + f'layer {{ name: "l" {reads} top: "t" {layer} }}')
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
        (CONVOLUTION % "kernel_size: 3 dilation: 0", (1, 4, 9, 7), (1, 8, 9, 7),
         [(8, 4, 3, 3), (8,)]),
        ('type: "ReLU" blobs { shape { dim: 2 } data: [1, 2] } blobs { num: 1 channels: 3 }',
         (1, 4), (1, 4), [(2,), (1, 3, 0, 0)]),
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


RECURRENT = 'type: "%s" recurrent_param { num_output: 4 %s }'
LSTM_BLOBS = [(16, 3), (16,), (16, 4)]


@pytest.mark.parametrize(
    "layer, bottoms, top, blobs",
    [
        # The recurrent layers unroll into a net; its weights are the layer's, input first.
        (RECURRENT % ("LSTM", ""), [(5, 2, 3), (5, 2)], (5, 2, 4), LSTM_BLOBS),
        (RECURRENT % ("LSTM", ""), [(5, 2, 3), (5, 2), (2, 7)], (5, 2, 4),
         [(16, 3), (16,), (16, 7), (16, 4)]),
        (RECURRENT % ("LSTM", "expose_hidden: true"), [(5, 2, 3), (5, 2), (1, 2, 4), (1, 2, 4)],
         (5, 2, 4), LSTM_BLOBS),
        (RECURRENT % ("RNN", ""), [(5, 2, 3), (5, 2)], (5, 2, 4),
         [(4, 3), (4,), (4, 4), (4, 4), (4,)]),
        ('type: "SPP" spp_param { pyramid_height: 3 }', [(2, 3, 9, 9)], (2, 63), None),
        ('type: "SPP" spp_param { pyramid_height: 1 }', [(2, 3, 9, 9)], (2, 3, 1, 1), None),
        ('type: "BatchReindex"', [(5, 3, 2), (9,)], (9, 3, 2), None),
        ('type: "Filter"', [(5, 3), (5, 1)], (5, 3), None),
        ('type: "Crop" crop_param { axis: -2 offset: 1 }', [(2, 3, 9, 9), (1, 1, 5, 4)],
         (2, 3, 5, 4), None),
        ('type: "MVN"', [(2, 3)], (2, 3, 1, 1), None),
        ('type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 kernel_size: 2 '
         "kernel_size: 1 }", [(1, 2, 7, 6, 5)], (1, 4, 5, 5, 5), [(4, 2, 3, 2, 1), (4,)]),
        ('type: "Convolution" convolution_param { num_output: 4 axis: 2 kernel_size: 3 }',
         [(5, 3, 2, 9)], (5, 3, 4, 7), [(4, 2, 3), (4,)]),
        ('type: "Pooling" pooling_param { kernel_h: 1 kernel_w: 3 stride: 2 pad_h: 0 pad_w: 1 }',
         [(1, 2, 4, 4)], (1, 2, 2, 3), None),
        ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }',
         [(1, 2, 8, 7)], (1, 2, 3, 3), None),
        ('type: "Scale" scale_param { axis: 0 bias_term: true }', [(2, 3, 4), (2, 3)], (2, 3, 4),
         [(2, 3)]),
        ('type: "PReLU" prelu_param { channel_shared: true }', [(2, 3, 4)], (2, 3, 4), [()]),
        ('type: "ArgMax" argmax_param { top_k: 2 }', [(4, 9)], (4, 1, 2), None),
        ('type: "Embed" embed_param { num_output: 3 input_dim: 9 }', [(4, 5)], (4, 5, 3),
         [(9, 3), (3,)]),
        ('type: "Concat" concat_param { concat_dim: 0 }', [(1, 2), (3, 2)], (4, 2), None),
        ('type: "Flatten" flatten_param { axis: 2 end_axis: 1 }', [(2, 3, 4)], (2, 3, 1, 4), None),
    ],
    ids=lambda value: None,
)
def test_shapes_of_layers_that_are_rarer(layer, bottoms, top, blobs):
    assert shape_of(layer, *bottoms) == (top, blobs)


@pytest.mark.parametrize(
    "layer, tops",
    [
        ('type: "ImageData" image_data_param { batch_size: 4 new_height: 8 new_width: 9 }',
         [(4, 3, 8, 9), (4,)]),
        ('type: "ImageData" image_data_param { batch_size: 4 is_color: false } '
         "transform_param { crop_size: 7 }", [(4, 1, 7, 7), (4,)]),
        ('type: "Data" data_param { batch_size: 2 } transform_param { crop_size: 5 }',
         [(2, 3, 5, 5), (2,)]),
        ('type: "Data" data_param { batch_size: 2 }', [None, (2,)]),
        ('type: "MemoryData" memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 }',
         [(2, 1, 3, 4), (2,)]),
        ('type: "HDF5Data" hdf5_data_param { batch_size: 2 }', [None, None]),
    ],
)
def test_data_layers_say_what_their_files_need_not(layer, tops):
    net = Net.parse('layer { name: "d" top: "a" top: "b" %s }' % layer)
    sizes = shapes.infer(net)
    assert [sizes.get(blob) for blob in "ab"] == tops


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
        ('type: "Reshape" reshape_param { shape { dim: 0 dim: 7 } }', [(2, 4)], "different count"),
    ],
)
def test_a_layer_that_cannot_be_built_is_named(layer, bottoms, problem):
    with pytest.raises(InputError, match="layer l .*" + problem):
        shape_of(layer, *bottoms)


def test_what_cannot_be_built_is_named_with_its_place():
    text = 'input: "d" input_shape { dim: 1 dim: 4 }\n  layer { name: "s" type: "Slice" %s }'
    net = Net.parse(Document.parse(text % 'bottom: "d" slice_param { axis: 3 }', "n.prototxt"))
    with pytest.raises(PrototxtError, match="n.prototxt:2:3: layer s .* axis 3 of a blob with 2"):
        shapes.infer(net)
    with pytest.raises(PrototxtError, match="over 2.31 values"):
        shapes.infer(Net.parse('input: "d" input_shape { dim: 65536 dim: 65536 }'))


def test_problems_can_be_collected_and_what_lies_behind_them_is_left_out():
    relu = 'layer { name: "%s" type: "ReLU" bottom: "%s" top: "%s" } '
    bad = 'layer { name: "%s" type: "Eltwise" bottom: "a" bottom: "b" top: "%s" } '
    net = Net.parse('input: "a" input_shape { dim: 1 } input: "b" input_shape { dim: 2 } '
                    + bad % ("x", "x") + relu % ("r", "x", "r") + relu % ("s", "b", "s")
                    + bad % ("y", "y"))
    problems = []
    assert shapes.infer(net, problems=problems) == {"a": (1,), "b": (2,), "s": (2,)}
    assert ["the shapes differ" in str(problem) for problem in problems] == [True, True]


def test_shapes_that_are_given_go_before_those_of_the_file():
    net = Net.parse('input: "d" input_shape { dim: 1 dim: 2 } layer { name: "db" type: "Data" '
                    'top: "x" } layer { name: "r" type: "ReLU" bottom: "x" top: "r" }')
    assert shapes.infer(net, {"d": (5, 2), "x": (3, 3)}) == {
        "d": (5, 2), "x": (3, 3), "r": (3, 3)}


@pytest.mark.parametrize("layer, count", [
    ('type: "Convolution" convolution_param { num_output: 4 kernel_size: [3, 3, 3] }', 2),
    ('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 3 bias_term: false }',
     1),
    ('type: "LSTM" recurrent_param { num_output: 4 }', 3),
    ('type: "RNN" recurrent_param { num_output: 4 }', 5),
    ('type: "BatchNorm"', 3), ('type: "ReLU"', 0), ('type: "Warp"', 0),
])
def test_the_number_of_weights_is_known_without_shapes(layer, count):
    net = Net.parse('layer { name: "l" bottom: "x" bottom: "y" %s }' % layer)
    assert shapes.parameter_count(net.layers[0]) == count


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


UNKNOWN = """
input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
layer { name: "stem" type: "Convolution" bottom: "data" top: "stem"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 2 } }
layer { name: "gate" type: "Sigmoid" bottom: "stem" top: "gate" }
layer { name: "mul" type: "GatedMul" bottom: "stem" bottom: "gate" top: "mul" }
layer { name: "conv" type: "Convolution" bottom: "mul" top: "conv"
        convolution_param { num_output: 16 kernel_size: 3 } }
layer { name: "warp" type: "Warp" bottom: "mul" top: "warp" }
"""


def ends(text, phase="TEST"):
    net = Net.parse(text).at(phase)
    return [str(end) for end in shapes.unknown(net, shapes.infer(net, problems=[]))]


def test_where_shapes_end_is_told_with_the_layer_its_type_and_line():
    assert ends(UNKNOWN) == ["mul (GatedMul, line 6): the shapes that a layer of type "
                             "GatedMul gives are not known"]


def test_two_branches_end_at_a_layer_each():
    text = UNKNOWN.replace('bottom: "mul" top: "warp"', 'bottom: "stem" top: "warp"')
    assert [end.split(":")[0] for end in ends(text)] == ["mul (GatedMul, line 6)",
                                                        "warp (Warp, line 9)"]


def test_no_shape_ends_in_a_net_of_known_layers():
    assert ends(definitions.googlenet()) == []


@pytest.mark.parametrize("text, end", [
    ('input: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "r" }',
     "data (input, line 1): it has no shape"),
    ('layer { name: "d" type: "Data" top: "data" data_param { batch_size: 2 } }',
     "d (Data, line 1): the file does not give the size of its data"),
    ('layer { name: "r" type: "ReLU" bottom: "x" top: "r" }',
     "r (ReLU, line 1): it reads x, which no layer before it writes"),
    ('input: "data" input_shape { dim: 1 dim: 4 } layer { name: "c" type: "Convolution" '
     'bottom: "data" top: "c" }',
     "c (Convolution, line 1): layer c (Convolution) cannot be built on (1, 4): it has no "
     "num_output"),
])
def test_the_reason_for_an_unknown_shape_is_given(text, end):
    assert ends(text) == [end]
