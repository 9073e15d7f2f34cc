"""V0 and V1 to V2, as Caffe's ``upgrade_net_proto_text`` does it, with the comments kept."""

from typing import Any, Dict, List, Sequence, Set

from prototxt_tools import layers
from prototxt_tools.net import legacy, schema
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.text import braced, fitted, quoted, shape_field
from prototxt_tools.rewrite.unwrap import unwrap
from prototxt_tools.text.document import Document, Field, Message, Scalar
from prototxt_tools.text.edits import Edits

_SPEC_FIELDS = (
    ("name", "param"),
    ("share_mode", "blob_share_mode"),
    ("lr_mult", "blobs_lr"),
    ("decay_mult", "weight_decay"),
)
_INPUT_FIELDS = ("input", "input_shape", "input_dim")


def upgrade(document: Document) -> Rewrite:
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
        At what V2 cannot express: a V0 layer type that Caffe never had, an input without a shape
        among others that have one.
    """
    return upgrade_layers(document).then(_inputs_to_layer).then(_freeze_batch_norms)


def upgrade_layers(document: Document) -> Rewrite:
    """The part of ``upgrade`` that the layers of V0 and V1 need; the inputs stay as they are."""
    old_forms = sorted({layer.form for layer in Net.parse(document).layers} - {"V2"})
    unwrapped = unwrap(document) if "V0" in old_forms else Rewrite(document)
    return unwrapped.then(_upgrade_v1, old_forms)


def without_padding(document: Document) -> Rewrite:
    """V0 layers as V2 if there are padding layers among them, which no rewrite can see."""
    has_padding = any(layer.padding is not None for layer in Net.parse(document).layers)
    return upgrade_layers(document) if has_padding else Rewrite(document)


def _upgrade_v1(document: Document, old_forms: List[str]) -> Rewrite:
    edits, notes = Edits(document), []
    renamed: Set[int] = set()
    for layer in Net.parse(document).layers:
        if layer.form == "V1":
            _rename(edits, layer.field, renamed)
            notes += _quote_type(edits, layer)
            if layer.offset is not None:
                notes.append(_write_offset(edits, layer))
            _join_specs(edits, layer.field.value)
            _move_transform(edits, layer)
    notes += [f"upgraded the {form} layers to V2" for form in old_forms]
    return Rewrite(edits.apply(), tuple(notes))


def _rename(edits: Edits, field: Field, renamed: Set[int]) -> None:
    """``layers`` to ``layer``; the elements of a list share the word."""
    if field.start not in renamed:
        renamed.add(field.start)
        word = Scalar(field.source, field.start, field.start + len(field.name), "name")
        edits.replace(word, "layer")


def _quote_type(edits: Edits, layer: Layer) -> List[str]:
    """Write the type as a string; gives a note where no form of Caffe has it."""
    field = layer.field.value.first("type")
    if field is None or field.is_message or field.value.is_string:
        return []
    edits.replace(field.value, quoted(layer.type))
    known = field.value.text in schema.V1_TYPES or field.value.text in schema.V1_FORK_TYPES
    if known or layers.of(layer.type).is_stock:
        return []
    return [f"left the type of {describe_layer(layer)}: no Caffe type of form V1"]


def _write_offset(edits: Edits, layer: Layer) -> str:
    """Write where a CROP cuts; gives the note."""
    height, width = layer.offset or (0, 0)
    field = layer.field.value.first("type")
    if field is not None:
        lines = braced("crop_param", [f"offset: {height}", f"offset: {width}"])
        edits.insert_after(field, fitted(field, lines))
    return f"worked out the offset of {describe_layer(layer)}: {height}, {width}"


def _join_specs(edits: Edits, tree: Message) -> None:
    """One ``param`` message for each weight, in the place of the longest list of its values."""
    columns: Dict[str, List[Field]] = {}
    for name, old_name in _SPEC_FIELDS:
        fields = [field for field in tree.all(old_name) if not field.is_message]
        if fields:
            columns[name] = fields
    count = max([len(fields) for fields in columns.values()] or [0])
    specs = [_spec(columns, index) for index in range(count)]
    anchors = next((fields for _, fields in sorted(columns.items()) if len(fields) == count), [])
    if any(field.in_list for field in anchors):
        edits.replace(anchors[0], " ".join(specs))
        anchors = anchors[:1]
    else:
        for anchor, spec in zip(anchors, specs):
            edits.replace(anchor, spec)
    kept = {field.start for field in anchors}
    for field in [field for fields in columns.values() for field in fields]:
        if field.start not in kept:
            edits.remove(field)


def _spec(columns: Dict[str, List[Field]], index: int) -> str:
    """The ``param`` message of one weight."""
    values = " ".join(
        f"{name}: {fields[index].value.text}"
        for name, fields in columns.items()
        if index < len(fields)
    )
    return f"param {{ {values} }}"


def _move_transform(edits: Edits, layer: Layer) -> None:
    """Move the transformation fields of a data layer to ``transform_param``."""
    tree = layer.field.value
    source = tree.first(legacy.V1_TRANSFORMED.get(layer.type, ""))
    if source is None or not source.is_message:
        return
    target = tree.first("transform_param")
    if target is not None and not target.is_message:
        raise target.error("transform_param needs braces: transform_param { ... }")
    new_lines = []
    for field in source.value:
        if field.name not in legacy.V1_TRANSFORM_FIELDS or field.is_message:
            continue
        edits.remove(field)
        line = f"{field.name}: {field.value.text}"
        present = target.value.first(field.name) if target is not None else None
        if present is not None:
            edits.replace(present.value, field.value.text)
        elif target is not None:
            edits.append(target, line)
        else:
            new_lines.append(line)
    if new_lines:
        edits.insert_after(source, fitted(source, braced("transform_param", new_lines)))


def _inputs_to_layer(document: Document) -> Rewrite:
    root = document.root
    net = Net.parse(document)
    fields = root.all("input")
    if not fields:
        return Rewrite(document)
    edits = Edits(document)
    if not root.all("input_shape") and not root.all("input_dim"):
        return _drop_shapeless(edits, net, fields)
    declared = [entry for entry in net.inputs if entry.field.name == "input"]
    for entry in declared:
        if entry.shape is None:
            raise entry.field.error(f"input {entry.blob} has no shape of its own")
    lines = input_layer("input", [entry.blob for entry in declared],
                        [entry.shape for entry in declared if entry.shape is not None])
    old_fields = [field for field in root if field.name in _INPUT_FIELDS]
    first = min(old_fields + [layer.field for layer in net.layers], key=lambda field: field.start)
    if first in old_fields:
        edits.replace(first, fitted(first, lines))
    else:
        edits.insert_before(first, fitted(first, lines))
    for field in old_fields:
        if field.start != first.start:
            edits.remove(field)
    return Rewrite(edits.apply(), ("made the input fields an Input layer",))


def _drop_shapeless(edits: Edits, net: Net, fields: List[Field]) -> Rewrite:
    """Caffe drops inputs that no field gives a shape; here, if a layer writes their blob."""
    notes, tops = [], {top for layer in net.layers for top in layer.tops}
    for field in fields:
        name = f"input {field.string()} (line {field.line})"
        if field.string() in tops:
            edits.remove(field)
            notes.append(f"removed {name}")
        else:
            notes.append(f"left {name}: the file does not give its shape")
    return Rewrite(edits.apply(), tuple(notes))


def input_layer(name: str, tops: Sequence[str], shapes: Sequence[Sequence[int]]) -> List[str]:
    """The lines of an Input layer."""
    return braced(
        "layer",
        "name: " + quoted(name),
        'type: "Input"',
        ["top: " + quoted(top) for top in tops],
        braced("input_param", [shape_field(shape) for shape in shapes]),
    )


def _freeze_batch_norms(document: Document) -> Rewrite:
    """Caffe: ``UpgradeNetBatchNorm``."""
    edits, notes = Edits(document), []
    for layer in Net.parse(document).layers:
        specs = layer.field.value.all("param")
        if layer.type != "BatchNorm" or len(specs) != 3:
            continue
        changes = [
            _set_to_zero(edits, field, spec, rate)
            for field, spec in zip(specs, layer.message.param)
            for rate in ("lr_mult", "decay_mult")
        ]
        if any(changes):
            notes.append(f"gave {describe_layer(layer)} lr_mult: 0 and decay_mult: 0")
    return Rewrite(edits.apply(), tuple(notes))


def _set_to_zero(edits: Edits, field: Field, spec: Any, rate: str) -> bool:
    """Set a rate of a ``param`` field to 0; False if it already is."""
    if getattr(spec, rate) == 0:
        return False
    if spec.HasField(rate):
        edits.replace(field.value.first(rate).value, "0")
    else:
        edits.append(field, rate + ": 0")
    return True
