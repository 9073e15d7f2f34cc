"""What the header of a JPEG declares, found without decoding it."""

import re
import struct
from dataclasses import dataclass
from typing import Optional, Tuple

_START = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_ADOBE = b"Adobe"
# FF00, restart markers and the beginning and end of an image hold no length.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd9])")
_APP1, _APP14, _SCAN = 0xE1, 0xEE, 0xDA
# Start of frame: C0 to CF without DHT, JPG and DAC; the first two are decoded in one scan.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_ORIENTATION, _SHORT = 0x0112, 3
_ORIENTATIONS = range(1, 9)
# Adobe's mark of three components that are luminance and colour differences.
_YCC = 1
_FULL_OR_HALF = ((1, 1), (2, 1), (1, 2), (2, 2))
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


@dataclass(frozen=True)
class JpegHeader:
    """The header of a JPEG.

    Attributes
    ----------
    size : (int, int)
        Height and width of the picture as it is stored.
    orientation : int
        EXIF's: 1 as it is stored, 2 to 8 mirrored or turned.
    components : int
    bits : int
        Of each value.
    is_sequential : bool
        Whether it is stored in one go rather than progressively, and with Huffman codes.
    sampling : tuple of (int, int)
        How densely each component is stored, horizontally and vertically.
    adobe : int or None
        Adobe's mark of the colours, where there is one.
    """

    size: Tuple[int, int]
    orientation: int
    components: int
    bits: int
    is_sequential: bool
    sampling: Tuple[Tuple[int, int], ...]
    adobe: Optional[int]

    @property
    def shown_size(self) -> Tuple[int, int]:
        """Height and width as the picture is shown."""
        height, width = self.size
        return (width, height) if self.orientation > 4 else (height, width)

    @property
    def is_plain(self) -> bool:
        """Whether it is grey, or luminance and colour differences, of 8 bits."""
        return self.bits == 8 and (self.components == 1 or (
            self.components == 3 and self.adobe in (None, _YCC)))

    @property
    def is_simple(self) -> bool:
        """Whether any decoder knows it: plain, in one go, upright, colours at full or half size."""
        luminance, *colours = self.sampling
        return (self.is_plain and self.is_sequential and self.orientation == 1
                and luminance in _FULL_OR_HALF and all(each == (1, 1) for each in colours))


def header(data: bytes) -> Optional[JpegHeader]:
    """The header of a JPEG; None where the data are no JPEG, or one whose header is damaged or
    says two things."""
    if not data.startswith(_START):
        return None
    frame: Optional[Tuple[int, bytes]] = None
    orientation: Optional[int] = None
    adobe: Optional[int] = None
    offset = 2
    try:
        while True:
            match = _MARKER.search(data, offset)
            if match is None:
                return None
            marker, offset = match.group(1)[0], match.end()
            if marker == _SCAN:
                return None if frame is None else _of_frame(*frame, orientation or 1, adobe)
            length = struct.unpack_from(">H", data, offset)[0]
            segment = data[offset + 2:offset + length]
            if marker in _FRAMES:
                if frame is not None:
                    return None
                frame = marker, segment
            elif marker == _APP1 and segment.startswith(_EXIF):
                if orientation is not None:
                    return None
                orientation = _orientation(segment[len(_EXIF):])
            elif marker == _APP14 and segment.startswith(_ADOBE):
                adobe = segment[11]
            offset += max(length, 2)
    except (struct.error, IndexError, ValueError):
        return None


def _of_frame(marker: int, segment: bytes, orientation: int, adobe: Optional[int]
              ) -> Optional[JpegHeader]:
    bits, height, width, count = struct.unpack_from(">BHHB", segment)
    if not (height and width and count) or len(segment) < 6 + 3 * count:
        return None
    codes = [segment[7 + 3 * index] for index in range(count)]
    identifiers = bytes(segment[6 + 3 * index] for index in range(count))
    if adobe is None and identifiers == b"RGB":
        adobe = 0
    return JpegHeader((height, width), orientation, count, bits, marker in _SEQUENTIAL,
                      tuple((code >> 4, code & 15) for code in codes), adobe)


def _orientation(tiff: bytes) -> int:
    """The orientation in the first directory of EXIF's data; raises ValueError for one that does
    not exist."""
    order = _ORDERS.get(tiff[:4])
    if order is None:
        raise ValueError("not EXIF")
    start = struct.unpack_from(order + "I", tiff, 4)[0]
    count = struct.unpack_from(order + "H", tiff, start)[0]
    for index in range(count):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * index)
        if tag == _ORIENTATION:
            if kind != _SHORT or value not in _ORIENTATIONS:
                raise ValueError("no such orientation")
            return int(value)
    return 1
