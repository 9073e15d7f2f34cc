"""The tree of a prototxt: fields and messages with their positions in the text."""

import bisect
import re
from typing import Any, Iterator, List, Optional, Tuple

from prototxt_tools.errors import PrototxtError
from prototxt_tools.text import tokens

_MAX_DIGITS = 100


class Origin:
    """Where the pieces of an edited text stood in the text before."""

    __slots__ = ("source", "_starts", "_offsets")

    def __init__(self, source: "Source") -> None:
        self.source = source
        self._starts: List[int] = []
        self._offsets: List[Tuple[int, bool]] = []

    def add(self, start: int, offset: int, is_kept: bool) -> None:
        """Note that a piece begins at ``start`` of the edited text. It was at ``offset`` of the
        text before; or it is new there, if it is not kept."""
        self._starts.append(start)
        self._offsets.append((offset, is_kept))

    def place(self, offset: int) -> Tuple[int, int]:
        """Line and column, in the file, of a character of the edited text."""
        piece = bisect.bisect_right(self._starts, offset) - 1
        before, is_kept = self._offsets[piece]
        return self.source.place(before + (offset - self._starts[piece] if is_kept else 0))


class Source:
    """A text and its file; turns offsets into line and column.

    Of an edited text these are lines and columns of the file, where the user can look them up.
    """

    __slots__ = ("text", "path", "origin", "_line_starts")

    def __init__(self, text: str, path: Optional[str], origin: Optional[Origin] = None) -> None:
        self.text = text
        self.path = path
        self.origin = origin
        self._line_starts: Optional[List[int]] = None

    def place(self, offset: int) -> Tuple[int, int]:
        """Line and column of a character, both counted from 1."""
        if self.origin is not None:
            return self.origin.place(offset)
        if self._line_starts is None:
            self._line_starts = [0] + [m.end() for m in re.finditer("\n", self.text)]
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def error(self, problem: str, offset: int) -> PrototxtError:
        """A ``PrototxtError`` at a character."""
        line, column = self.place(offset)
        return PrototxtError(problem, self.path, line, column)


class Scalar:
    """A number, word or string as it is written."""

    __slots__ = ("source", "start", "end", "kind")

    def __init__(self, source: Source, start: int, end: int, kind: str) -> None:
        self.source = source
        self.start = start
        self.end = end
        self.kind = kind

    @property
    def text(self) -> str:
        """What the file has."""
        return self.source.text[self.start : self.end]

    @property
    def is_string(self) -> bool:
        """Whether it is in quotes."""
        return self.kind == "string"

    @property
    def word(self) -> str:
        """The text without blanks and comments, which are allowed between ``-`` and a number."""
        return tokens.without_blanks(self.text) if self.text[0] == "-" else self.text

    def integer(self) -> int:
        """The value of a decimal, octal or hexadecimal integer; ValueError for others."""
        digits = self.word.lstrip("-")
        if len(digits) > _MAX_DIGITS:  # int takes quadratic time
            raise ValueError("the number is too large for any field")
        number = int(digits, 8 if digits.isdigit() and digits[0] == "0" else 0)
        return -number if self.text[0] == "-" else number

    def string(self) -> str:
        """The characters that a string literal represents, adjacent literals joined.

        Bytes that are not UTF-8 become surrogate escapes.
        """
        text = self.text
        if text.find(text[0], 1) == len(text) - 1 and "\\" not in text:
            return text[1:-1]
        raw = b"".join(tokens.unescape(body) for body in tokens.literals(text))
        return raw.decode("utf-8", "surrogateescape")


class Field:
    """``name: value``, with its span in the text, including the separator.

    The elements of a list, ``name: [a, b]``, are one field each and share the span.
    """

    __slots__ = ("source", "name", "value", "start", "end", "in_list")

    def __init__(self, source: Source, name: str, start: int, in_list: bool = False) -> None:
        self.source = source
        self.name = name
        # A Message or a Scalar, as ``is_message`` tells: Any spares each reader a cast.
        self.value: Any = None
        self.start = start
        self.end = start
        self.in_list = in_list

    @property
    def is_message(self) -> bool:
        """Whether the value is in braces."""
        return isinstance(self.value, Message)

    @property
    def path(self) -> Optional[str]:
        """The file, or None."""
        return self.source.path

    @property
    def line(self) -> int:
        """Counted from 1."""
        return self.source.place(self.start)[0]

    @property
    def column(self) -> int:
        """In characters, counted from 1."""
        return self.source.place(self.start)[1]

    def string(self) -> str:
        """The value as a string: decoded if it is a literal, else as written."""
        return str(self.value.string() if self.value.is_string else self.value.text)

    def error(self, problem: str) -> PrototxtError:
        """A ``PrototxtError`` at this field."""
        return self.source.error(problem, self.start)


class Message:
    """Fields between delimiters, or the whole file, in the order of the text.

    ``empty_lists`` holds each ``name: []``, which is not a field; its value is a Scalar whose
    text is the brackets, with the colon if there is one.
    """

    __slots__ = ("source", "fields", "empty_lists", "start", "end")

    def __init__(self, source: Source, start: int) -> None:
        self.source = source
        self.fields: List[Field] = []
        self.empty_lists: List[Field] = []
        self.start = start
        self.end = start

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def all(self, name: str) -> List[Field]:
        """The fields of that name."""
        return [field for field in self.fields if field.name == name]

    def first(self, name: str) -> Optional[Field]:
        """The first field of that name, or None."""
        for field in self.fields:
            if field.name == name:
                return field
        return None

    def strings(self, name: str) -> List[str]:
        """The values of all fields of that name, as strings."""
        return [field.string() for field in self.all(name) if not field.is_message]
