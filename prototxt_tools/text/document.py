"""The text of a Caffe net, read into a tree that knows where each part stands in the text.

protobuf's own ``text_format`` drops comments and refuses fields it does not know. Here the tree
is never printed: a change replaces spans of the text (see ``edits``), so that every byte outside
these spans stays as it was.

The grammar is that of protobuf's C++ ``TextFormat`` (``google/protobuf/text_format.cc`` and
``io/tokenizer.cc``), which is what Caffe reads files with. Field names are not checked
here, because forks add their own.
"""

import gc
import os
import re
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar, Union

from prototxt_tools import files, signatures
from prototxt_tools.errors import UNNAMED, PrototxtError
from prototxt_tools.text import tokens
from prototxt_tools.text.tree import Field, Message, Origin, Scalar, Source

__all__ = ["Document", "Field", "Message", "Scalar", "Source"]

MAX_DEPTH = 100
# The largest public nets have 1 MB and 100,000 fields. Twice as many fields as the limit take a
# gigabyte of memory.
MAX_BYTES = 16 << 20
MAX_FIELDS = 1 << 20

# The tag of a name and a name, or of a layer, of a NetParameter in protobuf's wire format; or the
# sizes of a BlobProto.
_BINARY_NET = re.compile(
    rb"\n[^\n].{0,250}?(\xa2\x06|\x12)|\xa2\x06|\x12[^\n]{1,5}[\n\x12]|\x08[^\n]{1,5}[\x10\x12]",
    re.DOTALL)

_CLOSES = {"{": "}", "<": ">"}
_TOKEN_KINDS = {"name": "a word", "number": "a number", "string": "a string"}

Tree = TypeVar("Tree")
# A message that is being read, the field it belongs to, and the token that closes it.
Open = Tuple[Message, Optional[Field], Optional[str]]


