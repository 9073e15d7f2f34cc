"""How many pages an image file has, and how large they are, without decoding them."""

import os
import struct
from typing import BinaryIO, List, Optional, Set, Tuple

from prototxt_tools.errors import InputError
from prototxt_tools.files import open_regular

MOST_PAGES = 1 << 12

_EXTENSIONS = (".tif", ".tiff", ".gif")
_WIDTH, _HEIGHT = 256, 257

Size = Tuple[int, int]


def declared(path: str) -> List[Optional[Size]]:
    """Height and width of each page of a TIFF; None for each frame of a GIF.

    Returns
    -------
    list
        Empty where the file is of another kind, or its table of contents is damaged.
    """
    if not path.lower().endswith(_EXTENSIONS) or not os.path.isfile(path):
        return []
    try:
        with open_regular(path) as file:
            start = file.read(13)
            if start[:6] in (b"GIF87a", b"GIF89a"):
                return [None] * _gif_frames(file, start)
            order = {b"II*\0": "<", b"MM\0*": ">"}.get(start[:4])
            return [] if order is None else _tiff_sizes(file, order)
    except (InputError, OSError, struct.error, IndexError):
        return []


def _tiff_sizes(file: BinaryIO, order: str) -> List[Optional[Size]]:
    """The sizes in the chain of directories (TIFF 6.0, section 2)."""
    file.seek(4)
    offset = struct.unpack(order + "I", file.read(4))[0]
    seen: Set[int] = set()
    sizes: List[Optional[Size]] = []
    while offset and offset not in seen and len(seen) < MOST_PAGES:
        seen.add(offset)
        file.seek(offset)
        count = struct.unpack(order + "H", file.read(2))[0]
        entries = file.read(12 * count)
        fields = {_tag(entries, index, order): _value(entries, index, order)
                  for index in range(0, 12 * count, 12)}
        sizes.append((fields.get(_HEIGHT, 0), fields.get(_WIDTH, 0)))
        offset = struct.unpack(order + "I", file.read(4))[0]
    return sizes


def _tag(entries: bytes, index: int, order: str) -> int:
    tag: int = struct.unpack_from(order + "H", entries, index)[0]
    return tag


def _value(entries: bytes, index: int, order: str) -> int:
    """The first number of an entry, of the type SHORT or LONG."""
    kind = struct.unpack_from(order + "H", entries, index + 2)[0]
    value: int = struct.unpack_from(order + ("H" if kind == 3 else "I"), entries, index + 8)[0]
    return value


def _gif_frames(file: BinaryIO, start: bytes) -> int:
    """How many image blocks stand in a GIF (GIF89a, section 20)."""
    _skip_colors(file, start[10])
    count = 0
    while count < MOST_PAGES:
        kind = file.read(1)
        if kind == b"\x2c":
            count += 1
            _skip_colors(file, file.read(9)[8])
            file.read(1)
        elif kind == b"\x21":
            file.read(1)
        else:
            break
        size: Optional[int] = None
        while size != 0:
            size = file.read(1)[0]
            file.seek(size, os.SEEK_CUR)
    return count


def _skip_colors(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)
