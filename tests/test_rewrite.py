"""Rewrites of net definitions, as text and as Caffe runs them."""

import definitions
import numpy as np
import pytest

from prototxt_tools import rewrite, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

NET = """# head comment
name: "n"  # the name
input: "data"
input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }

# the trunk
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 }
  field_of_a_fork { keep: me }
}
layer {
  name: "fc"
  type: "InnerProduct"
  bottom: "conv"
  top: "fc"
  inner_product_param { num_output: 4 }
}
"""
SOFTMAX = """layer {
  name: "prob"
  type: "Softmax"
  bottom: "fc"
  top: "prob"
}
"""


def strip(text):
    return rewrite.strip_softmax(Document.parse(text))


def test_a_softmax_at_the_end_is_removed_and_nothing_else():
    result = strip(NET + SOFTMAX)
    assert result.document.text() == NET
    assert list(result.notes) == ["removed Softmax prob (line 22)"]


def test_then_applies_one_rewrite_after_another_and_joins_their_notes():
    document = Document.parse(NET + SOFTMAX)
    result = rewrite.strip_softmax(document).then(rewrite.batch_size, 2).then(
        rewrite.cut, ["fc"], phase="TEST")
    assert result.document.text() == NET.replace("dim: 1 ", "dim: 2 ")
    assert result.notes == (
        "removed Softmax prob (line 22)", "set the batch size of input data to 2")


def test_then_keeps_what_a_rewrite_gives_besides():
    document = Document.parse(NET + SOFTMAX)
    result = rewrite.strip_softmax(document).then(rewrite.fold, {"fc": [np.ones((4, 3))]})
    assert list(result.weights) == ["fc"]
    assert result.notes == ("removed Softmax prob (line 22)",)


def test_a_net_without_softmax_is_no_error():
    result = strip(NET)
    assert result.document.text() == NET
    assert list(result.notes) == []


def test_a_softmax_that_later_layers_read_stays_with_a_note():
    reader = 'layer { name: "r" type: "Reshape" bottom: "prob" top: "r" }\n'
    result = strip(NET + SOFTMAX + reader)
    assert result.document.text() == NET + SOFTMAX + reader
    assert list(result.notes) == ["left Softmax prob (line 22): Reshape r (line 28) reads it"]


@pytest.mark.parametrize("kind", ["Sigmoid", "SoftmaxWithLoss", "SigmoidCrossEntropyLoss"])
def test_other_ends_of_a_net_are_removed_too(kind):
    end = 'layer { name: "end" type: "%s" bottom: "fc" bottom: "label" top: "end" }\n' % kind
    assert strip(NET + end).document.text() == NET


def test_a_softmax_read_only_by_accuracy_is_removed_with_it():
    accuracy = 'layer { name: "acc" type: "Accuracy" bottom: "prob" bottom: "l" top: "acc" }\n'
    assert strip(NET + SOFTMAX + accuracy).document.text() == NET


def test_layers_of_different_phases_do_not_read_each_other():
    test = SOFTMAX.replace('"prob"\n}', '"prob"\n  include { phase: TEST }\n}')
    train = 'layer { name: "x" type: "ReLU" bottom: "prob" top: "x" include { phase: TRAIN } }\n'
    assert strip(NET + test + train).document.text() == NET + train


def test_v1_layers_are_stripped_alike():
    head = 'input: "fc" input_dim: 1 input_dim: 4 input_dim: 1 input_dim: 1\n'
    head += 'layers { name: "r" type: RELU bottom: "fc" top: "fc" }\n'
    end = "layers { name: 'p' type: SOFTMAX bottom: 'fc' top: 'p' }\n"
    assert strip(head + end).document.text() == head


def force(text):
    return rewrite.force_backward(Document.parse(text)).document.text()


def test_force_backward_is_added_behind_the_name():
    first, rest = NET.split("# the name\n")
    assert force(NET) == first + "# the name\nforce_backward: true\n" + rest


def test_force_backward_is_added_first_where_there_is_no_name():
    assert force('# c\nlayer { type: "ReLU" }\n') == (
        '# c\nforce_backward: true\nlayer { type: "ReLU" }\n'
    )


def test_force_backward_is_set_where_it_stands():
    text = 'force_backward :  false # why\nlayer { type: "ReLU" }\n'
    assert force(text) == text.replace("false", "true")


def test_force_backward_inside_a_layer_or_a_comment_does_not_count():
    text = '# force_backward: true\nlayer { type: "ReLU" force_backward: true }'
    assert force(text).count("force_backward: true") == 3


