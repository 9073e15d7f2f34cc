"""The only way of text to the terminal: what names in files may hold is shown, never obeyed.

Control characters, marks that reverse the direction of writing, and bytes that are not UTF-8 are
written as escapes (``\\x1b``), and so are letters that the terminal's encoding lacks.
"""

import contextlib
import re
import sys
from typing import Any, Iterator, Match

# C0 and C1 controls but tabs and line ends, line separators, marks of direction, lone surrogates.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
                     "\ud800-\udfff]")
# What progress bars write: back to the begin of the line, or lines up and down.
_BAR = re.compile(r"(\r)([^\r]*)(\r?)\Z|((?:\n|\x1b\[A)*)\Z")


def safe(text: str) -> str:
    """The text with escapes in the place of what a terminal would obey."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: object) -> str:
    """As :func:`safe`, with line ends escaped too."""
    return safe(str(text)).replace("\n", "\\n")


def _escape(match: Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is not UTF-8.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class SafeStream:
    """A text stream that writes safe text.

    Parameters
    ----------
    stream : text stream
    bars : bool
        Whether progress bars write to it, which move the cursor.
    """

    def __init__(self, stream: Any, bars: bool) -> None:
        self._stream, self._bars = stream, bars

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text; gives its length."""
        bar = _BAR.match(text) if self._bars else None
        if bar is None:
            shown = safe(text)
        elif bar.group(1):
            shown = bar.group(1) + safe(bar.group(2)) + bar.group(3)
        else:
            shown = text
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Standard output and error are safe streams meanwhile."""
    streams = sys.stdout, sys.stderr
    sys.stdout = SafeStream(streams[0], bars=False)
    sys.stderr = SafeStream(streams[1], bars=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
