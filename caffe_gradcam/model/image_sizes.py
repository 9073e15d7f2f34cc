"""The size that an image file declares, found without decoding it."""

import os
import re
import struct
from typing import Iterator, Optional, Tuple

from prototxt_tools.errors import ImageError

LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
MOST_PIXELS = 1 << 27

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd9])")
# Start of frame: C0 to CF without DHT, JPG and DAC.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BANDS = 256, 257, 277


def check(data: bytes, path: str) -> None:
    """Raise an ImageError for an image of more pixels than OPENCV_IO_MAX_IMAGE_PIXELS allows.

    Where that variable is not set, 2^27 pixels are allowed. Formats whose size is not known here
    are left to OpenCV, which has a limit of its own.
    """
    size, limit = declared(data), pixel_limit(MOST_PIXELS)
    if size is not None and size[0] * size[1] > limit:
        raise ImageError(f"{path}: OpenCV refuses the image: {size[1]}x{size[0]} pixels, it is "
                         f"larger than {LIMIT} allows ({limit}); --max-pixels allows more", path)


def pixel_limit(limit: int) -> int:
    """The most pixels that an image may have: this limit, or what the variable
    ``OPENCV_IO_MAX_IMAGE_PIXELS`` holds."""
    text = os.environ.get(LIMIT, "")
    return int(text) if re.match("[0-9]{1,15}$", text) else limit


def declared(data: bytes) -> Optional[Tuple[int, int]]:
    """Height and width of a PNG, JPEG, BMP or TIFF, or None."""
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack(">II", data[16:24])
        elif data.startswith(_JPEG):
            height, width = _jpeg_size(data)
        elif data.startswith(b"BM"):
            width, height = struct.unpack("<ii", data[18:26])
        elif data[:4] in _TIFF:
            sizes = dict(_tiff_numbers(data, _TIFF[data[:4]]))
            width, height = sizes[_TIFF_WIDTH], sizes[_TIFF_HEIGHT]
        else:
            return None
    except (struct.error, KeyError, ValueError):
        return None
    return abs(height), abs(width)


def tiff_bands(data: bytes) -> int:
    """How many channels a TIFF has; 0 where the file is of another kind, or damaged."""
    try:
        order = _TIFF.get(data[:4])
        return 0 if order is None else dict(_tiff_numbers(data, order)).get(_TIFF_BANDS, 1)
    except (struct.error, ValueError):
        return 0


def _jpeg_size(data: bytes) -> Tuple[int, int]:
    offset = 2
    while True:
        match = _MARKER.search(data, offset)
        if match is None:
            raise ValueError("no frame")
        offset = match.end()
        if match.group(1)[0] in _FRAMES:
            height, width = struct.unpack(">HH", data[offset + 3:offset + 7])
            return height, width
        offset += struct.unpack(">H", data[offset:offset + 2])[0]


def _tiff_numbers(data: bytes, order: str) -> Iterator[Tuple[int, int]]:
    """The first directory's tags with their numbers."""
    start = struct.unpack(order + "I", data[4:8])[0]
    count = struct.unpack(order + "H", data[start:start + 2])[0]
    for index in range(count):
        entry = data[start + 2 + 12 * index:start + 14 + 12 * index]
        tag, kind = struct.unpack(order + "HH", entry[:4])
        yield tag, struct.unpack(order + ("H" if kind == 3 else "I"),
                                 entry[8:10] if kind == 3 else entry[8:12])[0]
