"""V0 and V1 to V2, as Caffe's ``upgrade_net_proto_text`` does it, with the comments kept."""

from prototxt_tools.net import legacy, schema
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.text import braced, fitted, quoted, shape_field
from prototxt_tools.rewrite.unwrap import unwrap
from prototxt_tools.text.document import Scalar
from prototxt_tools.text.edits import Edits

_SPEC_FIELDS = (
    ("name", "param"),
    ("share_mode", "blob_share_mode"),
    ("lr_mult", "blobs_lr"),
    ("decay_mult", "weight_decay"),
)
_INPUT_FIELDS = ("input", "input_shape", "input_dim")


def upgrade(document):
    """Write a net of any form as V2, such that Caffe finds nothing left to upgrade.

    ``layers`` become ``layer``, type enums strings, ``blobs_lr`` and its like ``param`` messages,
    the transformation fields of data layers ``transform_param``, V0's inner layers and padding
    layers parameter messages, ``input:`` fields an Input layer, and a BatchNorm with three
    ``param`` messages learns nothing. Caffe: ``UpgradeNetAsNeeded`` in
    ``src/caffe/util/upgrade_proto.cpp``. A file that mixes forms, which Caffe refuses, becomes
    V2 as well.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite

    Raises
    ------
    PrototxtError
        At what no form of Caffe's can say: a V0 layer type it never had, an input without its
        shape among others that have one.
    """
    notes = []
    for step in (upgrade_layers, _inputs_to_layer, _still_batch_norms):
        document, said_of_it = step(document)
        notes += said_of_it
    return Rewrite(document, notes)


def upgrade_layers(document):
    """The part of ``upgrade`` that the layers of V0 and V1 need; the inputs stay as they are."""
    notes = []
    forms = {layer.form for layer in Net.parse(document).layers}
    if "V0" in forms:
        document, notes = unwrap(document)
    edits, renamed = Edits(document), set()
    for layer in Net.parse(document).layers:
        if layer.form == "V1":
            _rename(edits, layer.field, renamed)
            notes += _quote_type(edits, layer)
            _join_specs(edits, layer.field.value)
            _move_transform(edits, layer)
    for form in sorted(forms - {"V2"}):
        notes.append(f"upgraded the {form} layers to V2")
    return Rewrite(edits.apply(), notes)


def without_padding(document):
    """V0 layers as V2 if there are padding layers among them, which no rewrite can see."""
    padded = any(layer.padding is not None for layer in Net.parse(document).layers)
    return upgrade_layers(document) if padded else Rewrite(document, [])


def _rename(edits, field, renamed):
    """``layers`` to ``layer``; the elements of a list share the word."""
    if field.start not in renamed:
        renamed.add(field.start)
        word = Scalar(field.source, field.start, field.start + len(field.name), "name")
        edits.replace(word, "layer")


def _quote_type(edits, layer):
    field = layer.field.value.first("type")
    if field is None or field.is_message or field.value.is_string:
        return []
    edits.replace(field.value, quoted(layer.type))
    if field.value.text in schema.V1_TYPES or layer.type in schema.LAYER_TYPES:
        return []
    return [f"left the type of {said(layer)}: no Caffe type of form V1"]


def _join_specs(edits, tree):
    """One ``param`` message for each weight, in the place of the longest list there is."""
    columns = {}
    for name, old in _SPEC_FIELDS:
        fields = [field for field in tree.all(old) if not field.is_message]
        if fields:
            columns[name] = fields
    count = max([len(fields) for fields in columns.values()] or [0])
    specs = []
    for index in range(count):
        parts = [
            f"{name}: {fields[index].value.text}"
            for name, fields in columns.items()
            if index < len(fields)
        ]
        specs.append("param {{ {} }}".format(" ".join(parts)))
    anchors = next((f for _, f in sorted(columns.items()) if len(f) == count), [])
    in_list = any(field.in_list for field in anchors)
    if in_list:
        edits.replace(anchors[0], " ".join(specs))
    for anchor, spec in zip(anchors, specs if not in_list else []):
        edits.replace(anchor, spec)
    kept = {field.start for field in (anchors[:1] if in_list else anchors)}
    for field in [field for fields in columns.values() for field in fields]:
        if field.start not in kept:
            edits.remove(field)


