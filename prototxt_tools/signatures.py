"""What a file is that is neither a net definition nor weights, judged by its first bytes."""

import re
from typing import Optional

# How many bytes ``kind_of`` needs.
HEAD = 512
_ARCHIVE = "; unpack it first"
_RAW = " saved in place of the file; fetch the raw file"
# What a file begins with -> what it is, and what to do.
_BEGINNINGS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in (
    (rb"\s*version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (rb"(?i)\s*<(!doctype html|html|head|!--)", "a web page" + _RAW),
    (rb"\s*<\?xml|\s*<Error>", "XML, perhaps the error message of a server," + _RAW),
    (rb"\s*[{\[]\s*(\"|\}|\{\s*\"|\]\s*$)", "JSON, perhaps the error message of a server," + _RAW),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive, such as those that PyTorch writes" + _ARCHIVE),
    (rb"\x1f\x8b", "a gzip archive" + _ARCHIVE),
    (rb"BZh[1-9]", "a bzip2 archive" + _ARCHIVE),
    (rb"\xfd7zXZ\x00", "an xz archive" + _ARCHIVE),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive" + _ARCHIVE),
    (rb"Rar!\x1a\x07", "a rar archive" + _ARCHIVE),
    (rb"\x28\xb5\x2f\xfd", "a Zstandard archive" + _ARCHIVE),
    (rb".{257}ustar", "a tar archive" + _ARCHIVE),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"\x80[\x02-\x05]", "a Python pickle, such as PyTorch's weights; convert it to Caffe's form"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "an image"),
    (rb"%PDF", "a PDF document"),
    (rb"\xff\xfe|\xfe\xff",
     "text in UTF-16; save it as UTF-8, for example with iconv -f UTF-16 -t UTF-8"),
))


def kind_of(head: bytes) -> Optional[str]:
    """What a file is by its first ``HEAD`` bytes, with the way out; None if nothing is known.

    Neither Caffe's own files nor HDF5 are named.
    """
    for beginning, kind in _BEGINNINGS:
        if beginning.match(head.lstrip(b"\xef\xbb\xbf") if head[:3] == b"\xef\xbb\xbf" else head):
            return kind
    return None
