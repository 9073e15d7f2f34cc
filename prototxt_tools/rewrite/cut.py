"""Keep only what some blobs need."""

from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.inputs import remove_unread
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.upgrade import without_padding
from prototxt_tools.text.edits import Edits


def cut(document, blobs, phase="TEST"):
    """Drop every layer that the blobs do not depend on: losses, other heads, post-processing.

    Parameters
    ----------
    document : Document
    blobs : iterable of str
        Score blobs, say. Layers of other phases go too.
    phase : str

    Returns
    -------
    Rewrite

    Raises
    ------
    InputError
        If the net has no such blob, or none is named.
    """
    blobs = list(blobs)
    if not blobs:
        raise InputError("name at least one blob to cut at")
    document, notes = without_padding(document)
    whole = Net.parse(document)
    net = whole.at(phase)
    graph = Graph(net)
    for blob in blobs:
        if blob not in graph:
            raise InputError(f"the net has no blob {blob!r} in phase {phase}")
    kept = {id(net.layers[index].field) for index in graph.ancestors(blobs)}
    edits = Edits(document)
    for layer in whole.layers:
        if id(layer.field) not in kept:
            edits.remove(layer.field)
            notes.append(f"removed {said(layer)}")
    left = [layer for layer in whole.layers if id(layer.field) in kept]
    notes += remove_unread(edits, whole.of(left), blobs)
    return Rewrite(edits.apply(), notes)
