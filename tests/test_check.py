"""What stock Caffe says against a net, foretold."""

import pytest

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check
from prototxt_tools.text.document import Document

INPUT = 'input: "d" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
CONV = ('layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s" '
        "convolution_param { num_output: 4 kernel_size: 3 } %s }\n")


def problems(text, phase="TEST"):
    return check.problems(Net.parse(Document.parse(text, "n.prototxt")), phase)


def layer(kind, *blobs, **more):
    bottoms = " ".join(f'bottom: "{blob}"' for blob in blobs)
    tops = " ".join(f'top: "{blob}"' for blob in more.get("tops", ["t"]))
    form = 'layer {{ name: "l" type: "{}" {} {} {} }}\n'
    return form.format(kind, bottoms, tops, more.get("params", ""))


def test_a_sound_net_has_none():
    assert problems(INPUT + CONV % ("c", "d", "c", "")) == []


@pytest.mark.parametrize(
    "text, problem",
    [
        ("\ufeff" + INPUT, "n.prototxt:1:1: a byte order mark, which stock Caffe refuses"),
        (INPUT + layer("Pooling", "d", params="pooling_param { ceil_mode: false }"),
         "n.prototxt:2:72: stock Caffe does not know the field ceil_mode in PoolingParameter; "
         "a fork with Torch's pooling does"),
        (INPUT + layer("ReLU", "d", params="relu_param { engine: MKLDNN }"),
         "n.prototxt:2:66: stock Caffe does not know engine MKLDNN in ReLUParameter; "
         "Intel Caffe does"),
        ('layers { type: ROI_POOLING } layers { type: "Softmax" } layers { type: ROI_POOLING }',
         "n.prototxt:1:10: stock Caffe does not know type ROI_POOLING in V1LayerParameter; "
         "Fast R-CNN (rbgirshick/caffe-fast-rcnn) does (2 times)"),
        (INPUT + "quantum: 1",
         "n.prototxt:2:1: stock Caffe does not know the field quantum in Net"),
        (INPUT + layer("Axpy", "d"),
         "n.prototxt:2:1: layer l (Axpy) is of a type that stock Caffe does not know; "
         "SENet (hujie-frank/SENet) does"),
        (INPUT + layer("", "d"), "n.prototxt:2:1: layer l has no type"),
        (INPUT + layer("ReLU", "x"), "reads x, which no layer before it makes"),
        (INPUT + layer("ReLU", "d", "d"), "layer l (ReLU) has 2 bottoms and needs 1"),
        (INPUT + layer("Slice", "d", tops=[]), "has 0 tops and needs 1+"),
        (INPUT + layer("ReLU", "d") * 2, "n.prototxt:3:1: layer l (ReLU) writes t a second time"),
        (INPUT + layer("ReLU", "d", tops=["a"]) + layer("ReLU", "d", tops=["d"]),
         "changes d in place, but others read d before"),
        (INPUT + CONV % ("c", "d", "c", "param { } " * 3), "has 3 param and 2 weights"),
        (INPUT + CONV % ("c", "d", "c", "loss_weight: 1 " * 2), "has 2 loss_weight and needs 1"),
        (INPUT + CONV % ("c", "d", "c", "propagate_down: 1 " * 2), "has 2 propagate_down"),
        (INPUT + layer("BatchNorm", "d", params="param { }"), "learns its statistics"),
        (INPUT + layer("ReLU", "d", params="include { } exclude { }"), "both include and exclude"),
        (INPUT + layer("InnerProduct", "d", params='inner_product_param { num_output: 2 '
                       'weight_filler { type: "magic" } }'), "the filler 'magic'"),
        (INPUT + layer("InnerProduct", "d"), "it has no num_output"),
        (INPUT + layer("Eltwise", "d", "d", tops=["d"]),
         "changes d in place, but others read d before"),
        (layer("Input", tops=["a", "b", "c"], params="input_param { shape { } shape { } }"),
         "layer l (Input) has 2 shapes for 3 tops"),
        (layer("Input", params="input_param { shape { dim: [" + "1," * 32 + "1] } }"),
         "has over 32 axes"),
        (INPUT + layer("Exp", "d", params="exp_param { base: 0 }"), "has the base 0"),
        (INPUT + layer("Log", "d", params="log_param { base: -2 }"), "has the base -2"),
        (INPUT.replace("dim: 1 ", "dim: 0 ")
         + layer("InnerProduct", "d", params="inner_product_param { num_output: 2 }"),
         "a bias for an empty output"),
        (INPUT + CONV % ("a", "d", "a", 'param { name: "w" }')
         + CONV % ("b", "a", "b", 'param { name: "w" }'), "shares w with a, but (4, 4, 3, 3)"),
        (INPUT + 'layer { name: "a" } layers { name: "b" }', "forms V1 and V2"),
        ('input: "a" input: "b" input_shape { dim: 1 }', "input b has no shape"),
        ('input: "d" input_shape { dim: -1 }', "input d cannot be built"),
    ],
)
def test_what_caffe_refuses_is_said_with_its_place(text, problem):
    found = problems(text)
    assert problem in found[0] and found[0].startswith("n.prototxt:")


def test_inputs_without_any_shape_are_dropped_as_caffe_drops_them():
    text = 'input: "d"\n' + layer("ReLU", "d")
    assert "reads d, which no layer before it makes" in problems(text)[0]


def test_a_phase_is_judged_alone_but_its_text_is_not():
    text = INPUT + layer("ReLU", "x", params="include { phase: TRAIN }")
    assert problems(text) == [] and problems(text, "TRAIN") != []
    assert problems(text + "quantum: 1") != []


def test_every_layer_that_no_parser_accepts_is_named():
    text = 'layer { name: 1 }\nlayer { }\nlayer { top: "a" type: "a" type: "b" }\nname: 2'
    assert [line.split(": ", 1)[1] for line in problems(text)] == [
        'name needs quotes: "2"',
        'name needs quotes: "1"',
        "type is given twice, but may be given only once",
    ]


def test_strangers_raise_at_what_no_parser_accepts():
    with pytest.raises(PrototxtError, match="1:14: name is given twice"):
        check.strangers(Document.parse("name: 'a'    name: 'b'"))


def test_a_list_that_only_a_fork_takes_is_a_stranger():
    text = INPUT + layer("Pooling", "d", params="pooling_param { kernel_size: [1, 2, 2] }")
    assert problems(text) == [
        "n.prototxt:2:72: stock Caffe does not know a list for kernel_size in PoolingParameter; "
        "yjxiong/caffe does",
    ]


def test_losses_with_two_tops_want_weights_for_both():
    text = INPUT + layer("SoftmaxWithLoss", "d", "d", tops=["a", "b"])
    assert "has 2 tops and no loss_weight for each" in problems(text)[0]
