"""Keep only what some blobs need."""

from typing import Iterable

from prototxt_tools.errors import QuestionError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.inputs import remove_unread
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.upgrade import without_padding
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits


def cut(document: Document, blobs: Iterable[str], phase: str = "TEST") -> Rewrite:
    """Remove every layer that the blobs do not depend on: losses, other heads, post-processing.

    Parameters
    ----------
    document : Document
    blobs : iterable of str
        For example the score blobs.
    phase : str
        Layers that exist only in other phases are removed, too.

    Returns
    -------
    Rewrite

    Raises
    ------
    InputError
        If no blob is named, or the net does not have one of them.
    """
    blobs = list(blobs)
    if not blobs:
        raise QuestionError("name at least one blob to cut at")
    return without_padding(document).then(_cut, blobs, phase)


def _cut(document: Document, blobs: Iterable[str], phase: str) -> Rewrite:
    whole = Net.parse(document)
    net = whole.at(phase)
    graph = Graph(net)
    for blob in blobs:
        if blob not in graph:
            raise QuestionError(f"the net has no blob {blob!r} in phase {phase}", subject=blob)
    kept = {id(net.layers[index].field) for index in graph.ancestors(blobs)}
    edits, notes = Edits(document), []
    for layer in whole.layers:
        if id(layer.field) not in kept:
            edits.remove(layer.field)
            notes.append(f"removed {describe_layer(layer)}")
    remaining = [layer for layer in whole.layers if id(layer.field) in kept]
    notes += remove_unread(edits, whole.of(remaining), blobs)
    return Rewrite(edits.apply(), tuple(notes))
