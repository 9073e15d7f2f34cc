"""Layers that do the work of several become several, and each gets a name of its own."""

import cases
import numpy as np
import pytest

from prototxt_tools import rewrite, shapes, weights
from prototxt_tools.commands.cli import main
from prototxt_tools.net.net import Net
from prototxt_tools.reports.describe import describe
from prototxt_tools.text.document import Document


def separated(text, arrays=None):
    return rewrite.separate(Document.parse(text), arrays)


def test_a_fused_relu_becomes_a_layer_in_place_behind_its_layer():
    result = separated('layer { name: "c" type: "Convolution" bottom: "d" top: "c" '
                       'convolution_param { num_output: 2 relu: true negative_slope: 0.1 } '
                       'include { phase: TEST } }')
    layer = Net.parse(result.document).layers[1]
    assert (layer.name, layer.type, layer.bottoms, layer.tops) == ("c/relu", "ReLU", ["c"], ["c"])
    assert layer.message.relu_param.negative_slope == pytest.approx(0.1)
    assert layer.message.include[0].phase == 1
    assert result.notes == ("split Convolution c (line 1) into a Convolution and a ReLU",)
    assert separated(result.document.text()).notes == ()


def test_selu_is_an_elu_times_lambda():
    result = separated('layer { name: "e" type: "ELU" bottom: "d" top: "e" '
                       'elu_param { lambda: 1.0507 alpha: 1.6733 } }')
    first, second = Net.parse(result.document).layers
    assert second.type == "Power"
    assert second.message.power_param.scale == pytest.approx(1.0507)
    assert "lambda" not in result.document.text()


def test_the_scale_of_a_batch_norm_takes_its_fillers_and_learning_rates():
    specs = " ".join(f"param {{ lr_mult: {rate} }}" for rate in (0, 0, 0, 1, 2))
    result = separated('layer { name: "b" type: "BatchNorm" bottom: "d" top: "b" %s '
                       "batch_norm_param { scale_bias: true scale_filler { value: 3 } } }" % specs)
    norm, scale = (layer.message for layer in Net.parse(result.document).layers)
    assert len(norm.param) == 3
    assert [spec.lr_mult for spec in scale.param] == [1, 2]
    assert scale.scale_param.filler.value == 3


def test_five_blobs_of_a_batch_norm_tell_that_scale_and_bias_are_inside():
    text = 'layer { name: "b" type: "BatchNorm" bottom: "d" top: "b" }'
    old = {"b": [np.full((1, 2, 1, 1), number, np.float32) for number in (4, 5, 1, 2)]
           + [np.float32([7])]}
    result = separated(text, old)
    assert [array.tolist() for array in result.weights["b"]] == [[1, 1], [2, 2], [1]]
    assert [array.tolist() for array in result.weights["b/scale"]] == [[4, 4], [5, 5]]


def test_five_blobs_with_a_factor_of_another_fork_are_left_alone():
    text = 'layer { name: "b" type: "BatchNorm" bottom: "d" top: "b" }'
    arrays = [np.float32([1, 1]), np.float32([2, 2]), np.float32([7]), np.float32([4, 4]),
              np.float32([5, 5])]
    assert separated(text, {"b": arrays}).notes == ()


def test_shapes_follow_hole_and_round_below():
    expected = shapes.infer(Net.load(cases.path_of("dilation.prototxt")))
    assert shapes.infer(Net.load(cases.path_of("hole.prototxt"))) == expected
    assert shapes.infer(Net.load(cases.path_of("round_below.prototxt")))["p"] == (1, 4, 12, 12)


@pytest.mark.parametrize("fork, stock", [
    ("hole: 2", "dilation: 2"), ("hole_h: 4 hole_w: 4", "dilation: 4"),
    ("hole_h: 2", "dilation: 2 dilation: 1"), ("relu: false", "")])
def test_stock_fields_of_a_convolution(fork, stock):
    text = 'layer { type: "Convolution" convolution_param { num_output: 1 %s } }'
    result = rewrite.stock(Document.parse(text % fork))
    assert result.document.text().split() == (text % stock).split()


def test_weights_written_again_hold_both_layers_of_one_name(tmp_path, capsys):
    source, path = cases.path_of("dup_saved.caffemodel"), str(tmp_path / "again.caffemodel")
    assert main(["weights", source, "-o", path]) == 0
    assert capsys.readouterr().out.count("conv ") == 4
    first, again = weights.load(source), weights.load(path)
    for a, b in ((first["conv"], again["conv"]), (first.replaced["conv"][0],
                                                  again.replaced["conv"][0])):
        for index in (0, 1):
            np.testing.assert_array_equal(a[index], b[index])


def test_weights_command_says_that_layers_share_a_name(capsys):
    assert main(["weights", cases.path_of("dup_saved.caffemodel"), "--net",
                 cases.path_of("dup_names.prototxt")]) == 0
    assert ("note: renamed Convolution conv (line 5) to conv#2: line 3 has a layer of that name, "
            "and each gets its own weights, in order") in capsys.readouterr().out


def test_weights_command_fails_where_a_layer_has_none(capsys):
    assert main(["weights", cases.path_of("bn_renamed.caffemodel"), "--net",
                 cases.path_of("bn.prototxt")]) == 1
    assert "layer fc: not in the file" in capsys.readouterr().out


def test_inspect_notes_shared_names_and_fields_that_are_not_understood():
    net = Net.load(cases.path_of("dup_names.prototxt"))
    assert describe(net)["notes"] == [
        "2 layers with weights are named conv (lines 3 and 5): Caffe copies all weights of that "
        "name into the first"]
    net = Net.load(cases.path_of("intel_relu.prototxt"))
    assert describe(net)["notes"] == [
        "normalize in fc (line 6) is not understood and may change what the layer computes"]


def test_rewrite_writes_the_weights_that_belong_to_the_stock_net(tmp_path, capsys):
    path = str(tmp_path / "stock.caffemodel")
    assert main(["rewrite", cases.path_of("nv_bn.prototxt"), "--stock", "--weights",
                 cases.path_of("nv_bn.caffemodel"), "--weights-out", path]) == 0
    stored = weights.load(path)
    assert [array.shape for array in stored["bn1/scale"]] == [(4,), (4,)]
    assert main(["rewrite", cases.path_of("nv_bn.prototxt"), "--weights", "x"]) == 2


@pytest.mark.parametrize("written, meant", [
    ("concat", "Concat"), ("CONVOLUTION", "Convolution"), ("INNER_PRODUCT", "InnerProduct"),
    ("Relu", "ReLU"), ("Convolutoin", "Convolution")])
def test_the_layer_type_that_is_meant_is_proposed(written, meant):
    net = Net.parse('layer { name: "x" type: "%s" bottom: "d" top: "x" }' % written)
    assert any(problem.endswith(f"did you mean {meant}?") for problem in describe(net)["problems"])
