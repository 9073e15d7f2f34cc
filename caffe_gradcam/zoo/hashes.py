"""Whether a file is the expected one, by its size and its hashes."""

import hashlib
import os
import re
from typing import Any, Dict, Iterable, Mapping, Optional

from prototxt_tools.files import feed

# The kinds of hash that a readme.md may hold, and their digits; a prefix may have fewer.
DIGITS: Dict[str, Optional[int]] = {
    "sha384": 96, "sha256": 64, "sha1": 40, "git_blob_sha1": 40, "md5": 32, "sha256_prefix": None,
}
_NAMES = {"git_blob_sha1": "SHA-1 of the git blob", "sha256_prefix": "SHA-256", "md5": "MD5"}


def problem(kind: str, value: object) -> Optional[str]:
    """What is wrong with a hash, or None."""
    if kind not in DIGITS:
        return f"unknown kind of hash: {kind}"
    length = DIGITS[kind] or len(str(value))
    if not re.match(f"[0-9a-f]{{{length}}}$", str(value)) or length < 8:
        return f"{kind} must have {DIGITS[kind] or '8 to 64'} hexadecimal digits, not {value}"
    return None


def digests(path: str, kinds: Iterable[str]) -> Dict[str, str]:
    """The hashes of a file, read once.

    Parameters
    ----------
    path : str
    kinds : iterable of str
        Keys of ``DIGITS``.

    Returns
    -------
    dict
        Kind -> hexadecimal digits; of a ``sha256_prefix`` all 64.
    """
    states = {kind: _state(kind, path) for kind in kinds}
    feed(path, *states.values())
    return {kind: state.hexdigest() for kind, state in states.items()}


def mismatch(path: str, size: Optional[int] = None, expected: Optional[Mapping[str, str]] = None
             ) -> Optional[str]:
    """How a file differs from the expected one.

    Parameters
    ----------
    path : str
    size : int, optional
        In bytes.
    expected : dict, optional
        Kind -> hexadecimal digits.

    Returns
    -------
    str or None
        The rest of a sentence that begins with the file, or None where all agrees.
    """
    actual = os.path.getsize(path)
    if size is not None and actual != size:
        return f"has {actual} bytes, not {size}"
    expected = expected or {}
    for kind, digits in digests(path, expected).items():
        if not digits.startswith(expected[kind]):
            name = _NAMES.get(kind, kind.upper().replace("SHA", "SHA-"))
            return f"has the {name} {digits[:12]}..., not {expected[kind][:12]}..."
    return None


def _state(kind: str, path: str) -> Any:
    if kind == "git_blob_sha1":
        return hashlib.sha1(b"blob %d\0" % os.path.getsize(path))
    return hashlib.new("sha256" if kind == "sha256_prefix" else kind)
