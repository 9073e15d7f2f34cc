"""A net as a drawing: the text that Graphviz's ``dot`` or Mermaid turn into an image."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from prototxt_tools import layers
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.shapes import Shapes

# By the role of the layer type.
_COLOURS = {
    "convolution": "#cfe2f3", "linear": "#d9d2e9", "pooling": "#fce5cd", "join": "#e2e2e2",
    "sum": "#e2e2e2", "normalization": "#fff2cc",
}  # fmt: skip
_PLAIN, _SCORE, _TARGET = "#ffffff", "#f4a6a6", "#a8d5a2"


@dataclass(frozen=True)
class Node:
    """An input, or a layer with those that change its tops in place; ``role`` is "", "input",
    "score" or "target"."""

    lines: List[str]
    type: str
    role: str
    cluster: Tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """From the node that makes a blob to one that reads it; indices."""

    source: int
    target: int
    label: str


@dataclass(frozen=True)
class Drawing:
    """What there is to draw."""

    name: str
    nodes: List[Node]
    edges: List[Edge]


def draw(graph: Graph, shapes: Shapes, scores: Iterable[str] = (),
         targets: Iterable[str] = ()) -> Drawing:
    """The nodes and edges of a net.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    shapes : dict
        They label the edges; see ``shapes.infer``.
    scores, targets : iterable of str
        Blobs whose makers stand out.

    Returns
    -------
    Drawing
    """
    net = graph.net
    nodes: List[Node] = []
    edges: List[Edge] = []
    roles = dict([(blob, "target") for blob in targets] + [(blob, "score") for blob in scores])
    clusters = _clusters(net, graph.streams())
    makers: Dict[str, int] = {}  # Blob -> index of its node.
    for entry in net.inputs:
        if entry.field.name == "input":
            makers[entry.blob] = len(nodes)
            nodes.append(Node([entry.blob], "", "input", ()))
    for layer, cluster in zip(net.layers, clusters):
        line = f"{layer.name} ({layer.type})"
        if layer.is_in_place and len(set(layer.bottoms)) == 1 and layer.bottoms[0] in makers:
            node = nodes[makers[layer.bottoms[0]]]
            if node.role != "input":
                node.lines.append(line)
                continue
        role = next((roles[top] for top in layer.tops if top in roles), "")
        role = "input" if not layer.bottoms and not role else role
        for bottom in layer.bottoms:
            if bottom in makers:
                label = bottom + " " + "x".join(map(str, shapes.get(bottom, ())))
                edges.append(Edge(makers[bottom], len(nodes), label.strip()))
        makers.update(dict.fromkeys(layer.tops, len(nodes)))
        nodes.append(Node([line], layer.type, role, cluster))
    return Drawing(net.name, nodes, edges)


def _clusters(net: Net, streams: Sequence[Optional[str]]) -> List[Tuple[str, ...]]:
    """For each layer its stream, where there are several, and its module.

    A module is what several layers have in their names before the first ``/``.
    """
    modules = [layer.name.partition("/")[0] if "/" in layer.name else "" for layer in net.layers]
    counts: Dict[Tuple[Optional[str], str], int] = {}
    for pair in zip(streams, modules):
        counts[pair] = counts.get(pair, 0) + 1
    clusters = []
    for stream, module in zip(streams, modules):
        module = module if counts[stream, module] > 1 else ""
        clusters.append(tuple(name for name in (stream, module) if name))
    return clusters


def to_dot(drawing: Drawing) -> str:
    """The drawing in Graphviz's language."""
    lines = [
        f"digraph {_quoted(drawing.name or 'net')} {{",
        '  rankdir="TB"; node [shape="box", style="filled,rounded", fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize="10"];',
    ]
    for cluster, members in _grouped(drawing.nodes):
        indent = "  " * (1 + len(cluster))
        for depth, name in enumerate(cluster):
            key = _quoted("cluster_" + "/".join(cluster[: depth + 1]))
            opening = f"subgraph {key} {{ label={_quoted(name)}; color=\"#999999\";"
            lines.append("  " * (1 + depth) + opening)
        for index in members:
            node = drawing.nodes[index]
            label = _quoted("\n".join(node.lines))
            lines.append(f'{indent}n{index} [label={label}, fillcolor="{_colour(node)}"];')
        lines += ["  " * depth + "}" for depth in range(len(cluster), 0, -1)]
    for edge in drawing.edges:
        lines.append(
            f"  n{edge.source} -> n{edge.target} [label={_quoted(edge.label)}];"
        )
    return "\n".join(lines + ["}"]) + "\n"


def to_mermaid(drawing: Drawing) -> str:
    """The drawing as a Mermaid flowchart."""
    lines = ["flowchart TB"]
    for number, (cluster, members) in enumerate(_grouped(drawing.nodes)):
        for depth, name in enumerate(cluster):
            lines.append(f'  subgraph g{number}_{depth}["{_escaped(name)}"]')
        for index in members:
            label = "<br>".join(map(_escaped, drawing.nodes[index].lines))
            lines.append(f'  n{index}["{label}"]')
        lines += ["  end"] * len(cluster)
    for edge in drawing.edges:
        lines.append(f'  n{edge.source} -->|"{_escaped(edge.label)}"| n{edge.target}')
    for index, node in enumerate(drawing.nodes):
        if _colour(node) != _PLAIN:
            lines.append(f"  style n{index} fill:{_colour(node)}")
    return "\n".join(lines) + "\n"


def _grouped(nodes: Sequence[Node]) -> List[Tuple[Tuple[str, ...], List[int]]]:
    """Clusters with their members, in the order of their first ones."""
    groups: Dict[Tuple[str, ...], List[int]] = {}
    for index, node in enumerate(nodes):
        groups.setdefault(node.cluster, []).append(index)
    return list(groups.items())


def _colour(node: Node) -> str:
    special = {"score": _SCORE, "target": _TARGET}
    return special.get(node.role) or _COLOURS.get(layers.of(node.type).role, _PLAIN)


def _quoted(text: str) -> str:
    """A string of Graphviz; a line end becomes its ``\\n``."""
    text = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))


def _escaped(text: str) -> str:
    """Text that Mermaid shows as it is."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    for letter in '#&"<>;':
        text = text.replace(letter, f"\0{ord(letter):d}\0")
    pieces = text.split("\0")
    return "".join(f"#{piece};" if index % 2 else piece for index, piece in enumerate(pieces))
