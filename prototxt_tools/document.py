"""The text of a Caffe net, read into a tree that remembers its place in the text.

protobuf's own ``text_format`` drops comments and refuses fields it does not know. Here nothing
is ever printed from the tree: a change replaces spans of the text (see ``edits``), so every
byte that no change means stays as it was.

The grammar is that of protobuf's C++ ``TextFormat`` (``google/protobuf/text_format.cc`` and
``io/tokenizer.cc``), which is what Caffe reads files with. Field names are not judged here:
forks have their own.
"""

import bisect
import io
import os
import re

from prototxt_tools.errors import PrototxtError

MAX_DEPTH = 100
MAX_BYTES = 32 << 20

_TOKEN = re.compile(
    r"""
    (?P<blank>(?:[ \t\r\n\v\f]|\#[^\n\0]*)+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?)
  | (?P<string>"(?:[^"\\\n\0]|\\[^\n\0])*"|'(?:[^'\\\n\0]|\\[^\n\0])*')
  | (?P<symbol>[{}<>\[\]:;,-])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_SIMPLE_ESCAPES = dict(zip("abfnrtv\\?'\"", "\a\b\f\n\r\t\v\\?'\""))
_CLOSES = {"{": "}", "<": ">"}
_SAID_IN_WORDS = {"name": "a word", "number": "a number", "string": "a string"}


class Source:
    """A text and where it came from; turns offsets into line and column."""

    __slots__ = ("text", "path", "_line_starts")

    def __init__(self, text, path):
        self.text = text
        self.path = path
        self._line_starts = None

    def place(self, offset):
        """Line and column of a character, both counted from 1."""
        if self._line_starts is None:
            self._line_starts = [0] + [m.end() for m in re.finditer("\n", self.text)]
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def error(self, problem, offset):
        line, column = self.place(offset)
        return PrototxtError(problem, self.path, line, column)


class Scalar:
    """A number, word or string as it is written."""

    __slots__ = ("source", "start", "end", "kind")

    def __init__(self, source, start, end, kind):
        self.source = source
        self.start = start
        self.end = end
        self.kind = kind

    @property
    def text(self):
        return self.source.text[self.start : self.end]

    @property
    def is_string(self):
        return self.kind == "string"

    def integer(self):
        """The value of a decimal, octal or hexadecimal integer; ValueError for others."""
        digits = "".join(self.text.split()) if self.text[0] == "-" else self.text
        octal = len(digits.lstrip("-")) > 1 and digits.lstrip("-")[0] == "0"
        return int(digits, 8 if octal and digits.lstrip("-").isdigit() else 0)

    def string(self):
        """The characters a string literal stands for, adjacent literals joined.

        Bytes that are no UTF-8 come as surrogate escapes.
        """
        parts = [m.group()[1:-1] for m in _TOKEN.finditer(self.text) if m.lastgroup == "string"]
        if "\\" not in self.text:
            return "".join(parts)
        raw = b"".join(_unescape(part) for part in parts)
        return raw.decode("utf-8", "surrogateescape")


class Field:
    """``name: value``, with its span in the text, separator included.

    The elements of a list, ``name: [a, b]``, are one field each and share the span.
    """

    __slots__ = ("source", "name", "value", "start", "end", "in_list")

    def __init__(self, source, name, start, in_list=False):
        self.source = source
        self.name = name
        self.value = None
        self.start = start
        self.end = start
        self.in_list = in_list

    @property
    def is_message(self):
        return isinstance(self.value, Message)

    @property
    def path(self):
        return self.source.path

    @property
    def line(self):
        return self.source.place(self.start)[0]

    @property
    def column(self):
        return self.source.place(self.start)[1]

    def string(self):
        """The value as a string: decoded if it is a literal, else as written."""
        return self.value.string() if self.value.is_string else self.value.text

    def error(self, problem):
        """A ``PrototxtError`` at this field."""
        return self.source.error(problem, self.start)


class Message:
    """Fields between delimiters, or the whole file, in the order of the text."""

    __slots__ = ("source", "fields", "start", "end")

    def __init__(self, source, start):
        self.source = source
        self.fields = []
        self.start = start
        self.end = start

    def __iter__(self):
        return iter(self.fields)

    def __len__(self):
        return len(self.fields)

    def all(self, name):
        """The fields of that name."""
        return [field for field in self.fields if field.name == name]

    def first(self, name):
        """The first field of that name, or None."""
        for field in self.fields:
            if field.name == name:
                return field
        return None

    def strings(self, name):
        """The values of all fields of that name, as strings."""
        return [field.string() for field in self.all(name) if not field.is_message]


class Document:
    """A prototxt: its text and its tree.

    Attributes
    ----------
    root : Message
    source : Source
    path : str or None
    """

    def __init__(self, source, root):
        self.source = source
        self.root = root

    @property
    def path(self):
        return self.source.path

    @classmethod
    def parse(cls, text, path=None):
        """Read a prototxt.

        Parameters
        ----------
        text : str or bytes
            Bytes that are no UTF-8 and a byte order mark are kept.
        path : str, optional
            Named in errors.

        Raises
        ------
        PrototxtError
            With line and column, where protobuf's own parser would stop for a reason other
            than a field it does not know.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        if len(text) > MAX_BYTES:
            raise PrototxtError(
                "{} MB of text is no net definition (at most {} MB are read)".format(
                    len(text) >> 20, MAX_BYTES >> 20
                ),
                path,
            )
        source = Source(text, path)
        if not text.strip("\ufeff \t\r\n\v\f"):
            raise source.error("the file is empty", 0)
        stranger = _known_stranger(text)
        if stranger:
            raise source.error(stranger, 0)
        return cls(source, _Parser(source).parse())

    @classmethod
    def load(cls, path):
        """Read a prototxt file; raises PrototxtError as ``parse`` does, and where it cannot be
        opened."""
        path = str(path)
        try:
            with io.open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
                size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise PrototxtError("cannot be read: {}".format(error.strerror), path) from error
        if len(data) > MAX_BYTES:
            raise PrototxtError(
                "{} MB are no net definition; is it a weight file?".format(size >> 20), path
            )
        return cls.parse(data, path)

    def text(self):
        """The text, equal to what was parsed, to the byte."""
        return self.source.text

    def encode(self):
        """The text as bytes, equal to the file it was read from."""
        return self.source.text.encode("utf-8", "surrogateescape")


class _Parser:
    """One pass over the tokens with a stack of open messages, so depth costs no recursion."""

    def __init__(self, source):
        self.source = source
        self.text = source.text
        self.offset = 1 if self.text.startswith("\ufeff") else 0
        self.previous_end = self.offset
        self.kind = self.token = None

    def parse(self):
        root = Message(self.source, 0)
        stack = [(root, None, None)]
        self.advance()
        while self.kind is not None or len(stack) > 1:
            message, field, closer = stack[-1]
            if closer is not None and self.token == closer and self.kind == "symbol":
                message.end = self.offset
                self.advance()
                stack.pop()
                self.end_of_value(field, message.end, stack)
                continue
            if self.kind != "name":
                raise self.unexpected(stack[-1])
            field = Field(self.source, self.token, self.start)
            message.fields.append(field)
            self.advance()
            colon = self.skip(":")
            if self.skip("["):
                self.start_list(field, stack, colon)
            else:
                self.value(field, stack, colon)
        root.end = len(self.text)
        return root

    def start_list(self, field, stack, colon):
        field.in_list = True
        if self.token == "]":
            stack[-1][0].fields.pop()
            self.advance()
            self.skip(";") or self.skip(",")
            return
        self.value(field, stack, colon)

    def value(self, field, stack, colon):
        if self.kind == "symbol" and self.token in _CLOSES:
            if len(stack) > MAX_DEPTH:
                raise self.error("messages nested over {} deep".format(MAX_DEPTH))
            field.value = Message(self.source, self.start)
            stack.append((field.value, field, _CLOSES[self.token]))
            self.advance()
            return
        if not colon:
            raise self.error(
                "expected ':' or '{{' after {}, found {}".format(field.name, self.said())
            )
        field.value = self.scalar(field)
        self.end_of_value(field, field.value.end, stack)

    def end_of_value(self, field, end, stack):
        """After a value: the next element of its list, or the field's end."""
        siblings = stack[-1][0].fields
        if field.in_list and not (self.kind == "symbol" and self.token == "]"):
            if not self.skip(","):
                raise self.error("expected ',' or ']' in the list, found " + self.said())
            element = Field(self.source, field.name, field.start, in_list=True)
            siblings.append(element)
            self.value(element, stack, True)
            return
        if field.in_list:
            end = self.offset
            self.advance()
        if self.kind == "symbol" and self.token in ";,":
            end = self.offset
            self.advance()
        for sibling in reversed(siblings):
            if sibling.start != field.start:
                break
            sibling.end = end

    def scalar(self, field):
        start = self.start
        if self.kind == "string":
            while self.kind == "string":
                end = self.offset
                self.advance()
            return Scalar(self.source, start, end, "string")
        minus = self.skip("-")
        if self.kind not in ("name", "number"):
            raise self.error("expected a value for {}, found {}".format(field.name, self.said()))
        if minus and self.kind == "name" and self.token.lower() not in ("inf", "infinity", "nan"):
            raise self.error("expected a number after '-', found " + self.said())
        kind, end = self.kind, self.offset
        self.advance()
        return Scalar(self.source, start, end, "number" if minus else kind)

    def skip(self, symbol):
        if self.kind == "symbol" and self.token == symbol:
            self.advance()
            return True
        return False

    def advance(self):
        """Move to the next token; ``kind`` is None at the end of the text."""
        self.previous_end = self.offset
        while self.offset < len(self.text):
            match = _TOKEN.match(self.text, self.offset)
            if match is None:
                self.start = self.offset
                if self.text.startswith("=======", self.offset):
                    raise self.unexpected((None, None, None))
                raise self.error(_bad_character(self.text, self.offset))
            self.start, self.offset = match.span()
            if match.lastgroup != "blank":
                self.kind, self.token = match.lastgroup, match.group()
                if self.kind == "number":
                    self.check_number()
                elif self.kind == "string" and "\\" in self.token:
                    self.check_escapes()
                return
        self.start = self.offset
        self.kind = self.token = None

    def check_number(self):
        token, rest = self.token, self.text[self.offset : self.offset + 1]
        if token[0] == "0" and token[1:2].isdigit() and not re.match("[0-7]+$", token):
            raise self.error("a number with a leading 0 is octal, and {} is not".format(token))
        if rest == "." or (rest in ("x", "X") and token == "0"):
            raise self.error("not a number: {}".format(self.text[self.start : self.offset + 1]))
        if rest in ("e", "E") and "e" not in token.lower()[:-1] and not token[:2].lower() == "0x":
            raise self.error("'e' must be followed by an exponent")

    def check_escapes(self):
        for match in _ESCAPE.finditer(self.token):
            if match.group(5) is not None and match.group(5) not in _SIMPLE_ESCAPES:
                raise self.source.error(
                    "no such escape in a string: {}".format(match.group()),
                    self.start + match.start(),
                )

    def said(self):
        if self.kind is None:
            return "the end of the file"
        word = _SAID_IN_WORDS.get(self.kind)
        token = self.token if len(self.token) <= 40 else self.token[:37] + "..."
        return "{} {}".format(word, token) if word else "'{}'".format(token)

    def unexpected(self, frame):
        message, field, closer = frame
        if self.text.startswith(("<<<<<<<", "=======", ">>>>>>>"), self.start):
            return self.error("a conflict marker of git; resolve the merge first")
        if self.kind is None:
            return self.error(
                "the file ends inside {} (opened in line {}); '{}' is missing".format(
                    field.name, field.line, closer
                )
            )
        if closer is None and self.kind == "symbol" and self.token in "}>":
            return self.error("'{}' closes nothing".format(self.token))
        return self.error("expected the name of a field, found " + self.said())

    def error(self, problem):
        return self.source.error(problem, min(self.start, len(self.text)))


def _unescape(literal):
    def replace(match):
        octal, hexadecimal, short, long, simple = match.groups()
        if octal or hexadecimal:
            code = int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)
            return bytes([code]).decode("latin-1")
        if short or long:
            code = chr(int(short or long, 16) & 0x1FFFFF if short else min(int(long, 16), 0x10FFFF))
            return code.encode("utf-8", "surrogatepass").decode("latin-1")
        return _SIMPLE_ESCAPES[simple]

    encoded = literal.encode("utf-8", "surrogateescape").decode("latin-1")
    return _ESCAPE.sub(replace, encoded).encode("latin-1")


def _bad_character(text, offset):
    character = text[offset]
    if character in "\"'":
        return "a string that does not end on its line"
    if character < " " or character == "\x7f":
        return "a control character (byte {}); is it a binary file?".format(ord(character))
    if ord(character) > 127:
        return "a character outside ASCII, which only strings and comments may hold"
    if character in "$%@`":
        return "'{}' belongs to no prototxt; is it a template?".format(character)
    return "found '{}', which no prototxt uses".format(character)


def _known_stranger(text):
    """What a file is that is surely no prototxt, or None."""
    head = text[:200].lstrip("\ufeff \t\r\n").lower()
    if head.startswith("version https://git-lfs"):
        return "a Git LFS pointer, not the file itself; run `git lfs pull`"
    if head.startswith(("<!doctype", "<html", "<?xml", "<head", "<!--")):
        return "a web page (HTML or XML) saved in place of a prototxt; fetch the raw file"
    return None
