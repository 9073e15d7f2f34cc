"""Which blobs of a net hold the images, the scores and the maps."""

import difflib
from typing import Dict, Iterable, List, Mapping, Tuple

from caffe_gradcam.model import detectors
from prototxt_tools import layers
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.net.graph import Graph, Score, Target, is_spatial
from prototxt_tools.net.streams import stream_targets

_NEAR = 5

Shapes = Mapping[str, Tuple[int, ...]]


def resolve(graph: Graph, name: str) -> str:
    """The blob that a user means by its name or by that of the layer that writes it.

    Raises
    ------
    QuestionError
        There is none, or the layer writes several; near names are suggested.
    """
    if name in graph:
        return name
    layer = graph.net.layer(name)
    if layer is None:
        names = dict.fromkeys(graph.net.blobs() + [layer.name for layer in graph.net.layers])
        near = difflib.get_close_matches(name, names, _NEAR, 0.5)
        hint = "; near: " + ", ".join(near) if near else ""
        raise QuestionError(f"the net has no layer or blob {name!r}{hint}", name)
    if len(layer.tops) != 1:
        written = " and ".join(layer.tops) or "no blob"
        raise QuestionError(f"layer {name!r} writes {written}; name a blob", name)
    return layer.tops[0]


def scores(graph: Graph) -> List[Score]:
    """The net's score blobs; see ``Graph.scores``; ModelError if there is none."""
    candidates = graph.scores()
    if not candidates:
        raise ModelError.about(graph.net.document.shown_path,
                               "no score blob found; give --score")
    return candidates


def score(graph: Graph, name: str) -> Tuple[str, str]:
    """The score blob of a name, and what makes probabilities of it.

    Returns
    -------
    blob : str
    link : str
        "softmax", "sigmoid" or "none".

    Raises
    ------
    QuestionError
        There is no such blob, or it does not hold scores.
    """
    blob = resolve(graph, name)
    maker = graph.maker(blob)
    if maker is None or not maker.bottoms:
        raise QuestionError(f"{blob} is an input of the net, not a score; give --score", blob)
    if layers.of(maker.type).role == "link":
        raise QuestionError(
            f"{blob} holds what {maker.type} made of the scores; give --score {maker.bottoms[0]}",
            blob)
    links = {candidate.blob: candidate.link for candidate in graph.scores()}
    return blob, links.get(blob) or detectors.link_before(graph, blob)


def batch_statistics(graph: Graph, score: str) -> List[str]:
    """The BatchNorm layers before a score that use the statistics of each batch.

    What such a net computes of an image depends on the other images of the batch.
    """
    before = [graph.net.layers[index] for index in sorted(graph.ancestors([score]))]
    return [layer.name for layer in before if layer.type == "BatchNorm"
            and layer.message.batch_norm_param.HasField("use_global_stats")
            and not layer.message.batch_norm_param.use_global_stats]


def sources(graph: Graph, blob: str, inputs: Iterable[str]) -> List[str]:
    """Those of some input blobs that a blob depends on, in order."""
    needed = graph.ancestors([blob])
    return [name for name in inputs if name == blob or needed & set(graph.readers(name))]


def default_layers(graph: Graph, score: str, shapes: Shapes, inputs: Iterable[str]
                   ) -> Tuple[Tuple[str, ...], str]:
    """The blobs to draw where nobody names any, and why: those of ``Graph.targets``.

    Where the net has several inputs, the best blob of each input's stream.

    Raises
    ------
    ModelError
        No blob before the score has spatial extent, as far as shapes are known.
    """
    streams: Dict[str, Target] = {}
    if len(list(inputs)) > 1:
        streams = stream_targets(graph, score, shapes)
    if streams:
        layers = tuple(dict.fromkeys(target.blob for target in streams.values()))
        return layers, "found: the last blob with spatial extent of each input's stream"
    best = _best_target(graph, score, shapes)
    return (best.blob,), "found: " + best.reason


def checked_target(graph: Graph, score: str, shapes: Shapes, name: str) -> str:
    """The blob of a name, if a score can be explained at it; else QuestionError."""
    blob = resolve(graph, name)
    shape = shapes.get(blob)
    if shape is not None and not is_spatial(shape):
        size = "x".join(map(str, shape[1:]))
        raise QuestionError(f"blob {blob} ({size}) has no spatial extent; the last before {score} "
                            f"that has is {_best_target(graph, score, shapes).blob}", blob)
    if not graph.ancestors([score]) & set(graph.final_readers(blob)):
        raise QuestionError(f"score {score} does not depend on blob {blob}", blob)
    return blob


def _best_target(graph: Graph, score: str, shapes: Shapes) -> Target:
    targets = graph.targets(score, shapes)
    if targets:
        return targets[0]
    unknown = [layer for layer in graph.net.layers
               if any(shapes.get(top) is None for top in layer.tops)]
    if unknown:
        raise ModelError(
            f"{graph.net.document.shown_path}: the shapes of blobs are unknown from layer "
            f"{unknown[0].name} ({unknown[0].type}) on, and no blob before it has spatial extent; "
            "give --layer",
            unknown[0].name)
    raise ModelError(f"the net has no blob with spatial extent before {score}, so no region of "
                     "the image can be highlighted", score)
