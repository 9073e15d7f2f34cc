"""Every layer with a top of its own."""

from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.rewrite.upgrade import without_padding
from prototxt_tools.text.edits import Edits


def un_in_place(document):
    """Give every in-place layer a top of its own, so that ``conv5`` keeps its value before ReLU.

    The new top has the name of the layer; layers behind it read it. Layer names stay, so weights
    load as before. The value of a blob that was changed in place is now found under the name of
    the last layer that changed it.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite
        A layer that exists only in some phase or stage stays in place, with a note: those that
        read its blob are there without it, too.

    Raises
    ------
    PrototxtError
        If the document is no net.
    """
    document, notes = without_padding(document)
    net = Net.parse(document)
    edits, current, taken = Edits(document), {}, set(net.blobs())
    for layer in net.layers:
        tree = layer.field.value
        before = dict(current)
        for field in _blobs(tree, "top"):
            blob = field.string()
            if blob not in layer.bottoms:
                current.pop(blob, None)
            elif tree.all("include") or tree.all("exclude"):
                _rename(edits, field, before)
                notes.append(f"left {said(layer)} in place: not every phase has it")
            else:
                name = _new_name(layer, blob, taken)
                taken.add(name)
                current[blob] = name
                edits.replace(field.value, quoted(name))
                notes.append(f"gave {said(layer)} the top {name}")
        for field in _blobs(tree, "bottom"):
            _rename(edits, field, before)
    return Rewrite(edits.apply(), notes)


def _blobs(tree, name):
    return [field for field in tree.all(name) if not field.is_message]


def _rename(edits, field, names):
    if field.string() in names:
        edits.replace(field.value, quoted(names[field.string()]))


def _new_name(layer, blob, taken):
    stem = layer.name or f"{blob}_{layer.type.lower()}"
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name