@pytest.mark.parametrize("text", [
    NET + SOFTMAX, definitions.vgg(16), definitions.googlenet(), definitions.resnet(18),
])
def test_converting_twice_changes_nothing_the_second_time(text):
    def classic(document):
        return rewrite.force_backward(rewrite.strip_softmax(document).document).document

    def lean(document):
        net = Net.parse(document).at("TEST")
        graph = Graph(net)
        score = graph.scores()[0].blob
        target = graph.targets(score, shapes.infer(net))[0].blob
        stripped = rewrite.strip_softmax(document).document
        return rewrite.lean_backward(stripped, score, [target]).document

    for convert in (classic, lean):
        once = convert(Document.parse(text))
        assert convert(once).text() == once.text()
        assert once.text() != text


def lean(text, score="fc", targets=("conv",)):
    return rewrite.lean_backward(Document.parse(text), score, targets)


def test_lean_freezes_the_head_and_weighs_the_score():
    net = Net.parse(lean("force_backward: true\n" + NET).document)
    assert net.document.root.first("force_backward") is None
    assert list(net.layer("fc").message.loss_weight) == [1]
    assert [spec.lr_mult for spec in net.layer("fc").message.param] == [0, 0]
    assert not net.layer("conv").message.param


def test_lean_lets_a_frozen_trunk_learn_again():
    text = NET.replace("convolution_param", "param { lr_mult: 0 } param { lr_mult: 0 }\n  "
                       "convolution_param")
    net = Net.parse(lean(text).document)
    assert [spec.lr_mult for spec in net.layer("conv").message.param] == [1, 1]


def test_lean_keeps_the_rest_of_a_param_message():
    text = NET.replace("inner_product_param", 'param { name: "w" decay_mult: 3 }\n  '
                       "inner_product_param")
    specs = Net.parse(lean(text).document).layer("fc").message.param
    assert [(s.name, s.lr_mult, s.decay_mult) for s in specs] == [("w", 0, 3), ("", 0, 1)]


@pytest.mark.parametrize(
    "score, target, problem",
    [("nope", "conv", "no layer of the net writes a blob 'nope'"),
     ("conv", "fc", "conv does not depend on fc"), ("fc", "data", "writes a blob 'data'")],
)
def test_lean_names_what_it_cannot_do(score, target, problem):
    with pytest.raises(InputError, match=problem):
        lean(NET, score, (target,))


def test_cut_keeps_what_a_blob_needs():
    other = 'layer { name: "other" type: "InnerProduct" bottom: "conv" top: "other" }\n'
    result = rewrite.cut(Document.parse(NET + other + SOFTMAX), ["fc"])
    assert result.document.text() == NET
    assert len(result.notes) == 2


NETS = {
    "caffenet": definitions.caffenet(20),
    "googlenet": definitions.googlenet(20),
    "vgg19": definitions.vgg(19, 20),
    "resnet18": definitions.resnet(18, 20),
    "densenet": definitions.densenet(),
    "lenet": definitions.lenet(),
    "nin": definitions.nin(20),
}


@pytest.mark.parametrize("name", sorted(NETS))
def test_classic_and_lean_give_the_same_gradient_to_the_last_bit(caffe, tmp_path, name):
    prototxt, caffemodel = definitions.write_model(tmp_path, NETS[name])
    document = Document.load(prototxt)
    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    score = graph.scores()[0].blob
    target = graph.targets(score, shapes.infer(net))[0].blob
    stripped = rewrite.strip_softmax(document).document
    forced = rewrite.force_backward(stripped).document
    lean = rewrite.lean_backward(stripped, score, [target]).document
    gradients = [
        full_gradient(caffe, tmp_path, converted, caffemodel, score, target)
        for converted in (forced, lean)
    ]
    assert np.abs(gradients[0]).max() > 0
    assert np.array_equal(*gradients)


def full_gradient(caffe, folder, document, weights, score, target):
    path = folder / "converted.prototxt"
    path.write_bytes(document.encode())
    net = caffe.Net(str(path), caffe.TEST, weights=weights)
    data = net.blobs["data"].data
    data[...] = np.random.RandomState(1).uniform(-50, 50, data.shape)
    net.forward()
    seed = np.zeros_like(net.blobs[score].data)
    seed.reshape(len(seed), -1)[:, 3] = 1
    return net.backward(diffs=[target], **{score: seed})[target].copy()
