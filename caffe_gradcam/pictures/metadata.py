"""The text that a figure's file carries: what it shows, and the recipe that made it.

PNG has text chunks (PNG specification, 11.3.4), JPEG has comment segments (ITU T.81, B.2.4.5), WebP
is a list of chunks of which readers skip those that they do not know (RFC 9649, 2.3). None of them
changes a pixel.
"""

import json
import re
import struct
import zlib
from typing import Any, Mapping, Optional

KEYWORD = "caffe-gradcam"
_PNG_HEADER = 33  # the signature and the chunk IHDR
_LARGEST_COMMENT = 65000
_DIGEST = re.compile(rb'caffe-gradcam[\0 ]*\{"digest": "([0-9a-f]{64})"')


def text_of(digest: str, facts: Mapping[str, Any]) -> str:
    """The text of a figure, in ASCII: the digest of its recipe, then everything about it as JSON.

    Parameters
    ----------
    digest : str
        64 hexadecimal digits; equal for figures that may replace each other.
    facts : dict
        JSON values.
    """
    return json.dumps(dict({"digest": digest}, **facts), ensure_ascii=True)


def embed(data: bytes, extension: str, text: str) -> bytes:
    """An image file that carries a text.

    Parameters
    ----------
    data : bytes
        A whole file.
    extension : str
        "png", "jpg", "jpeg" or "webp"; files of other formats are returned as they are.
    text : str
        ASCII. JPEG comments hold 65 kB of it; a longer one is cut there.
    """
    body = KEYWORD.encode() + b"\0" + text.encode("ascii")
    if extension == "png":
        checksum = struct.pack(">I", zlib.crc32(b"tEXt" + body) & 0xFFFFFFFF)
        chunk = struct.pack(">I", len(body)) + b"tEXt" + body + checksum
        return data[:_PNG_HEADER] + chunk + data[_PNG_HEADER:]
    if extension in ("jpg", "jpeg"):
        body = body.replace(b"\0", b" ")[:_LARGEST_COMMENT]
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(body) + 2) + body + data[2:]
    if extension == "webp":
        chunk = b"note" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        return data[:4] + struct.pack("<I", len(data) + len(chunk) - 8) + data[8:] + chunk
    return data


def digest_of(data: bytes) -> Optional[str]:
    """The digest in a figure's text; None in a file that carries no such text."""
    match = _DIGEST.search(data)
    return match.group(1).decode("ascii") if match else None
