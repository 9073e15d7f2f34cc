"""From an item to its photograph, wherever it lies."""

import hashlib
from typing import Any, NamedTuple, Optional

import numpy as np

from caffe_gradcam.batch import storage
from caffe_gradcam.batch.sources.archives import open_lmdb
from caffe_gradcam.model import images
from prototxt_tools.errors import InputError

# No photograph is larger; what is has been made to fill memories.
MOST_BYTES = 1 << 28
MOST_PIXELS = 1 << 26

_environments = {}


class Fetched(NamedTuple):
    """An item's bytes.

    Attributes
    ----------
    data : bytes
        An image file; or the pixels of a Datum.
    shape : tuple or None
        Channels, height and width, where the data are pixels.
    label : int or None
        The Datum's.
    sha256 : str
        Of the data.
    is_datum : bool
    """

    data: Any
    shape: Optional[tuple]
    label: Optional[int]
    sha256: str
    is_datum: bool


def fetch(item):
    """Read an item's bytes; raises InputError where that cannot be."""
    if isinstance(item.where, str):
        return _from_lmdb(item)
    if item.where:
        data = storage.read(item.archive, *item.where, limit=MOST_BYTES)
    else:
        data = storage.read(item.path, limit=MOST_BYTES)
    return Fetched(data, None, None, hashlib.sha256(data).hexdigest(), False)


def photograph(item, fetched):
    """Decode what was fetched.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first. Of a Datum just the pixels that Caffe's Data layer sees: its
        encoded images are decoded as they are, whatever their EXIF tags say of their orientation.

    Raises
    ------
    InputError
        Damaged, no image, or larger than ``MOST_PIXELS``.
    """
    if fetched.shape is None:
        return images.decode(fetched.data, item.path, upright=not fetched.is_datum)
    channels, height, width = fetched.shape
    if channels not in (1, 3) or not height * width or len(fetched.data) != np.prod(fetched.shape):
        raise InputError(f"{item.path}: a Datum of {channels}x{height}x{width} with {len(fetched.data)} values is no picture")
    pixels = np.frombuffer(fetched.data, np.uint8).reshape(fetched.shape)
    return np.ascontiguousarray(np.broadcast_to(
        pixels.transpose(1, 2, 0), (height, width, 3)))


def cut(picture, box):
    """The part of a photograph in a box, and its left and upper edge.

    Parameters
    ----------
    picture : numpy.ndarray
        H x W x 3.
    box : list of float
        x, y, width, height in pixels; what lies outside is left out.

    Raises
    ------
    InputError
        Nothing lies inside.
    """
    left, top = (max(0, int(round(one))) for one in box[:2])
    right, bottom = (int(round(start + length)) for start, length in zip(box[:2], box[2:]))
    part = picture[top:max(bottom, 0), left:max(right, 0)]
    if not part.size:
        raise InputError("the box {} lies outside of the picture of {}x{}".format(
            ",".join(f"{one:g}" for one in box), *picture.shape[:2]))
    return np.ascontiguousarray(part), (left, top)


def _from_lmdb(item):
    from prototxt_tools.net import schema

    if item.archive not in _environments:
        _environments[item.archive] = open_lmdb(item.archive)
    with _environments[item.archive].begin() as transaction:
        value = transaction.get(bytes.fromhex(item.where))
    if value is None:
        raise InputError(f"{item.path}: no longer in the LMDB")
    datum = schema.new("Datum")
    try:
        datum.ParseFromString(value)
    except Exception:  # protobuf's DecodeError, whose module differs between versions
        raise InputError(f"{item.path}: not a Datum of Caffe") from None
    data = datum.data if datum.data else _to_bytes(datum.float_data, item.path)
    shape = None if datum.encoded else (datum.channels, datum.height, datum.width)
    label = datum.label if datum.HasField("label") else None
    return Fetched(data, shape, label, hashlib.sha256(data).hexdigest(), True)


def _to_bytes(values, path):
    """float_data as bytes, where they are pixels."""
    numbers = np.array(values, np.float64)
    data = numbers.astype(np.uint8)
    if (data != numbers).any():
        raise InputError(f"{path}: its float_data are no pixels from 0 to 255")
    return data.tobytes()