class Document:
    """A prototxt: its text and its tree.

    Attributes
    ----------
    root : Message
    source : Source
    path : str or None
    derived : dict
        What is worked out of the tree once and kept, since the tree never changes.
    """

    def __init__(self, source: Source, root: Message) -> None:
        self.source = source
        self.root = root
        self.derived: Dict[str, Any] = {}

    def __getstate__(self) -> Dict[str, Any]:
        return dict(self.__dict__, derived={})

    @property
    def path(self) -> Optional[str]:
        """The file, or None."""
        return self.source.path

    @property
    def shown_path(self) -> str:
        """The file, or what messages call a text that is not of a file."""
        return self.path or UNNAMED

    @classmethod
    def parse(cls, text: Union[str, bytes], path: Optional[str] = None,
              origin: Optional[Origin] = None) -> "Document":
        """Read a prototxt.

        Parameters
        ----------
        text : str or bytes
            A byte order mark and bytes that are not UTF-8 are kept.
        path : str, optional
            The file, for error messages.
        origin : Origin, optional
            Of a text that edits have made: where its pieces stand in the file.

        Raises
        ------
        PrototxtError
            With line and column, where protobuf's own parser would stop for a reason other
            than an unknown field; and for texts too large for any net.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        limit = files.byte_limit(MAX_BYTES)
        if len(text) > limit:
            raise PrototxtError(f"{len(text) >> 20} MB of text is not a net definition (at most "
                                f"{limit >> 20} MB are read)", path)
        if sum(map(text.count, ":{<,")) > MAX_FIELDS:
            raise PrototxtError(
                f"a text with more than {MAX_FIELDS} fields is not a net definition", path
            )
        source = Source(text, path, origin)
        problem = _other_kind_of_file(text)
        if problem:
            raise source.error(problem, 0)
        return cls(source, _without_collector(_Parser(source).parse))

    @classmethod
    def load(cls, path: str) -> "Document":
        """Read a prototxt file; raises PrototxtError as ``parse`` does, and if it cannot be
        opened."""
        path = str(path)
        limit = files.byte_limit(MAX_BYTES)
        with files.open_regular(path, PrototxtError) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1)
        if len(data) > limit:
            raise PrototxtError(
                f"{size >> 20} MB is too large for a net definition; is it a weights file?", path)
        return cls.parse(data, path)

    def text(self) -> str:
        """The text, equal to what was parsed, to the byte."""
        return self.source.text

    def encode(self) -> bytes:
        """The text as bytes, equal to the file it was read from."""
        return self.source.text.encode("utf-8", "surrogateescape")


class _Parser:
    """One pass over the tokens with a stack of open messages, so that depth needs no recursion."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.next_token: Callable[[], Any]
        self.read_from(1 if self.text.startswith("\ufeff") else 0)
        self.start = self.end = 0
        self.kind = self.token = ""

    def read_from(self, offset: int) -> None:
        self.next_token = tokens.TOKEN.finditer(self.text, offset).__next__

    def parse(self) -> Message:
        root = Message(self.source, 0)
        stack: List[Open] = [(root, None, None)]
        self.advance()
        while self.kind != "end" or len(stack) > 1:
            message, field, closer = stack[-1]
            if self.kind == "name":
                self.field(message, stack)
            elif self.token == closer:
                message.end = self.end
                self.advance()
                stack.pop()
                if field is not None:
                    self.value(self.next_element(field, message.end, stack), stack, True)
            else:
                raise self.unexpected(field, closer)
        root.end = len(self.text)
        return root

    def field(self, message: Message, stack: List[Open]) -> None:
        field = Field(self.source, sys.intern(self.token), self.start)
        message.fields.append(field)
        self.advance()
        at = self.start
        colon = self.token == ":"
        if colon:
            self.advance()
        if self.token == "[":
            self.advance()
            field.in_list = True
            if self.token == "]":
                message.fields.pop()
                message.empty_lists.append(field)
                field.value = Scalar(self.source, at, self.end, "list")
                self.advance()
                self.skip_separator(self.end)
                return
        self.value(field, stack, colon)

    def value(self, field: Optional[Field], stack: List[Open], colon: bool) -> None:
        """Read a field's value, and the elements after it in its list up to the next message."""
        while field is not None and self.token not in _CLOSES:
            if not colon:
                raise self.error(
                    f"expected ':' or '{{' after {field.name}, found {self.described()}")
            field.value = scalar = self.scalar(field)
            field = self.next_element(field, scalar.end, stack)
        if field is not None:
            if len(stack) > MAX_DEPTH:
                raise self.error(f"messages nested over {MAX_DEPTH} deep")
            field.value = Message(self.source, self.start)
            stack.append((field.value, field, _CLOSES[self.token]))
            self.advance()

    def next_element(self, field: Field, end: int, stack: List[Open]) -> Optional[Field]:
        """After a value: the next element of its list, or None where the field ends."""
        if not field.in_list:
            field.end = self.skip_separator(end)
            return None
        siblings = stack[-1][0].fields
        if self.token == ",":
            self.advance()
            siblings.append(Field(self.source, field.name, field.start, in_list=True))
            return siblings[-1]
        if self.token != "]":
            raise self.error("expected ',' or ']' in the list, found " + self.described())
        end = self.end
        self.advance()
        end = self.skip_separator(end)
        for sibling in reversed(siblings):
            if sibling.start != field.start:
                break
            sibling.end = end
        return None

    def skip_separator(self, end: int) -> int:
        if self.token == ";" or self.token == ",":
            end = self.end
            self.advance()
        return end

    def scalar(self, field: Field) -> Scalar:
        start, end, kind = self.start, self.end, self.kind
        if kind == "string":
            self.advance()
            while self.kind == "string":
                end = self.end
                self.advance()
            return Scalar(self.source, start, end, kind)
        minus = self.token == "-"
        if minus:
            self.advance()
            end, kind = self.end, self.kind
        if kind != "name" and kind != "number":
            raise self.error(f"expected a value for {field.name}, found {self.described()}")
        if minus and kind == "name" and self.token.lower() not in ("inf", "infinity", "nan"):
            raise self.error("expected a number after '-', found " + self.described())
        self.advance()
        return Scalar(self.source, start, end, "number" if minus else kind)

    def advance(self) -> None:
        """Move to the next token; ``kind`` is "end" at the end of the text."""
        match = self.next_token()
        kind = match.lastgroup
        while kind == "comment":
            match = self.next_token()
            kind = match.lastgroup
        self.kind = kind
        self.token = token = match.group(kind)
        self.end = end = match.end()
        self.start = end - len(token)
        if kind == "quote":
            self.long_string()
        elif kind == "bad":
            raise self.bad()

    def long_string(self) -> None:
        end, _ = tokens.string_end(self.text, self.start)
        if end is None:
            raise self.bad()
        self.kind, self.token, self.end = "string", self.text[self.start : end], end
        self.read_from(end)

    def bad(self) -> PrototxtError:
        if self.text.startswith("=======", self.start):
            return self.unexpected(None, None)
        return self.source.error(*tokens.why_not(self.text, self.start))

    def described(self) -> str:
        if self.kind == "end":
            return "the end of the file"
        word = _TOKEN_KINDS.get(self.kind)
        token = self.token if len(self.token) <= 40 else self.token[:37] + "..."
        return f"{word} {token}" if word else f"'{token}'"

    def unexpected(self, field: Optional[Field], closer: Optional[str]) -> PrototxtError:
        if self.text.startswith(("<<<<<<<", "=======", ">>>>>>>"), self.start):
            return self.error("a conflict marker of git; resolve the merge first")
        if self.kind == "end" and field is not None:
            return self.error(f"the file ends inside {field.name} (opened in line {field.line}); "
                              f"'{closer}' is missing")
        if closer is None and self.token in ("}", ">"):
            return self.error(f"'{self.token}' has no opening brace")
        return self.error("expected the name of a field, found " + self.described())

    def error(self, problem: str) -> PrototxtError:
        return self.source.error(problem, self.start)


def _without_collector(function: Callable[[], Tree]) -> Tree:
    """Call a function that makes a large tree and no garbage, without the garbage collector: it
    would walk the growing tree over and over, which doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return function()
    finally:
        if enabled:
            gc.enable()


def _other_kind_of_file(text: str) -> Optional[str]:
    """What a file is that is certainly no prototxt, or None."""
    head = text[:signatures.HEAD].encode("utf-8", "surrogateescape")
    kind = signatures.kind_of(head)
    if kind:
        return kind
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file, such as weights (.caffemodel.h5); a prototxt is text"
    if _BINARY_NET.match(head):
        return ("a binary file of Caffe, such as weights (.caffemodel); a prototxt is text. Were "
                "the two exchanged?")
    return None
