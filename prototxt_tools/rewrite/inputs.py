"""The input blobs of a net as text: their shapes, and how to take one away."""

from collections import Counter
from typing import List, NamedTuple

from prototxt_tools.text.document import Field


class InputText(NamedTuple):
    """Where a net says an input: ``fields`` of its own, and the ``dim`` fields of its shape."""

    blob: str
    fields: List[Field]
    dims: List[Field]


def input_texts(net):
    """The inputs of a net, in every style, as ``InputText``; shared shapes come with each."""
    return _declared(net.document.root) + [
        entry for layer in net.layers if layer.type == "Input" for entry in _of_layer(layer)
    ]


def remove_unread(edits, net, wanted=()):
    """Take away the inputs of a net that none of its layers reads, but for the wanted blobs.

    An input that shares its fields with others (a list, an Input layer with one shape for
    several tops) stays.

    Returns
    -------
    list of str
        Notes.
    """
    read = {blob for layer in net.layers for blob in layer.bottoms}.union(wanted)
    entries, notes = input_texts(net), []
    users = Counter(field.start for entry in entries for field in entry.fields)
    for entry in entries:
        alone = all(users[field.start] == 1 and not field.in_list for field in entry.fields)
        if entry.blob not in read and alone:
            for field in entry.fields:
                edits.remove(field)
            notes.append(f"removed input {entry.blob} (line {entry.fields[0].line})")
    return notes


def _declared(root):
    dims = root.all("input_dim")
    shapes = root.all("input_shape")
    found = []
    for index, field in enumerate(root.all("input")):
        if index < len(shapes):
            own = shapes[index : index + 1]
            sizes = own[0].value.all("dim")
        else:
            own = sizes = [] if shapes else dims[4 * index : 4 * index + 4]
        found.append(InputText(field.string(), [field] + own, sizes))
    return found


def _of_layer(layer):
    tree = layer.field.value
    parameters = tree.first("input_param")
    shapes = parameters.value.all("shape") if getattr(parameters, "is_message", False) else []
    tops = [field for field in tree.all("top") if not field.is_message]
    found = []
    for index, top in enumerate(tops):
        own = shapes[index : index + 1] if len(shapes) != 1 else shapes
        sizes = [dim for shape in own for dim in shape.value.all("dim")]
        fields = [layer.field] if len(tops) == 1 else [top] + own
        found.append(InputText(top.string(), fields, sizes))
    return found