def _move_transform(edits, layer):
    tree = layer.field.value
    source = tree.first(legacy.V1_TRANSFORMED.get(layer.type, ""))
    if source is None or not source.is_message:
        return
    target, new = tree.first("transform_param"), []
    moved = [
        field
        for field in source.value
        if field.name in legacy.V1_TRANSFORM_FIELDS and not field.is_message
    ]
    if target is not None and not target.is_message:
        raise target.error("transform_param wants braces: transform_param { ... }")
    for field in moved:
        edits.remove(field)
        line = f"{field.name}: {field.value.text}"
        there = target.value.first(field.name) if target is not None else None
        if there is not None:
            edits.replace(there.value, field.value.text)
        elif target is not None:
            edits.append(target, line)
        else:
            new.append(line)
    if new:
        edits.insert_after(source, fitted(source, braced("transform_param", new)))


def _inputs_to_layer(document):
    root = document.root
    net = Net.parse(document)
    fields = root.all("input")
    declared = [entry for entry in net.inputs if entry.field.name == "input"]
    old = [field for field in root if field.name in _INPUT_FIELDS]
    if not fields:
        return Rewrite(document, [])
    edits = Edits(document)
    if not root.all("input_shape") and not root.all("input_dim"):
        return _drop_shapeless(edits, net, fields)
    for entry in declared:
        if entry.shape is None:
            raise entry.field.error(f"input {entry.blob} has no shape of its own")
    lines = input_layer("input", [entry.blob for entry in declared], [e.shape for e in declared])
    first = min(old + [layer.field for layer in net.layers], key=lambda field: field.start)
    if first in old:
        edits.replace(first, fitted(first, lines))
    else:
        edits.insert_before(first, fitted(first, lines))
    for field in old:
        if field.start != first.start:
            edits.remove(field)
    return Rewrite(edits.apply(), ["made the input fields an Input layer"])


def _drop_shapeless(edits, net, fields):
    """Caffe drops inputs that no field gives a shape; here, if a layer makes their blob."""
    notes, made = [], {top for layer in net.layers for top in layer.tops}
    for field in fields:
        if field.string() in made:
            edits.remove(field)
            notes.append(f"removed input {field.string()} (line {field.line})")
        else:
            notes.append(
                f"left input {field.string()} (line {field.line}): nothing says its shape"
            )
    return Rewrite(edits.apply(), notes)


def input_layer(name, tops, shapes):
    """The lines of an Input layer."""
    return braced(
        "layer",
        "name: " + quoted(name),
        'type: "Input"',
        ["top: " + quoted(top) for top in tops],
        braced("input_param", [shape_field(shape) for shape in shapes]),
    )


def _still_batch_norms(document):
    """Caffe: ``UpgradeNetBatchNorm``."""
    edits, notes = Edits(document), []
    for layer in Net.parse(document).layers:
        specs = layer.field.value.all("param")
        if layer.type != "BatchNorm" or len(specs) != 3:
            continue
        rates = [
            _zero(edits, field, spec, rate)
            for field, spec in zip(specs, layer.message.param)
            for rate in ("lr_mult", "decay_mult")
        ]
        if any(rates):
            notes.append(f"gave {said(layer)} lr_mult: 0 and decay_mult: 0")
    return Rewrite(edits.apply(), notes)


def _zero(edits, field, spec, rate):
    """Set a rate of a ``param`` field to 0; False if it is."""
    if getattr(spec, rate) == 0:
        return False
    if spec.HasField(rate):
        edits.replace(field.value.first(rate).value, "0")
    else:
        edits.append(field, rate + ": 0")
    return True
