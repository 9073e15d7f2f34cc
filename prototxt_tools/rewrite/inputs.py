"""The text that declares the inputs of a net: where their shapes stand, and how to remove one."""

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, List, Mapping, Sequence

from prototxt_tools.net.net import Layer, Net, axes_of_inputs
from prototxt_tools.rewrite.result import Rewrite
from prototxt_tools.text.document import Document, Field
from prototxt_tools.text.edits import Edits


@dataclass(frozen=True, eq=False)
class InputText:
    """The fields that declare an input.

    Attributes
    ----------
    blob : str
    fields : list of Field
        What declares this input; some may declare others, too.
    dims : list of Field
        The ``dim`` or ``input_dim`` fields of its shape.
    """

    blob: str
    fields: List[Field]
    dims: List[Field]


def input_texts(net: Net) -> List[InputText]:
    """The inputs of a net, in every style; a shape that several share comes with each."""
    return _declared(net) + [
        entry for layer in net.layers if layer.type == "Input" for entry in _of_layer(layer)
    ]


def remove_unread(edits: Edits, net: Net, kept_blobs: Iterable[str] = ()) -> List[str]:
    """Remove the inputs of a net that none of its layers reads; gives notes.

    An input that shares its fields with others (a list, an Input layer with one shape for
    several tops) stays, and so do the ``kept_blobs``.
    """
    read = {blob for layer in net.layers for blob in layer.bottoms}.union(kept_blobs)
    entries, notes = input_texts(net), []
    users = Counter(field.start for entry in entries for field in entry.fields)
    for entry in entries:
        alone = all(users[field.start] == 1 and not field.in_list for field in entry.fields)
        if entry.blob not in read and alone:
            for field in entry.fields:
                edits.remove(field)
            notes.append(f"removed input {entry.blob} (line {entry.fields[0].line})")
    return notes


def without_doubled_inputs(document: Document) -> Rewrite:
    """Remove ``input:`` fields of blobs that an Input layer fills, which stock Caffe refuses."""
    net = Net.parse(document)
    filled = {top for layer in net.layers if layer.type == "Input" and not layer.rules
              for top in layer.tops}
    edits, notes = Edits(document), []
    for entry in _declared(net):
        if entry.blob in filled:
            for field in entry.fields:
                edits.remove(field)
            notes.append(f"removed input {entry.blob} (line {entry.fields[0].line}): an Input "
                         "layer fills it")
    return Rewrite(edits.apply() if notes else document, tuple(notes))


def fill_open_sizes(document: Document, sizes: Mapping[str, Sequence[int]]) -> Rewrite:
    """Replace the sizes below 1 of inputs, which other tools write for sizes that may change.

    Parameters
    ----------
    document : Document
    sizes : dict
        Input blob -> height and width, or as many sizes as its last axes that are open.

    Returns
    -------
    Rewrite
        A first size below 1, that of the batch, becomes 1.
    """
    edits, notes = Edits(document), []
    for entry in input_texts(Net.parse(document)):
        size = sizes.get(entry.blob)
        if size is None:
            continue
        values = [1] * (len(entry.dims) - len(size)) + list(size)
        for dim, value in zip(entry.dims, values):
            if dim.value.integer() < 1:
                edits.replace(dim.value, str(value))
                notes.append(f"set an open size of input {entry.blob} to {value}")
    return Rewrite(edits.apply(), tuple(notes))


def _declared(net: Net) -> List[InputText]:
    """The inputs that ``input:`` fields declare."""
    root = net.document.root
    axes = axes_of_inputs(root, net.layers)
    input_dims = root.all("input_dim")
    input_shapes = root.all("input_shape")
    entries = []
    for index, field in enumerate(root.all("input")):
        if index < len(input_shapes):
            shape = input_shapes[index]
            entries.append(InputText(field.string(), [field, shape], shape.value.all("dim")))
        else:
            dims = [] if input_shapes else input_dims[axes * index : axes * (index + 1)]
            entries.append(InputText(field.string(), [field] + dims, dims))
    return entries


def _of_layer(layer: Layer) -> List[InputText]:
    """The inputs that an Input layer declares."""
    tree = layer.field.value
    parameters = tree.first("input_param")
    has_shapes = parameters is not None and parameters.is_message
    shapes = parameters.value.all("shape") if has_shapes else []
    tops = [field for field in tree.all("top") if not field.is_message]
    entries = []
    for index, top in enumerate(tops):
        top_shapes = shapes if len(shapes) == 1 else shapes[index : index + 1]
        dims = [dim for shape in top_shapes for dim in shape.value.all("dim")]
        fields = [layer.field] if len(tops) == 1 else [top] + top_shapes
        entries.append(InputText(top.string(), fields, dims))
    return entries
