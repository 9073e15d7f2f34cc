"""Whether a file is the one that is known, by its size and its hashes."""

import hashlib
import os
import re

# The kinds of hash that a readme.md may hold, and their digits; a prefix may have fewer.
DIGITS = {"sha384": 96, "sha256": 64, "sha1": 40, "git_blob_sha1": 40, "md5": 32,
          "sha256_prefix": None}
_NAMES = {"git_blob_sha1": "SHA-1 of the git blob", "sha256_prefix": "SHA-256", "md5": "MD5"}
_PART = 1 << 20


def problem(kind, value):
    """What is wrong with a hash as it is written, or None."""
    if kind not in DIGITS:
        return f"no kind of hash: {kind}"
    length = DIGITS[kind] or len(str(value))
    if not re.match("[0-9a-f]{%d}$" % length, str(value)) or length < 8:
        return "{} wants {} hexadecimal digits, not {}".format(kind, DIGITS[kind] or "8 to 64",
                                                                value)
    return None


def digests(path, kinds):
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
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(_PART), b""):
            for state in states.values():
                state.update(part)
    return {kind: state.hexdigest() for kind, state in states.items()}


def mismatch(path, size=None, known=None):
    """How a file differs from the one that is known.

    Parameters
    ----------
    path : str
    size : int, optional
        In bytes.
    known : dict, optional
        Kind -> hexadecimal digits.

    Returns
    -------
    str or None
        The rest of a sentence that begins with the file, or None where all agrees.
    """
    have = os.path.getsize(path)
    if size is not None and have != size:
        return f"has {have} bytes, not {size}"
    known = known or {}
    for kind, digits in digests(path, known).items():
        if not digits.startswith(known[kind]):
            name = _NAMES.get(kind, kind.upper().replace("SHA", "SHA-"))
            return f"has the {name} {digits[:12]}..., not {known[kind][:12]}..."
    return None


def _state(kind, path):
    if kind == "git_blob_sha1":
        return hashlib.sha1(b"blob %d\0" % os.path.getsize(path))
    return hashlib.new("sha256" if kind == "sha256_prefix" else kind)
