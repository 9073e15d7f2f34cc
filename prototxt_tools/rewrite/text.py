"""New text that matches the text around it."""

from typing import Iterable, List, Union

from prototxt_tools.text.document import Field
from prototxt_tools.text.edits import Edits

INDENT = "  "


def quoted(string: str) -> str:
    """A string literal."""
    escaped = string.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def braced(name: str, *lines: Union[str, List[str]]) -> List[str]:
    """The lines of a message field; each argument is a line or a list of lines."""
    inner: List[str] = []
    for line in lines:
        inner += [line] if isinstance(line, str) else line
    return [name + " {"] + [INDENT + line for line in inner] + ["}"]


def shape_field(shape: Iterable[int]) -> str:
    """``shape { dim: 1 ... }`` for some sizes."""
    dims = " ".join(f"dim: {size}" for size in shape)
    return f"shape {{ {dims} }}"


def replace_message(edits: Edits, field: Field, lines: List[str]) -> None:
    """Replace a message field, which may be the element of a list, by another."""
    if field.in_list:
        edits.replace(field.value, " ".join(["{"] + [line.strip() for line in lines[1:]]))
    else:
        edits.replace(field, fitted(field, lines))


def fitted(field: Field, lines: List[str]) -> str:
    """Lines joined to a text that may stand beside a field or replace it.

    They are indented like the field if it begins its line, and else joined to one line.
    """
    text = field.source.text
    line_start = text.rfind("\n", 0, field.start) + 1
    before = text[line_start : field.start].lstrip("\ufeff")
    line_end = text.find("\n", field.end)
    after = text[field.end : line_end if line_end >= 0 else len(text)].strip()
    if before.strip() or (after and not after.startswith("#")):
        return " ".join(line.strip() for line in lines)
    first = text.find("\n")
    newline = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
    return (newline + before).join(lines)
