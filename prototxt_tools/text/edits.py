"""Changes to a document, as replacements of spans of its text."""

from typing import Dict, List, Optional, Tuple, Union

from prototxt_tools.errors import PrototxtError
from prototxt_tools.text.document import Document
from prototxt_tools.text.tree import Field, Message, Origin, Scalar


class Edits:
    """Changes to one document, collected until ``apply`` returns the changed document.

    No byte outside the changed spans is touched. Line ends and indentation of inserted text
    follow the text around it.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._text = document.text()
        # Start, end, and a number that keeps the order of insertions at one place -> new text.
        self._spans: Dict[Tuple[int, int, int], str] = {}
        self._elements: Dict[int, List[Field]] = {}
        self._order = 0

    def __bool__(self) -> bool:
        return bool(self._spans or self._elements)

    def replace(self, node: Union[Field, Message, Scalar], text: str) -> None:
        """Replace a value (or any node with a span) by ``text``."""
        self._spans[(node.start, node.end, self._count())] = text

    def remove(self, field: Field) -> None:
        """Remove a field, and its line if nothing else is on it.

        A comment after it on its last line stays. Of a list only the element is removed.
        """
        if field.in_list:
            self._elements.setdefault(field.start, []).append(field)
        else:
            self._remove_whole(field)

    def _remove_whole(self, field: Field) -> None:
        text, start, end = self._text, field.start, field.end
        line_start = text.rfind("\n", 0, start) + 1
        line_end = text.find("\n", end)
        line_end = len(text) if line_end < 0 else line_end
        before, after = text[line_start:start], text[end:line_end]
        if not after.strip():
            if before.strip("\ufeff \t"):
                start -= len(before) - len(before.rstrip())
            else:
                start, end = start - len(before.lstrip("\ufeff")), min(line_end + 1, len(text))
        else:
            end += len(after) - len(after.lstrip(" \t"))
        glued = _is_word(text[start - 1 : start]) and _is_word(text[end : end + 1])
        self._spans[(start, end, 0)] = " " if glued else ""

    def insert_before(self, field: Field, line: str) -> None:
        """Insert a field, given as text without a line end, before another."""
        indent = self._indent(field)
        gap = " " if indent is None else self._newline() + indent
        self._spans[(field.start, field.start, self._count())] = line + gap

    def insert_after(self, field: Field, line: str) -> None:
        """Insert a field after another, on a line of its own if the other ends its line."""
        rest_end = self._text.find("\n", field.end)
        rest = self._text[field.end : rest_end if rest_end >= 0 else len(self._text)].strip()
        indent = self._indent(field)
        if indent is None or (rest and not rest.startswith("#")):
            at, piece = field.end, " " + line
        elif rest_end < 0:
            at, piece = len(self._text), self._newline() + indent + line
        else:
            at, piece = rest_end + 1, indent + line + self._newline()
        self._spans[(at, at, self._count())] = piece

    def append(self, field: Field, line: str) -> None:
        """Insert a field after the last one of a message field."""
        if len(field.value):
            self.insert_after(field.value.fields[-1], line)
        else:
            at = field.value.end - 1
            self._spans[(at, at, self._count())] = f" {line} "

    def _remove_elements(self, removed: List[Field]) -> None:
        """Remove elements of one list, each with the comma that separates it from the rest."""
        start, end = removed[0].start, removed[0].end
        ends = {field.value.end for field in removed}
        values = [field.value for field in Document.parse(self._text[start:end]).root]
        is_removed = [start + value.end in ends for value in values]
        if all(is_removed):
            self._remove_whole(removed[0])
            return
        first_kept = is_removed.index(False)
        for index, value in enumerate(values):
            if is_removed[index] and index < first_kept:
                self._spans[(start + value.start, start + values[index + 1].start, 0)] = ""
            elif is_removed[index]:
                self._spans[(start + values[index - 1].end, start + value.end, 0)] = ""

    def apply(self) -> Document:
        """The changed document. Removals may overlap; other overlapping edits raise ValueError.

        Raises
        ------
        PrototxtError
            If no field is left.
        """
        for removed in self._elements.values():
            self._remove_elements(removed)
        if not self._spans:
            return self.document
        pieces: List[Tuple[str, int, bool]] = []
        position = 0
        for (start, end, _), text in sorted(self._spans.items()):
            if start < position and text.strip():
                raise ValueError(f"overlapping edits at offset {start}")
            pieces += [(self._text[position:start], position, True), (text, start, False)]
            position = max(position, end)
        pieces.append((self._text[position:], position, True))
        changed = self._joined(pieces)
        if not len(changed.root):
            raise PrototxtError("no field would be left", self.document.path)
        return changed

    def _joined(self, pieces: List[Tuple[str, int, bool]]) -> Document:
        """The document of some texts, each with its offset before and whether it stood there."""
        origin, length = Origin(self.document.source), 0
        for text, offset, is_kept in pieces:
            origin.add(length, offset, is_kept)
            length += len(text)
        return Document.parse("".join(text for text, _, _ in pieces), self.document.path, origin)

    def _count(self) -> int:
        self._order += 1
        return self._order

    def _newline(self) -> str:
        first = self._text.find("\n")
        return "\r\n" if first > 0 and self._text[first - 1] == "\r" else "\n"

    def _indent(self, field: Field) -> Optional[str]:
        """The blanks before a field that begins its line, else None."""
        line_start = self._text.rfind("\n", 0, field.start) + 1
        before = self._text[line_start : field.start]
        return before.lstrip("\ufeff") if not before.strip("\ufeff \t") else None


def _is_word(character: str) -> bool:
    return character.isalnum() or character in ("_", ".")
