"""Give every layer a top of its own."""

from typing import Dict, List, Set

from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.rewrite.upgrade import without_padding
from prototxt_tools.text.document import Document, Field, Message
from prototxt_tools.text.edits import Edits


def un_in_place(document: Document) -> Rewrite:
    """Give every in-place layer a top of its own, so that ``conv5`` keeps its value before ReLU.

    The new top has the name of the layer, and the layers behind it read it. Layer names stay, so
    weights load as before. The value of a blob that was changed in place is then in the blob
    named after the last layer that changed it.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite
        A layer that exists only in some phase or stage stays in place, with a note: without it,
        the layers behind it still read its blob.

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    """
    return without_padding(document).then(_un_in_place)


def _un_in_place(document: Document) -> Rewrite:
    net = Net.parse(document)
    edits, notes = Edits(document), []
    # Blob in the file -> the blob that holds its present value.
    current: Dict[str, str] = {}
    taken = set(net.blobs())
    for layer in net.layers:
        tree = layer.field.value
        before = dict(current)
        for field in _blob_fields(tree, "top"):
            blob = field.string()
            if blob not in layer.bottoms:
                current.pop(blob, None)
            elif layer.rules:
                _rename(edits, field, before)
                notes.append(f"left {describe_layer(layer)} in place: not every phase has it")
            else:
                name = _new_name(layer, blob, taken)
                taken.add(name)
                current[blob] = name
                edits.replace(field.value, quoted(name))
                notes.append(f"gave {describe_layer(layer)} the top {name}")
        for field in _blob_fields(tree, "bottom"):
            _rename(edits, field, before)
    return Rewrite(edits.apply(), tuple(notes))


def _blob_fields(tree: Message, name: str) -> List[Field]:
    return [field for field in tree.all(name) if not field.is_message]


def _rename(edits: Edits, field: Field, names: Dict[str, str]) -> None:
    if field.string() in names:
        edits.replace(field.value, quoted(names[field.string()]))


def _new_name(layer: Layer, blob: str, taken: Set[str]) -> str:
    stem = layer.name or f"{blob}_{layer.type.lower()}"
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name
