"""The tokens of the text format, as protobuf's C++ ``io::Tokenizer`` finds them.

Source: ``google/protobuf/io/tokenizer.cc``, as ``text_format.cc`` sets it up.
"""

import re
from typing import List, Match, Optional, Tuple

_ESCAPE = r"""\\(?:[abfnrtv\\?'"0-7]|x[0-9a-fA-F]|u[0-9a-fA-F]{4}|U00[01][0-9a-fA-F]{5})"""

# One token and the blanks before it. A string with escapes only begins here, see string_end:
# the engine of re would take gigabytes to match millions of escapes at once.
TOKEN = re.compile(
    r"""[ \t\r\n\v\f]*(?:
    (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<symbol>[{}<>\[\]:;,-])
  | (?P<string>"[^"\\\n\0]*"|'[^'\\\n\0]*')
  | (?P<number>
        (?:0[xX][0-9a-fA-F]+|0[0-7]+
          |(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[fF]?)
        (?![A-Za-z0-9_.]))
  | (?P<comment>\#[^\n\0]*)
  | (?P<quote>["'])
  | (?P<end>\Z)
  | (?P<bad>[\s\S])
    )""",
    re.VERBOSE,
)
_PIECES = {
    quote: re.compile(rf"(?:[^{quote}\\\n\0]|{_ESCAPE}){{1,1000}}") for quote in "\"'"
}
_DECODED = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))"
)
_SIMPLE_ESCAPES = dict(zip("abfnrtv\\?'\"", "\a\b\f\n\r\t\v\\?'\""))
_BLANKS = re.compile(r"[ \t\r\n\v\f]+|#[^\n]*")


def string_end(text: str, start: int) -> Tuple[Optional[int], int]:
    """Offset after a string literal; None if it does not end or is malformed.

    Returns
    -------
    end : int or None
    problem : int
        Where the literal becomes malformed, if it does.
    """
    quote, position = text[start], start + 1
    while True:
        match = _PIECES[quote].match(text, position)
        if match is None:
            closed = text[position : position + 1] == quote
            return (position + 1 if closed else None), position
        position = match.end()


def literals(text: str) -> List[str]:
    """The bodies of adjacent string literals, with blanks and comments between them."""
    position, bodies = 0, []
    while position < len(text):
        blank = _BLANKS.match(text, position)
        if blank:
            position = blank.end()
            continue
        end, _ = string_end(text, position)
        assert end is not None  # The parser has read the literal.
        bodies.append(text[position + 1 : end - 1])
        position = end
    return bodies


def without_blanks(text: str) -> str:
    """A number as one word: blanks may separate ``-`` from its digits."""
    return _BLANKS.sub("", text)


def unescape(body: str) -> bytes:
    """The bytes that the body of a string literal represents."""

    def replace(match: Match[str]) -> str:
        octal, hexadecimal, short, long, simple = match.groups()
        if octal or hexadecimal:
            code = int(octal, 8) & 0xFF if octal else int(hexadecimal, 16)
            return bytes([code]).decode("latin-1")
        if short or long:
            character = chr(min(int(short or long, 16), 0x10FFFF))
            return character.encode("utf-8", "surrogatepass").decode("latin-1")
        return _SIMPLE_ESCAPES[str(simple)]

    encoded = body.encode("utf-8", "surrogateescape").decode("latin-1")
    return _DECODED.sub(replace, encoded).encode("latin-1")


def why_not(text: str, offset: int) -> Tuple[str, int]:
    """Why no token can begin at a character.

    Returns
    -------
    problem : str
    offset : int
        Where the problem is; for an escape, inside the token.
    """
    character = text[offset]
    if character in "\"'":
        _, end = string_end(text, offset)
        if text[end : end + 1] == "\\" and text[end + 1 : end + 2] not in ("", "\n", "\0"):
            return (f"unknown escape in a string: {text[end : end + 2]}; in a path, write / "
                    "instead of \\"), end
        return "a string that is not closed on its line", offset
    if character.isdigit() or character == ".":
        return _why_no_number(text, offset), offset
    if character < " " or character == "\x7f":
        return f"a control character (byte {ord(character)}); is it a binary file?", offset
    if ord(character) > 127:
        return "a character outside ASCII, which is allowed only in strings and comments", offset
    if character in "$%@`":
        return f"'{character}' is not part of the prototxt format; is it a template?", offset
    return f"found '{character}', which is not part of the prototxt format", offset


def _why_no_number(text: str, offset: int) -> str:
    word = re.findall(r"^[0-9A-Za-z_.]{0,40}", text[offset : offset + 40])[0]
    if re.match(r"0[0-9]*[89]", word):
        return f"a number with a leading 0 is octal, and {word} is not an octal number"
    if re.match(r"[0-9]*\.?[0-9]*[eE]", word) and not word.startswith("0x"):
        return f"'e' must be followed by an exponent in {word}"
    return f"not a number: {word}"
