"""Nets that end in a list of boxes instead of scores."""

from typing import List, Optional

from prototxt_tools import layers
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

_MOST_NAMED = 3
_LINKS = ("softmax", "sigmoid")


def check_default_score(graph: Graph, blob: str) -> None:
    """Raise a ModelError for a score blob that nobody named and that lists boxes.

    Boxes are chosen among many, so they have no gradient. The message proposes the blobs of the
    scores that they were chosen by.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    blob : str
    """
    maker = graph.maker(blob)
    if maker is None:
        return
    scores = _scores_behind(graph, maker)
    if not _is_detector(maker) or (maker.type == "Python" and not scores):
        return
    advice = f"give --score {scores[0]}" if scores else "give --score with a blob before it"
    if len(scores) > 1:
        advice += f" (or {', '.join(scores[1:_MOST_NAMED])})"
    path = graph.net.document.path or "<prototxt>"
    raise ModelError(f"{path}: {blob}, which layer {maker.name} of type {maker.type} writes, lists "
                     f"boxes, not scores, and has no gradient; {advice}", path)


def _is_detector(layer: Layer) -> bool:
    name = layer.type.lower()
    return "detection" in name or name in ("nms", "proposal", "python")


def _scores_behind(graph: Graph, detector: Layer) -> List[str]:
    """What the Softmax or Sigmoid layers before a detector read, without what only moves values."""
    linked: List[str] = []
    for layer in _makers(graph, detector.bottoms):
        if layers.of(layer.type).link in _LINKS:
            linked += [maker.tops[0] for maker in _makers(graph, layer.bottoms[:1])]
    return list(dict.fromkeys(linked))


def _makers(graph: Graph, blobs: List[str]) -> List[Layer]:
    """The layers that make some blobs, looking through those that only move or join values."""
    makers: List[Layer] = []
    stack, seen = list(reversed(blobs)), set(blobs)
    while stack:
        maker: Optional[Layer] = graph.maker(stack.pop())
        if maker is None or not maker.bottoms:
            continue
        kind = layers.of(maker.type)
        if kind.carries or kind.role == "join":
            unseen = [blob for blob in maker.bottoms if blob not in seen]
            seen.update(unseen)
            stack += reversed(unseen)
        else:
            makers.append(maker)
    return makers
