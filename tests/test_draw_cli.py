"""The command ``prototxt-tools draw``, and what it draws."""

import os
import shutil
import subprocess
import sys

import definitions
import pytest

from prototxt_tools import shapes
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import drawing

FAKE_DOT = """#!{}
import sys
text = sys.stdin.read()
if "refuse" in text:
    sys.exit("dot: no")
print(sys.argv[1], len(text))
"""


def draw(text, *arguments, **environment):
    result = subprocess.run(
        [sys.executable, "-m", "prototxt_tools", "draw", "-"] + [str(a) for a in arguments],
        input=text.encode("utf-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, **environment),
    )
    return result.returncode, result.stdout.decode("utf-8"), result.stderr.decode("utf-8")


def drawn(text, *marks):
    net = Net.parse(text).at("TEST")
    return drawing.draw(Graph(net), shapes.infer(net, problems=[]), *marks)


@pytest.fixture
def dot(tmp_path):
    """A folder with a program dot that says how it was called."""
    path = tmp_path / "bin" / "dot"
    path.parent.mkdir()
    path.write_text(FAKE_DOT.format(sys.executable))
    path.chmod(0o755)
    return str(path.parent)


def test_layers_that_work_in_place_are_drawn_with_the_blob_they_change():
    nodes = drawn(definitions.lenet()).nodes
    assert [node.lines for node in nodes if "ip1 (InnerProduct)" in node.lines] == [
        ["ip1 (InnerProduct)", "relu_ip1 (ReLU)"]]
    assert nodes[0].role == "input"


def test_edges_say_which_blob_goes_and_its_shape():
    picture = drawn(definitions.lenet())
    assert drawing.Edge(0, 1, "data 1x1x28x28") in picture.edges
    assert len(picture.edges) == len(picture.nodes) - 1


def test_score_and_target_stand_out():
    picture = drawn(definitions.lenet(), ["ip2"], ["conv2"])
    assert {node.role: node.lines[0] for node in picture.nodes if node.role} == {
        "input": "data", "score": "ip2 (InnerProduct)", "target": "conv2 (Convolution)"}
    assert "fillcolor=\"#f4a6a6\"" in drawing.to_dot(picture)
    assert "fill:#a8d5a2" in drawing.to_mermaid(picture)


def test_modules_are_boxed():
    picture = drawn(definitions.googlenet())
    clusters = {node.cluster for node in picture.nodes}
    assert ("inception_3a",) in clusters and ("inception_5b",) in clusters
    assert ("loss3",) not in clusters  # one layer is no module
    assert 'subgraph "cluster_inception_3a" { label="inception_3a"' in drawing.to_dot(picture)
    assert '["inception_3a"]' in drawing.to_mermaid(picture)


def test_streams_are_boxed_with_their_modules_inside():
    text = ""
    for name in "ab":
        text += 'input: "%s" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }' % name
        for index, bottom in enumerate([name, name + "/0"]):
            text += (f'layer {{ name: "m/{name}{index}" type: "TanH" bottom: "{bottom}" '
                     f'top: "{name}/{index}" }}')
    text += 'layer { name: "end" type: "Concat" bottom: "a/1" bottom: "b/1" top: "end" }'
    assert [node.cluster for node in drawn(text).nodes] == [
        (), (), ("a", "m"), ("a", "m"), ("b", "m"), ("b", "m"), ()]


EVIL = '"];</script>\\n#\\\\{'


def test_names_cannot_leave_their_quotes():
    text = 'input: "d" layer {{ name: "{0}" type: "Foo" bottom: "d" top: "{0}" }}'.format(
        EVIL.replace("\\", "\\\\").replace('"', '\\"'))
    picture = drawn(text)
    assert '"];' not in drawing.to_mermaid(picture).replace(' (Foo)"]', "").replace('["d"]', "")
    line = drawing.to_dot(picture).splitlines()[-3]
    assert line == ('  n1 [label="\\"];</script>\\\\n#\\\\\\\\{ (Foo)", fillcolor="#ffffff"];')


def test_mermaid_goes_to_standard_output_by_default():
    code, output, _ = draw(definitions.lenet())
    assert code == 0
    assert output.startswith("flowchart TB\n") and '-->|"data 1x1x28x28"|' in output


@pytest.mark.parametrize("ending, start", [("mmd", "flowchart"), ("dot", "digraph"), ("gv", "dig")])
def test_the_ending_of_the_file_says_the_format(tmp_path, ending, start):
    path = tmp_path / ("net." + ending)
    assert draw(definitions.lenet(), "-o", path)[0] == 0
    assert path.read_text().startswith(start)


def test_graphviz_makes_svg_and_png(tmp_path, dot):
    for ending in ("svg", "png"):
        path = tmp_path / ("net." + ending)
        assert draw(definitions.lenet(), "-o", path, PATH=dot)[0] == 0
        assert path.read_text().startswith("-T" + ending)
    assert draw(definitions.lenet(), "--format", "svg", PATH=dot)[1].startswith("-Tsvg")


def test_real_graphviz_takes_what_is_drawn(tmp_path):
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed here")
    path = tmp_path / "net.svg"
    assert draw(definitions.googlenet(), "-o", path)[0] == 0
    assert "</svg>" in path.read_text()


def test_without_graphviz_the_way_out_is_named(tmp_path):
    code, _, message = draw(definitions.lenet(), "-o", tmp_path / "net.svg", PATH=str(tmp_path))
    assert code == 2 and "install graphviz, or write Mermaid with --format mermaid" in message
    assert not (tmp_path / "net.svg").exists()


def test_what_graphviz_says_against_a_drawing_is_passed_on(tmp_path, dot):
    code, _, message = draw('layer { name: "refuse" }', "-o", tmp_path / "n.svg", PATH=dot)
    assert (code, message) == (2, "prototxt-tools: dot failed: dot: no\n")
    assert not (tmp_path / "n.svg").exists()


def test_help_teaches_with_examples():
    assert draw("", "--help")[1].count("prototxt-tools draw ") >= 2
