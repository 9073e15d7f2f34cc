"""Damaged files, drawn by hypothesis: a valid file with a few changes, or random bytes."""

from hypothesis import strategies as st

# What readers stumble over: ends of numbers, of strings, of nesting, of encodings and lines.
PIECES = [
    b"", b"\0", b"\xff", b"\x80", b"\n", b"\r", b"\x1b[31m", b"\xff" * 8, b"\xff" * 9 + b"\x01",
    b"\0" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"0", b"-1", b"9" * 30, b"1e999", b"-inf", b"nan", b"0x", b"2147483648", b"1.5",
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b"<", b">", b":", b",", b";", b"#", b"\t",
    b"{" * 300, b"[" * 3000, b"&a ", b"*a", b"!!", b"---\n", b"null", b"true",
    b"dim: 99999999999", b"2026-99-99", b"..", b"/", b"\xff\xfe",
]
_LONGEST_SLICE = 64

_POSITION = st.integers(0, 1 << 16)
_CHANGE = st.tuples(
    st.sampled_from(["flip", "insert", "replace", "remove", "repeat", "cut"]), _POSITION,
    st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)), st.integers(1, _LONGEST_SLICE))


def damaged(*files):
    """Files as bytes, of which the valid ones are given."""
    changed = st.builds(_changed, st.sampled_from(files), st.lists(_CHANGE, max_size=6))
    headed = st.builds(lambda file, rest: file[:8] + rest, st.sampled_from(files),
                       st.binary(max_size=200))
    return st.one_of(changed, changed, changed, headed, st.binary(max_size=200))


def _changed(data, changes):
    for kind, position, piece, length in changes:
        # The same position in a file of any length; those near the start and the end are common.
        start = position % (len(data) + 1)
        rest = {"flip": _flipped(data[start:start + 1], length) + data[start + 1:],
                "insert": piece + data[start:],
                "replace": piece + data[start + len(piece):],
                "remove": data[start + length:],
                "repeat": data[start:start + length] * (2 + length % 3) + data[start + length:],
                "cut": b""}
        data = data[:start] + rest[kind]
    return data


def _flipped(byte, bit):
    return bytes([byte[0] ^ 1 << bit % 8]) if byte else b""
