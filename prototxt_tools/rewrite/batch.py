"""How many images a net takes at a time."""

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.inputs import input_texts
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.text.edits import Edits

_PARAMETERS = (
    "data_param", "image_data_param", "memory_data_param", "hdf5_data_param", "window_data_param",
)


def batch_size(document, n):
    """Set the batch size: the first size of the inputs, and what data layers read at a time.

    Parameters
    ----------
    document : Document
    n : int

    Returns
    -------
    Rewrite
        Inputs whose first size differs from that of the first input count something else than
        images; they stay, with a note.

    Raises
    ------
    InputError
        If ``n`` is no positive number, or a layer, such as a Reshape with a fixed size, cannot
        be built with it.
    """
    if n < 1:
        raise InputError(f"a batch has at least one image, not {n}")
    net = Net.parse(document)
    edits, notes = Edits(document), []
    firsts = [(entry.blob, entry.dims[0].value) for entry in input_texts(net) if entry.dims]
    for blob, value in {value.start: (blob, value) for blob, value in firsts}.values():
        if value.integer() != firsts[0][1].integer():
            notes.append(f"left input {blob}: its first size is {value.text}")
        elif value.integer() != n:
            edits.replace(value, str(n))
            notes.append(f"set the batch size of input {blob} to {n}")
    for layer in net.layers:
        fields = _sizes(layer)
        if fields:
            layer.message  # noqa: B018 (reading it finds what is no number)
        for field in fields:
            if field.value.integer() != n:
                edits.replace(field.value, str(n))
                notes.append(f"set the batch size of {said(layer)} to {n}")
    changed = edits.apply()
    _check(net, changed)
    return Rewrite(changed, notes)


def _sizes(layer):
    tree = layer.field.value
    if layer.form == "V0":
        return tree.first("layer").value.all("batchsize")
    owners = [tree.first(name) for name in _PARAMETERS]
    return [
        field
        for owner in owners
        if owner is not None and owner.is_message
        for field in owner.value.all("batch_size")
    ]


def _check(net, changed):
    """Refuse what could be built before and no longer can."""
    try:
        shapes.infer(net.at("TEST"))
    except InputError:
        return
    shapes.infer(Net.parse(changed).at("TEST"))
