"""The only reader and writer of image files.

An image is a uint8 array of H x W x 3 in OpenCV's order, blue first, everywhere in this package.
"""

import os
import re
from typing import TYPE_CHECKING, Optional, Union

import numpy as np

from caffe_gradcam.model import array_files, image_sizes, image_values
from caffe_gradcam.model.image_values import Range
from prototxt_tools.errors import ImageError
from prototxt_tools.files import read_bytes, write_bytes

if TYPE_CHECKING:
    StrPath = Union[str, "os.PathLike[str]"]

MOST_BYTES = 1 << 28

# .npy, .npz and HDF5.
_ARRAY_STARTS = (b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")
_JPEG_START = b"\xff\xd8\xff"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# FF00 and the restart markers D0..D7 are part of the entropy-coded data.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_JPEG_STANDALONE = (0x01, 0xD8)
_JPEG_END = 0xD9
# Encoders write ten or so where they write an image progressively.
_MOST_SCANS = 100
# OpenCV decodes no more.
_MOST_CHANNELS = 4
# What the formats allow, in pixels of the longer side.
_LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}


def read(path: "StrPath", value_range: Optional[Range] = None) -> np.ndarray:
    """Read an image file.

    Parameters
    ----------
    path : str or os.PathLike
        Any format that OpenCV reads, or an array as ``array_files.decode`` reads it from .npy,
        .npz and HDF5; the name may hold any characters. A regular file of at most 256 MiB.
    value_range : (float, float), optional
        As for :func:`decode`.

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
    return decode(_read_bytes(path), path, value_range=value_range)


def decode(data: bytes, path: str, upright: bool = True,
           value_range: Optional[Range] = None, factor: int = 1) -> np.ndarray:
    """Decode the bytes of an image file, or of a file with an array.

    The EXIF orientation is applied, grey becomes three equal channels, other values than 8-bit
    ones are scaled as ``image_values`` tells, and alpha is dropped, as Caffe's own readers
    (``cv::imread``) drop it: the image then shows what a net trained by Caffe's tools would see.

    Parameters
    ----------
    data : bytes
    path : str
        What messages call it.
    upright : bool
        Whether to apply the EXIF orientation.
    value_range : (float, float), optional
        The values of an image of more than 8 bits that become 0 and 255.
    factor : int
        1, or 2, 4 or 8 for a JPEG at a part of its size.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first; divided by the factor and rounded up.

    Raises
    ------
    ImageError
        Empty, cut short, not an image, of too many pixels (see ``image_sizes``), or with values
        outside the range.
    """
    import cv2

    if data.startswith(_ARRAY_STARTS):
        return _from_array(array_files.decode(data, path), path, value_range)
    check(data, path)
    bands = image_sizes.tiff_bands(data)
    if bands > _MOST_CHANNELS:
        raise ImageError(f"{path}: a TIFF of {bands} bands, where the net takes pixels of 1 or 3 "
                         "channels", path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if factor == 1 else getattr(
        cv2, f"IMREAD_REDUCED_COLOR_{factor}")
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
    return image_values.to_uint8(image, path, value_range)


def check(data: bytes, path: str) -> None:
    """Raise an ImageError for a file that is empty, cut short or made to keep decoders busy."""
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes)", path)
    image_sizes.check(data, path)
    # These two bytes stand nowhere else in a JPEG but in the thumbnails of its notes.
    if data.startswith(_JPEG_START) and data.count(b"\xff\xda") > _MOST_SCANS:
        raise ImageError(f"{path}: a JPEG of more than {_MOST_SCANS} scans, made to keep decoders "
                         "busy", path)
    # OpenCV 4 paints the missing part of a JPEG grey without reporting it.
    if not is_complete(data):
        raise ImageError(f"{path}: the image is cut short; copy or download it again", path)


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
    if "\0" not in path and os.path.isdir(path):  # Python 3.6 and 3.7 raise for a zero byte.
        raise ImageError(f"{path}: a folder; name the image files in it", path)
    return read_bytes(path, MOST_BYTES, ImageError)


def _from_array(array: np.ndarray, path: str, value_range: Optional[Range]) -> np.ndarray:
    """The image in an array: H x W, or H x W x 1, 3 or 4, blue first as OpenCV has them."""
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        shape = " x ".join(map(str, array.shape))
        raise ImageError(f"{path}: an array of {shape}, where an image is H x W or H x W x 1, 3 or "
                         "4 channels", path)
    image = image_values.to_uint8(array, path, value_range)[:, :, :3]
    return np.ascontiguousarray(np.broadcast_to(image, image.shape[:2] + (3,)))
