"""Which blobs of a net hold the picture, the scores and the maps."""

import difflib

from caffe_gradcam.model.preprocess import CHANNELS
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import LINKS

_NEAR = 5


def resolve(graph, name):
    """The blob that a user means by its name or by that of the layer that writes it.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    name : str

    Returns
    -------
    str

    Raises
    ------
    InputError
        There is none, or the layer writes several; near names are suggested.
    """
    if name in graph:
        return name
    layer = graph.net.layer(name)
    if layer is None:
        known = dict.fromkeys(graph.net.blobs() + [one.name for one in graph.net.layers])
        near = difflib.get_close_matches(name, known, _NEAR, 0.5)
        hint = "; near: " + ", ".join(near) if near else ""
        raise InputError(f"the net has no layer or blob {name!r}{hint}")
    if len(layer.tops) != 1:
        written = " and ".join(layer.tops) or "no blob"
        raise InputError(f"layer {name!r} writes {written}; name a blob")
    return layer.tops[0]


def scores(graph):
    """The net's score blobs; see ``Graph.scores``; InputError if there is none."""
    found = graph.scores()
    if not found:
        raise InputError(f"{_path(graph)}: no score blob found; give --score")
    return found


def score(graph, name):
    """The score blob of a name, and what makes probabilities of it.

    Returns
    -------
    blob : str
    link : str
        "softmax", "sigmoid" or "none".

    Raises
    ------
    InputError
        There is no such blob, or what it holds are no scores.
    """
    blob = resolve(graph, name)
    maker = graph.maker(blob)
    if maker is None or not maker.bottoms:
        raise InputError(f"{blob} is an input of the net, no score; give --score")
    if LINKS.get(maker.type) in ("softmax", "sigmoid"):
        raise InputError(
            f"{blob} holds what {maker.type} made of the scores; give --score {maker.bottoms[0]}"
        )
    links = {one.blob: one.link for one in graph.scores()}
    return blob, links.get(blob, "none")


def pictures(graph, score):
    """The inputs that a score depends on, which hold pictures.

    Returns
    -------
    list of prototxt_tools.net.net.Input
        Their shapes are N x C x h x w, with one channel or three.

    Raises
    ------
    InputError
        There is none, or one is no picture.
    """
    needed = graph.ancestors([score])
    inputs = [entry for entry in graph.net.inputs if needed & set(graph.readers(entry.blob))]
    if not inputs:
        raise InputError(
            f"{_path(graph)}: the net has no input blob; give a deploy net, not one that reads its pictures "
            "through a data layer"
        )
    for entry in inputs:
        shape = entry.shape or ()
        if len(shape) != 4 or shape[1] not in CHANNELS.values() or min(shape[2:]) < 1:
            said = "x".join(map(str, shape)) or "of unknown shape"
            raise InputError(
                f"{_path(graph)}: input {entry.blob} is {said}; a picture wants N x 1 or 3 channels x height x width"
            )
    return inputs


def sources(graph, blob, inputs):
    """Those of some input blobs that a blob depends on, in order."""
    needed = graph.ancestors([blob])
    return [name for name in inputs if name == blob or needed & set(graph.readers(name))]


def targets(graph, score, shapes):
    """The target blobs that a score can be explained at, the best first.

    Returns
    -------
    list of prototxt_tools.net.graph.Target

    Raises
    ------
    InputError
        No blob before the score has spatial extent.
    """
    found = graph.targets(score, shapes)
    if not found:
        raise InputError(
            f"the net has no blob with spatial extent before {score}, so no place in the picture can be "
            "shown"
        )
    return found


def checked_target(graph, score, shapes, name):
    """The blob of a name, if a score can be explained at it; else InputError."""
    blob = resolve(graph, name)
    shape = shapes.get(blob)
    if shape is not None and (len(shape) != 4 or shape[2] * shape[3] < 2):
        raise InputError(
            "blob {} ({}) has no spatial extent; the last before {} that has is {}".format(
                blob, "x".join(map(str, shape[1:])), score, targets(graph, score, shapes)[0].blob
            )
        )
    if not graph.ancestors([score]) & set(graph.final_readers(blob)):
        raise InputError(f"score {score} does not depend on blob {blob}")
    return blob


def _path(graph):
    return graph.net.document.path or "<prototxt>"
