"""V0 to V1: ``layers { layer { type: "conv" num_output: 8 } }`` without the inner message."""

import re

from prototxt_tools.net import legacy, schema
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.text.edits import Edits

_V1_NAMES = {v2: v1 for v1, v2 in schema.V1_TYPES.items()}
_KEPT = {"name", "type", "blobs", "blobs_lr", "weight_decay", "hdf5_output_param"}
_REST_OF_LINE = re.compile(r"[ \t]*#[^\n]*")
_LINE_BREAK = re.compile(r"\s*?(\r?\n[ \t]*)(?!\s)")
_LINE_END = re.compile(r"[ \t\r]*\n")


def unwrap(document):
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
            layer.message  # noqa: B018 (reading it finds values that fit no field)
            inner = layer.field.value.first("layer")
            written = inner.value.strings("type")
            if written and written[0] not in schema.V0_TYPES:
                raise layer.field.error(
                    f"Caffe knows no V0 layer of type {written[0]} and cannot upgrade it"
                )
            text, dropped = _Body(inner, layer).written()
            edits.replace(inner, text)
            notes += dropped
    for padding, layer in _paddings(net):
        edits.remove(padding.field)
        edits.replace(
            layer.field.value.first("bottom").value, padding.field.value.first("bottom").value.text
        )
        notes.append(f"made {said(padding)} the pad of {said(layer)}")
    return Rewrite(edits.apply(), notes)


def _paddings(net):
    return [(layer.padding, layer) for layer in net.layers if layer.padding is not None]


class _Body:
    """The fields of an inner layer, each with the blanks and comments before it."""

    def __init__(self, inner, layer):
        self.inner = inner
        self.layer = layer
        self.v0_type = "".join(inner.value.strings("type"))
        self.text = inner.source.text
        self.deep, self.shallow = self._indents()

    def written(self):
        """The text of the fields in V1, and notes of what V1 has no place for."""
        pieces, groups, notes, end = [], {}, [], self.inner.value.start + 1
        for field in _distinct(self.inner.value.fields):
            start, end = end, self._end(field)
            before, after = self.text[start : field.start], self.text[field.end : end]
            owner, name = self._place(field)
            if name is None:
                notes.append(
                    f"dropped {field.name} (line {field.line}), which means nothing to {said(self.layer)}"
                )
                continue
            piece = before + self._renamed(field, name) + after
            if owner is None:
                pieces.append([self._dedented(piece)])
                continue
            if owner not in groups:
                groups[owner] = [owner, before]
                pieces.append(groups[owner])
            groups[owner].append(piece)
        if self.layer.padding is not None and not self._says_pad():
            owner = "pooling_param" if self.v0_type == "pool" else "convolution_param"
            if owner not in groups:
                groups[owner] = [owner, " "]
                pieces.append(groups[owner])
            groups[owner].append(_line_break(groups[owner][1]) + "pad: " + self._pad())
        tail = self.text[end : self.inner.value.end - 1].rstrip()
        pieces.append([self._dedented(tail)])
        return self._joined(pieces), notes

    def _indents(self):
        """The indentation of the fields, and of the inner layer; both None on one line."""
        indents = []
        for field in (self.inner.value.fields + [self.inner])[:1] + [self.inner]:
            before = self.text[self.text.rfind("\n", 0, field.start) + 1 : field.start]
            indents.append(None if before.strip() else before)
        return indents if None not in indents else [None, None]

    def _end(self, field):
        comment = _REST_OF_LINE.match(self.text, field.end)
        return comment.end() if comment else field.end

    def _place(self, field):
        """(message, name) of a field in V1; the name is None if it has no place there."""
        if field.name in _KEPT or field.name not in legacy.V0_FIELDS:
            known = field.name in _KEPT or not schema.is_stock("V0LayerParameter", field.name)
            return None, field.name if known else None
        owners, name = legacy.V0_FIELDS[field.name]
        return owners.get(self.v0_type), name if self.v0_type in owners else None

    def _renamed(self, field, name):
        written = self.text[field.start : field.end]
        if field.name == "type":
            at = field.value.start - field.start
            length = field.value.end - field.value.start
            written = written[:at] + _V1_NAMES[self.layer.type] + written[at + length :]
        elif field.name == "pad" and self.layer.padding is not None:
            at = field.value.start - field.start
            written = written[:at] + self._pad() + written[field.value.end - field.start :]
        return name + written[len(field.name) :]

    def _says_pad(self):
        return self.inner.value.first("pad") is not None

    def _pad(self):
        pads = self.layer.padding.field.value.first("layer").value.strings("pad")
        return pads[0] if pads else "0"

    def _dedented(self, piece):
        if self.deep is None or not self.deep.startswith(self.shallow):
            return piece
        return piece.replace("\n" + self.deep, "\n" + self.shallow)

    def _joined(self, pieces):
        text = ""
        for piece in pieces:
            for part in [piece[0]] if len(piece) == 1 else self._group(*piece):
                if part and _ends_in_comment(text) and not _LINE_END.match(part):
                    text += "\n" + (self.shallow or "")
                    part = part.lstrip(" \t")
                text += part
        if _ends_in_comment(text) and not _LINE_END.match(self.text, self.inner.end):
            text += "\n"
        return text.lstrip()

    def _group(self, owner, before, *parts):
        lead = self._dedented(_line_break(before))
        return [lead + owner + " {"] + list(parts) + [lead + "}"]


def _line_break(before):
    """The line end and indentation at the start of a text; a blank if it has none."""
    lines = _LINE_BREAK.match(before)
    return lines.group(1) if lines else " "


def _distinct(fields):
    """Fields without the further elements of lists, which share the span of the first."""
    return list({field.start: field for field in reversed(fields)}.values())[::-1]


def _ends_in_comment(text):
    return "#" in re.sub(r'"[^"\n]*"|\'[^\'\n]*\'', "", text[text.rfind("\n") + 1 :])
