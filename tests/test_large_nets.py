"""Large and lopsided nets go through everything, whatever grows with them."""

import pytest

from prototxt_tools import rewrite, shapes
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check
from prototxt_tools.reports.audit import audit
from prototxt_tools.reports.describe import describe
from prototxt_tools.text.document import Document

LAYERS = 10000
INPUT = 'input: "d" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
FC = "inner_product_param { num_output: 3 }"
CONV = "convolution_param { num_output: 3 kernel_size: 1 }"


def layer(kind, name, bottoms, top, params=""):
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    form = 'layer {{ name: "{}" type: "{}" {} top: "{}" {} }}\n'
    return form.format(name, kind, reads, top, params)


def chain():
    kinds = [("Convolution", CONV), ("ReLU", ""), ("Dropout", ""), ("LRN", "")]
    tops = ["d"] + [f"t{index}" for index in range(LAYERS)]
    pieces = [
        layer(kinds[index % 4][0], top, [tops[index]], top, kinds[index % 4][1])
        for index, top in enumerate(tops[1:])
    ]
    return "".join(pieces) + layer("InnerProduct", "fc", tops[-1:], "fc", FC)


def test_a_net_of_ten_thousand_layers_is_understood_and_changed():
    document = Document.parse(INPUT + chain() + layer("Softmax", "p", ["fc"], "p"))
    net = Net.parse(document)
    sizes = shapes.infer(net.at("TEST"))
    assert sizes[f"t{LAYERS - 1}"] == (1, 3, 8, 8) and sizes["p"] == (1, 3)
    assert check.problems(net) == [] and audit(net) == []
    found = describe(net)
    assert found["scores"][0]["targets"][0]["blob"] == f"t{LAYERS - 1}"
    assert found["total"]["parameters"] == LAYERS // 4 * 12 + 3 * 192 + 3
    stripped = rewrite.strip_softmax(document)
    assert stripped.document.text() == INPUT + chain()


@pytest.mark.parametrize(
    "text, removed",
    [
        ("".join(layer("Softmax", "p%d" % i, ["fc"], "p%d" % i) for i in range(LAYERS)), LAYERS),
        ("".join(layer("Softmax", "p%d" % i, ["fc"], "fc") for i in range(LAYERS)), LAYERS),
        ("".join(layer("Softmax", "p", ["fc"], "p") for i in range(LAYERS))
         + layer("ReLU", "r", ["p"], "r"), 0),
        ("".join(layer("ReLU", "r", ["fc"], "fc") for i in range(LAYERS)), 0),
        ("".join(layer("InnerProduct", "f%d" % i, ["fc"], "f%d" % i, FC) for i in range(LAYERS))
         + layer("Concat", "cat", ["f%d" % i for i in range(LAYERS)], "cat"), 0),
    ],
    ids=["heads", "in place", "one top", "in-place ReLUs", "concat"],
)
def test_ten_thousand_layers_on_one_blob_are_no_special_case(text, removed):
    document = Document.parse(INPUT + layer("InnerProduct", "fc", ["d"], "fc", FC) + text)
    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    sizes = shapes.infer(net)
    assert graph.scores() and graph.targets("fc", sizes) == []
    assert len(graph.streams()) == len(net.layers)
    left = Net.parse(rewrite.strip_softmax(document).document).layers
    assert len(left) == len(net.layers) - removed
