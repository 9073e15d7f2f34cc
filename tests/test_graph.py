"""Score blobs and target blobs."""

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.graph import Graph
from prototxt_tools.net import Net


def graph_and_shapes(text):
    net = Net.parse(text).at("TEST")
    return Graph(net), shapes.infer(net)


@pytest.mark.parametrize(
    "text, score, target",
    [
        (definitions.caffenet(), "fc8", "conv5"),
        (definitions.googlenet(), "loss3/classifier", "inception_5b/output"),
        (definitions.vgg(16), "fc8", "conv5_3"),
        (definitions.vgg(19), "fc8", "conv5_4"),
        (definitions.resnet(18), "fc1000", "res5b"),
        (definitions.resnet(50), "fc1000", "res5c"),
        (definitions.densenet(), "fc", "conv3_blk/bn"),
        (definitions.lenet(), "ip2", "conv2"),
        (definitions.nin(), "pool4", "cccp7"),
    ],
    ids=lambda value: value if len(value) < 30 else value.split('"')[1],
)
def test_score_and_target_of_well_known_nets(text, score, target):
    graph, sizes = graph_and_shapes(text)
    assert graph.scores()[0].blob == score
    assert graph.scores()[0].link == "softmax"
    assert graph.targets(score, sizes)[0].blob == target


def test_a_convolution_per_class_belongs_to_the_score():
    graph, sizes = graph_and_shapes(definitions.nin())
    assert graph.targets("pool4", sizes)[0].reason == "cccp8 makes one channel per class of it"


CONV = ('layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s" '
        "convolution_param { num_output: 8 kernel_size: 3 } }")
FC = ('layer { name: "%s" type: "InnerProduct" bottom: "%s" top: "%s" '
      "inner_product_param { num_output: 5 } }")
INPUT = 'input: "%s" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }'


def test_every_stream_of_a_net_with_several_inputs_has_a_target():
    text = INPUT % "a" + INPUT % "b" + CONV % ("ca", "a", "ca") + CONV % ("cb", "b", "cb")
    text += FC % ("fa", "ca", "fa") + FC % ("fb", "cb", "fb")
    text += 'layer { name: "cat" type: "Concat" bottom: "fa" bottom: "fb" top: "cat" }'
    graph, sizes = graph_and_shapes(text + FC % ("score", "cat", "score"))
    assert [score.blob for score in graph.scores()] == ["score"]
    assert sorted(target.blob for target in graph.targets("score", sizes)) == ["ca", "cb"]


def test_softmax_heads_go_before_regression_and_later_ones_before_earlier():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += FC % ("early", "c", "early") + FC % ("late", "c", "late") + FC % ("box", "c", "box")
    for head in ("early", "late"):
        text += 'layer {{ name: "p{0}" type: "Softmax" bottom: "{0}" top: "p{0}" }}'.format(head)
    assert [s.blob for s in graph_and_shapes(text)[0].scores()] == ["late", "early", "box"]


def test_a_softmax_in_mid_net_marks_no_score():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += 'layer { name: "attend" type: "Softmax" bottom: "c" top: "attend" }'
    graph, _ = graph_and_shapes(text + FC % ("fc", "attend", "fc"))
    assert [(score.blob, score.link) for score in graph.scores()] == [("fc", "none")]


def test_in_place_layers_write_and_read_their_blob():
    text = INPUT % "data" + CONV % ("c", "data", "c")
    text += 'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }' + FC % ("fc", "c", "fc")
    graph, _ = graph_and_shapes(text)
    assert graph.writers("c") == [0, 1]
    assert graph.readers("c") == [1, 2]
    assert graph.final_readers("c") == [2]
    assert graph.maker("c").name == "c"


def test_ancestors_leave_out_other_heads():
    text = INPUT % "data" + CONV % ("c", "data", "c") + FC % ("a", "c", "a") + FC % ("b", "c", "b")
    assert graph_and_shapes(text)[0].ancestors(["b"]) == {0, 2}


def test_a_net_without_spatial_blobs_has_no_target():
    graph, sizes = graph_and_shapes(INPUT % "data" + FC % ("a", "data", "a") + FC % ("b", "a", "b"))
    assert graph.targets("b", sizes) == []
