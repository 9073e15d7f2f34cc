"""What a rewrite gives."""

from typing import List, NamedTuple

from prototxt_tools.text.document import Document


class Rewrite(NamedTuple):
    """A changed document, and what was done or left alone, one sentence each."""

    document: Document
    notes: List[str]


def said(layer):
    """A layer, named for a note: its type, name and line."""
    name = " " + layer.name if layer.name else ""
    return f"{layer.type}{name} (line {layer.field.line})"
