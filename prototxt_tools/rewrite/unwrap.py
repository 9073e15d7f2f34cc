"""V0 to V1: ``layers { layer { type: "conv" num_output: 8 } }`` without the inner message."""

import re
from typing import Dict, List, Optional, Tuple

from prototxt_tools.net import legacy, schema
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document, Field
from prototxt_tools.text.edits import Edits

_V1_NAMES = {v2: v1 for v1, v2 in schema.V1_TYPES.items()}
_SAME_NAME = {"name", "type", "blobs", "blobs_lr", "weight_decay", "hdf5_output_param"}
_REST_OF_LINE = re.compile(r"[ \t]*#[^\n]*")
_LINE_BREAK = re.compile(r"\s*?(\r?\n[ \t]*)(?!\s)")
_LINE_END = re.compile(r"[ \t\r]*\n")


def unwrap(document: Document) -> Rewrite:
    """Write the V0 layers of a net as V1, padding layers as the ``pad`` of those behind them.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite

    Raises
    ------
    PrototxtError
        At a layer type that V0 never had, where Caffe aborts.
    """
    net = Net.parse(document)
    edits, notes = Edits(document), []
    for layer in net.layers:
        if layer.form == "V0":
            notes += _unwrap(edits, layer)
    for layer in net.layers:
        if layer.padding is not None:
            padding = layer.padding.field
            edits.remove(padding)
            edits.replace(layer.field.value.first("bottom").value,
                          padding.value.first("bottom").value.text)
            notes.append(f"made {describe_layer(layer.padding)} the pad of {describe_layer(layer)}")
    return Rewrite(edits.apply(), tuple(notes))


def _unwrap(edits: Edits, layer: Layer) -> List[str]:
    """Replace the inner layer by its fields; gives notes."""
    layer.message  # noqa: B018 (reading it refuses values that fit no field)
    inner = layer.field.value.first("layer")
    types = inner.value.strings("type")
    if types and types[0] not in schema.V0_TYPES:
        raise layer.field.error(
            f"Caffe has no V0 layer type {types[0]}, so it cannot be upgraded"
        )
    body = _Body(inner, layer)
    edits.replace(inner, body.rewritten())
    return body.notes


class _Group:
    """Text that stays together: a field, or the fields that a new message brings together.

    ``message`` is the name of the new message, None for a field of the layer itself; ``before``
    is what stood before its first field.
    """

    def __init__(self, message: Optional[str], before: str) -> None:
        self.message = message
        self.before = before
        self.parts: List[str] = []


class _Body:
    """The fields of an inner layer, each with the blanks and comments around it.

    ``notes`` name the fields that V1 has no place for.
    """

    def __init__(self, inner: Field, layer: Layer) -> None:
        self.inner = inner
        self.layer = layer
        self.v0_type = "".join(inner.value.strings("type"))
        self.text = inner.source.text
        self.notes: List[str] = []
        self.deep_indent, self.indent = self._indents()

    def rewritten(self) -> str:
        """The text of the fields in V1."""
        groups: List[_Group] = []
        of_message: Dict[str, _Group] = {}

        def add_to(message: str, before: str) -> _Group:
            if message not in of_message:
                of_message[message] = _Group(message, before)
                groups.append(of_message[message])
            return of_message[message]

        end = self.inner.value.start + 1
        for field in _distinct(self.inner.value.fields):
            start, end = end, self._end(field)
            before, after = self.text[start : field.start], self.text[field.end : end]
            message, name = self._destination(field)
            if name is None:
                self.notes.append(f"dropped {field.name} (line {field.line}), "
                                  f"which means nothing to {describe_layer(self.layer)}")
                continue
            piece = before + self._renamed(field, name) + after
            if message is None:
                group = _Group(None, "")
                groups.append(group)
                group.parts.append(self._dedented(piece))
            else:
                add_to(message, before).parts.append(piece)
        if self.layer.padding is not None and self.inner.value.first("pad") is None:
            pooling = self.v0_type == "pool"
            group = add_to("pooling_param" if pooling else "convolution_param", " ")
            group.parts.append(_line_break(group.before) + "pad: " + self._pad())
        tail = _Group(None, "")
        tail.parts.append(self._dedented(self.text[end : self.inner.value.end - 1].rstrip()))
        return self._joined(groups + [tail])

    def _indents(self) -> Tuple[Optional[str], Optional[str]]:
        """The indentation of the fields, and of the inner layer; both None on one line."""
        indents = []
        for field in (self.inner.value.fields + [self.inner])[:1] + [self.inner]:
            before = self.text[self.text.rfind("\n", 0, field.start) + 1 : field.start]
            indents.append(before)
        if any(before.strip() for before in indents):
            return None, None
        return indents[0], indents[1]

    def _end(self, field: Field) -> int:
        comment = _REST_OF_LINE.match(self.text, field.end)
        return comment.end() if comment else field.end

    def _destination(self, field: Field) -> Tuple[Optional[str], Optional[str]]:
        """(message, name) of a field in V1: the message is None for a field of the layer itself,
        the name is None if V1 has no place for the field."""
        if field.name in _SAME_NAME or field.name not in legacy.V0_FIELDS:
            is_known = schema.is_stock("V0LayerParameter", field.name)
            return None, field.name if field.name in _SAME_NAME or not is_known else None
        messages, name = legacy.V0_FIELDS[field.name]
        return messages.get(self.v0_type), name if self.v0_type in messages else None

    def _renamed(self, field: Field, name: str) -> str:
        text = self.text[field.start : field.end]
        value = None
        if field.name == "type":
            value = _V1_NAMES[self.layer.type]
        elif field.name == "pad" and self.layer.padding is not None:
            value = self._pad()
        if value is not None:
            start, end = field.value.start - field.start, field.value.end - field.start
            text = text[:start] + value + text[end:]
        return name + text[len(field.name) :]

    def _pad(self) -> str:
        """The ``pad`` of the padding layer before this one."""
        assert self.layer.padding is not None
        pads = self.layer.padding.field.value.first("layer").value.strings("pad")
        return pads[0] if pads else "0"

    def _dedented(self, piece: str) -> str:
        if (self.deep_indent is None or self.indent is None
                or not self.deep_indent.startswith(self.indent)):
            return piece
        return piece.replace("\n" + self.deep_indent, "\n" + self.indent)

    def _joined(self, groups: List[_Group]) -> str:
        """One text; no part may end up in a comment of the part before it."""
        text = ""
        for group in groups:
            for part in self._parts(group):
                if part and _ends_in_comment(text) and not _LINE_END.match(part):
                    text += "\n" + (self.indent or "")
                    part = part.lstrip(" \t")
                text += part
        if _ends_in_comment(text) and not _LINE_END.match(self.text, self.inner.end):
            text += "\n"
        return text.lstrip()

    def _parts(self, group: _Group) -> List[str]:
        if group.message is None:
            return group.parts
        lead = self._dedented(_line_break(group.before))
        return [lead + group.message + " {"] + group.parts + [lead + "}"]


def _line_break(before: str) -> str:
    """The line end and indentation at the start of a text; a blank if it has none."""
    lines = _LINE_BREAK.match(before)
    return lines.group(1) if lines else " "


def _distinct(fields: List[Field]) -> List[Field]:
    """Fields without the further elements of lists, which share the span of the first."""
    return list({field.start: field for field in reversed(fields)}.values())[::-1]


def _ends_in_comment(text: str) -> bool:
    return "#" in re.sub(r'"[^"\n]*"|\'[^\'\n]*\'', "", text[text.rfind("\n") + 1 :])
