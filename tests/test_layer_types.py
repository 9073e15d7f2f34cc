"""The table of layer types, and a layer type of one's own in it."""

import pytest

from prototxt_tools import layers, shapes
from prototxt_tools.net import schema
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import cost, receptive
from prototxt_tools.reports.describe import describe

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 32 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 8 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "mine" type: "Mine" bottom: "conv" top: "mine" }
layer { name: "score" type: "InnerProduct" bottom: "mine" top: "score"
        inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""


@pytest.fixture
def register():
    """``layers.register``, undone after the test."""
    before = dict(layers.TABLE)
    yield layers.register
    layers.TABLE.clear()
    layers.TABLE.update(before)


def test_a_type_of_ones_own_has_a_shape_and_a_receptive_field(register):
    register(layers.LayerType("Mine", shape=layers.same_shape, receptive=layers.windowed(3, pad=1)))
    net = Net.parse(NET).at("TEST")
    sizes = shapes.infer(net)
    assert sizes["mine"] == (1, 8, 16, 16) and sizes["prob"] == (1, 5)
    field = receptive.fields(net, sizes)["mine"]
    assert (field.size, field.stride, field.offset) == ((7, 7), (2, 2), (0, 0))


def test_a_type_of_ones_own_is_the_target_or_passed_over_by_its_role(register):
    for role, target in (("", "mine"), ("activation", "mine"), ("carrier", "conv")):
        register(layers.LayerType("Mine", shape=layers.same_shape, role=role))
        net = Net.parse(NET).at("TEST")
        assert Graph(net).targets("score", shapes.infer(net))[0].blob == target


def test_a_loss_of_ones_own_has_a_link(register):
    register(layers.LayerType("MyLoss", role="loss", link="sigmoid"))
    text = NET.replace('"Softmax"', '"MyLoss"').replace('"Mine"', '"ReLU"')
    scores = Graph(Net.parse(text)).scores()
    assert [(score.blob, score.link) for score in scores] == [("score", "sigmoid")]


def test_a_type_of_ones_own_with_weights_has_a_cost(register):
    register(layers.LayerType(
        "Mine", shape=layers.same_shape, blobs=lambda message, bottoms: [(bottoms[0][1], 7)],
        multiply_adds=lambda message, bottoms, tops, blobs: 10 * layers.volume(blobs[0])))
    net = Net.parse(NET)
    sizes = shapes.infer(net)
    assert shapes.parameters(net, sizes)["mine"] == [(8, 7)]
    assert cost.costs(net, sizes)[1] == cost.Cost(56, 560)


def test_inspect_knows_a_type_of_ones_own(register):
    register(layers.LayerType("Mine", shape=layers.same_shape, receptive=layers.pointwise))
    description = describe(Net.parse(NET))
    assert description["unknown_shapes"] == []
    assert description["layers"][1]["shapes"] == [[1, 8, 16, 16]]
    assert description["layers"][1]["receptive_field"]["size"] == [3, 3]


def test_a_shape_rule_that_refuses_names_the_layer(register):
    def shape(message, bottoms, count):
        layers.check(bottoms[0][1] == 4, "it needs 4 channels")
        return bottoms

    register(layers.LayerType("Mine", shape=shape))
    with pytest.raises(Exception, match=r"layer mine \(Mine\) cannot be built on \(1, 8, 16, 16\): "
                                        "it needs 4 channels"):
        shapes.infer(Net.parse(NET))


def test_a_role_that_is_none_is_refused():
    with pytest.raises(ValueError, match="layer type Mine: no role 'pointless'; the roles are"):
        layers.LayerType("Mine", role="pointless")


def test_nothing_but_the_name_is_known_of_a_foreign_type():
    assert layers.of("Mine") == layers.LayerType("Mine")
    assert "Mine" not in layers.TABLE


def test_of_foreign_types_the_name_tells_whether_they_judge():
    judging = [name for name in ("TripletLoss", "SegAccuracy", "DetectionEvaluate", "Mine", "ReLU")
               if layers.of(name).judges]
    assert judging == ["TripletLoss", "SegAccuracy", "DetectionEvaluate"]


@pytest.mark.parametrize("layer, rectifies", [
    ('type: "ReLU"', True), ('type: "ReLU6"', True), ('type: "TanH"', False),
    ('type: "Clip" clip_param { min: 0 max: 6 }', True),
    ('type: "Clip" clip_param { min: -1 max: 6 }', False),
])
def test_what_cuts_at_0_rectifies(layer, rectifies):
    parsed = Net.parse(f'layer {{ name: "l" {layer} }}').layers[0]
    assert layers.of(parsed.type).rectifies(parsed.message) == rectifies


def test_every_row_can_be_read():
    """Roles, parameters and arities are words that their readers know."""
    message = schema.new("LayerParameter")
    for name, layer_type in layers.TABLE.items():
        assert layer_type.name == name and layer_type.role in layers.ROLES
        assert layer_type.link in (None, "softmax", "sigmoid", "none")
        assert not layer_type.parameters or hasattr(message, layer_type.parameters)
        assert (layer_type.fillers is None) == (layer_type.parameters == "")
        assert layer_type.inner_link == "" or layers.of(layer_type.inner_link).role == "link"
        for count in (layer_type.bottoms, layer_type.tops):
            assert count.rstrip("+").replace("-", "").isdigit()


def test_layers_with_weights_say_what_they_learn():
    weighted = {name for name, layer_type in layers.TABLE.items()
                if layer_type.role in ("convolution", "linear") or layer_type.fillers}
    assert all(layers.of(name).blobs for name in weighted)
