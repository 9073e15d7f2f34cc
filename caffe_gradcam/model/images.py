"""The only reader and writer of image files.

An image is a uint8 array of H x W x 3 in OpenCV's order, blue first, everywhere in this package.
"""

import os
import re
from typing import TYPE_CHECKING, Union

import numpy as np

from prototxt_tools.errors import ImageError
from prototxt_tools.files import write_bytes

if TYPE_CHECKING:
    StrPath = Union[str, "os.PathLike[str]"]

_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# FF00 and the restart markers D0..D7 are part of the entropy-coded data.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_JPEG_STANDALONE = (0x01, 0xD8)
_JPEG_END = 0xD9
# Encoders write ten or so where they write an image progressively.
_MOST_SCANS = 100
# What the formats allow, in pixels of the longer side.
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}


def read(path: "StrPath") -> np.ndarray:
    """Read an image file.

    Parameters
    ----------
    path : str or os.PathLike
        Any format that OpenCV reads; the name may hold any characters.

    Returns
    -------
    numpy.ndarray
        As :func:`decode`.

    Raises
    ------
    ImageError
        Missing, a folder, unreadable; or as of :func:`decode`.
    """
    path = os.fspath(path)
    return decode(_read_bytes(path), path)


def decode(data: bytes, path: str, upright: bool = True) -> np.ndarray:
    """Decode the bytes of an image file.

    The EXIF orientation is applied, grey becomes three equal channels, 16-bit values are scaled
    to 8 bits, and alpha is dropped, as Caffe's own readers (``cv::imread``) drop it: the image
    then shows what a net trained by Caffe's tools would see.

    Parameters
    ----------
    data : bytes
    path : str
        What messages call it.
    upright : bool
        Whether to apply the EXIF orientation.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first.

    Raises
    ------
    ImageError
        Empty, cut short, not an image, too large for OpenCV, or without integer pixels.
    """
    import cv2

    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes)", path)
    # These two bytes stand nowhere else in a JPEG but in the thumbnails of its notes.
    if data.startswith(_JPEG_START) and data.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageError(f"{path}: a JPEG of more than {_MOST_SCANS} scans, made to keep decoders "
                         "busy", path)
    # OpenCV 4 paints the missing part of a JPEG grey without reporting it.
    if not is_complete(data):
        raise ImageError(f"{path}: the image is cut short; copy or download it again", path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8),
            flags if upright else flags | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    except cv2.error as error:
        reason = getattr(error, "err", None) or str(error).strip().splitlines()[-1]
        if "CV_IO_MAX_IMAGE" in reason:
            reason = "it is larger than OPENCV_IO_MAX_IMAGE_PIXELS allows"
        raise ImageError(f"{path}: OpenCV refuses the image: {reason}", path) from None
    if image is None:
        raise ImageError(f"{path}: not an image that OpenCV can read, or a damaged one", path)
    return to_uint8(image, path)


def write(path: "StrPath", image: np.ndarray) -> None:
    """Write an image file; the extension of its name decides the format.

    Parameters
    ----------
    path : str or os.PathLike
        The folder is created if it is missing; the file appears only when it is complete.
    image : numpy.ndarray
        H x W x 3 uint8, blue first.

    Raises
    ------
    ImageError
        See :func:`encode`.
    InputError
        The file cannot be written.
    """
    write_bytes(path, encode(path, image))


def encode(path: "StrPath", image: np.ndarray) -> bytes:
    """The bytes of an image file; the extension of its name decides the format.

    Parameters
    ----------
    path : str or os.PathLike
    image : numpy.ndarray
        H x W x 3 uint8, blue first.

    Returns
    -------
    bytes

    Raises
    ------
    ImageError
        An extension that OpenCV cannot write, or an image larger than the format allows.
    """
    import cv2

    path = os.fspath(path)
    extension = os.path.splitext(path)[1]
    height, width = image.shape[:2]
    longest = _LONGEST.get(extension.lower(), max(height, width))
    if max(height, width) > longest:
        raise ImageError(f"{path}: an image of {width}x{height} pixels is too large for this "
                         f"format, which ends at {longest}; use .png", path)
    try:
        written, data = cv2.imencode(extension, image)
    except cv2.error:
        written = False
    if not written:
        raise ImageError(f"{path}: OpenCV cannot write {extension or 'nameless'} images; use .png "
                         "or .jpg", path)
    return data.tobytes()


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG goes on to its end mark; other formats are left to OpenCV.

    Parameters
    ----------
    data : bytes
        A whole file. What stands behind the end mark (as some cameras write) does no harm, and
        the end mark of an embedded thumbnail is not taken for that of the image.

    Returns
    -------
    bool
    """
    if data.startswith(_JPEG_START):
        return _jpeg_ends(data)
    if data.startswith(_PNG_START):
        return _png_ends(data)
    return True


def _jpeg_ends(data: bytes) -> bool:
    offset = 2
    while True:
        match = _JPEG_MARKER.search(data, offset)
        if match is None:
            return False
        marker, offset = match.group(1)[0], match.end()
        if marker == _JPEG_END:
            return True
        if marker not in _JPEG_STANDALONE:
            offset += int.from_bytes(data[offset:offset + 2], "big")


def _png_ends(data: bytes) -> bool:
    offset = len(_PNG_START)
    while offset + 12 <= len(data):
        if data[offset + 4:offset + 8] == b"IEND":
            return True
        offset += 12 + int.from_bytes(data[offset:offset + 4], "big")
    return False


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file", path) from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder; name the image files in it", path) from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}", path) from None
    except ValueError as error:
        raise ImageError(f"{path!r}: not a file name: {error}", path) from None


def to_uint8(image: np.ndarray, path: str) -> np.ndarray:
    """An image of 8 or 16 bits per channel as one of 8; ImageError for others."""
    if image.dtype == np.uint16:
        # 65535 = 257 * 255: full scale stays full scale, rounded to nearest. Row by row, since
        # the larger numbers of a large image would fill the memory.
        scaled = np.empty(image.shape, np.uint8)
        for row, source in zip(scaled, image):
            row[...] = (source.astype(np.uint32) + 128) // 257
        return scaled
    if image.dtype != np.uint8:
        raise ImageError(f"{path}: holds {image.dtype} pixels; convert it to 8 or 16 bits per "
                         "channel", path)
    return image
