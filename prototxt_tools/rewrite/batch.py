"""How many images a net takes at a time."""

from typing import List

from prototxt_tools import shapes
from prototxt_tools.errors import InputError, QuestionError
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.inputs import input_texts
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document, Field
from prototxt_tools.text.edits import Edits

_PARAMETERS = (
    "data_param", "image_data_param", "memory_data_param", "hdf5_data_param", "window_data_param",
)


def batch_size(document: Document, n: int) -> Rewrite:
    """Set the batch size: the first size of the inputs, and what data layers read at a time.

    Parameters
    ----------
    document : Document
    n : int

    Returns
    -------
    Rewrite
        An input whose first size is not that of the first input counts something other than
        images; it stays, with a note.

    Raises
    ------
    InputError
        If ``n`` is not positive, or a layer, such as a Reshape with a fixed size, cannot be built
        with this batch size.
    """
    if n < 1:
        raise QuestionError(f"a batch has at least one image, not {n}")
    net = Net.parse(document)
    edits = Edits(document)
    notes = _set_inputs(edits, net, n)
    for layer in net.layers:
        fields = _batch_fields(layer)
        if fields:
            layer.message  # noqa: B018 (reading it refuses a size that is no number)
        for field in fields:
            if field.value.integer() != n:
                edits.replace(field.value, str(n))
                notes.append(f"set the batch size of {describe_layer(layer)} to {n}")
    changed = edits.apply()
    _check_buildable(net, changed)
    return Rewrite(changed, tuple(notes))


def _set_inputs(edits: Edits, net: Net, n: int) -> List[str]:
    """Set the first size of every input that counts images; gives notes."""
    notes = []
    first_sizes = [(entry.blob, entry.dims[0].value) for entry in input_texts(net) if entry.dims]
    # Several inputs may share the text of one size.
    for blob, size in {size.start: (blob, size) for blob, size in first_sizes}.values():
        if size.integer() != first_sizes[0][1].integer():
            notes.append(f"left input {blob}: its first size is {size.text}")
        elif size.integer() != n:
            edits.replace(size, str(n))
            notes.append(f"set the batch size of input {blob} to {n}")
    return notes


def _batch_fields(layer: Layer) -> List[Field]:
    """The fields of a data layer that hold its batch size."""
    tree = layer.field.value
    if layer.form == "V0":
        return list(tree.first("layer").value.all("batchsize"))
    parameters = [tree.first(name) for name in _PARAMETERS]
    return [
        field
        for parameter in parameters
        if parameter is not None and parameter.is_message
        for field in parameter.value.all("batch_size")
    ]


def _check_buildable(net: Net, changed: Document) -> None:
    """Raise InputError for a net that could be built before the change and no longer can."""
    try:
        shapes.infer(net.at("TEST"))
    except InputError:
        return
    shapes.infer(Net.parse(changed).at("TEST"))
