"""From an item to its image, wherever it lies."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.batch import storage
from caffe_gradcam.batch.sources import hdf5, lmdb
from caffe_gradcam.batch.sources.item import TEXT, Item
from caffe_gradcam.model import array_files, bands, clip_files, image_values, images
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.preprocess import BANDS, Preprocessing
from prototxt_tools.errors import ImageError, InputError

# Larger files are taken for attempts to fill the memory.
MOST_BYTES = 1 << 28
MOST_PIXELS = 1 << 26

Inputs = Optional[Mapping[str, Preprocessing]]


@dataclass(frozen=True, eq=False)
class Fetched:
    """What an item's source holds of it.

    Attributes
    ----------
    data : bytes, numpy.ndarray or dict
        An image file; the pixels of a Datum; H x W x 3 uint8, blue first; or for each input of a
        net a file's bytes or an array.
    sha256 : str
        Of the data; of several image files, of their digests.
    shape : tuple, optional
        Channels, height and width, where the data are a Datum's pixels.
    true_label : int, optional
        The Datum's.
    is_datum : bool
    """

    data: Union[bytes, "np.ndarray", Dict[str, Any]]
    sha256: str
    shape: Optional[Tuple[int, ...]] = None
    true_label: Optional[int] = None
    is_datum: bool = False

    @property
    def file(self) -> Optional[bytes]:
        """The bytes of an image file that is to be shown upright, if the data are that."""
        return self.data if isinstance(self.data, bytes) and not self.is_datum else None


def read_image(item: Item, inputs: Inputs = None) -> Image:
    """An item's image, H x W x 3 uint8 with blue first, or one for each input; raises
    InputError. The inputs are those of :func:`decode`."""
    return decode(item, fetch(item), inputs)


def fetch(item: Item) -> Fetched:
    """Read an item's bytes; raises InputError where they cannot be read."""
    if item.error is not None:
        raise InputError(item.error, item.path)
    if item.input_paths or isinstance(item.image, dict):
        return _fetched_inputs(item)
    if item.image is not None:
        return _fetched(item.image)
    if item.position is None:
        return _fetched(storage.read(item.path, limit=MOST_BYTES))
    assert item.archive is not None
    kind, *position = item.position
    if kind == "lmdb":
        return _from_lmdb(item, item.archive, *position)
    if kind == "page":
        return _fetched(clip_files.picture(item.archive, *position))
    if kind == "hdf5":
        return _fetched(hdf5.read(item.archive, *position))
    offset, size = position
    return _fetched(storage.read(item.archive, offset, size, MOST_BYTES))


def _fetched_inputs(item: Item) -> Fetched:
    files: Dict[str, Any] = {}
    for blob, text in item.input_paths:
        is_value = text.startswith(TEXT) or array_files.is_number(text)
        files[blob] = os.fsencode(text) if is_value else storage.read(
            array_files.split(text)[0], limit=MOST_BYTES)
    files.update(item.image or {})
    digests = "".join(_fetched(data).sha256 for data in files.values())
    return Fetched(files, hashlib.sha256(digests.encode("ascii")).hexdigest())


def _fetched(data: Union[bytes, "np.ndarray"]) -> Fetched:
    content = data if isinstance(data, bytes) else data.tobytes()
    return Fetched(data, hashlib.sha256(content).hexdigest())


def decode(item: Item, fetched: Fetched, inputs: Inputs = None) -> Image:
    """The image in what was fetched.

    Parameters
    ----------
    item : Item
    fetched : Fetched
    inputs : dict, optional
        Picture -> Preprocessing, by which files are read; the first one's for an image that is for
        all inputs.

    Returns
    -------
    numpy.ndarray or dict
        H x W x 3 uint8, blue first; of an item with images for several inputs, input blob -> such
        an array. Of a Datum just the pixels that Caffe's Data layer sees: its encoded images are
        decoded as they are, whatever their EXIF tags say of their orientation.

    Raises
    ------
    InputError
        Damaged, not an image, or larger than ``MOST_PIXELS``.
    """
    if isinstance(fetched.data, dict):
        paths = dict(item.input_paths)
        return {blob: data if isinstance(data, np.ndarray) else _decoded(
            data, paths.get(blob, f"{item.path}, input {blob}"), inputs, blob)
            for blob, data in fetched.data.items()}
    if isinstance(fetched.data, np.ndarray):
        return fetched.data if item.position is None or item.position[0] != "page" else (
            image_values.to_uint8(fetched.data, item.path, _value_range(inputs)))
    if fetched.shape is None:
        return _decoded(fetched.data, item.path, inputs, upright=not fetched.is_datum)
    channels, height, width = fetched.shape
    count = len(fetched.data)
    if channels not in (1, 3) or not height * width or count != np.prod(fetched.shape):
        raise ImageError(f"{item.path}: a Datum of {channels}x{height}x{width} with {count} values "
                         "is not an image", item.path)
    pixels = np.frombuffer(fetched.data, np.uint8).reshape(fetched.shape)
    return np.ascontiguousarray(np.broadcast_to(
        pixels.transpose(1, 2, 0), (height, width, 3)))


def _value_range(inputs: Inputs) -> Optional[image_values.Range]:
    return next(iter(inputs.values())).value_range if inputs else None


def _decoded(data: bytes, path: str, inputs: Inputs, blob: Optional[str] = None,
             upright: bool = True) -> Any:
    """The image or the array in a file's bytes, as the input takes it; or a text."""
    if not inputs:
        return images.decode(data, path, upright)
    if blob is not None and blob not in inputs:
        is_text = path.startswith(TEXT)
        return path[len(TEXT):] if is_text else array_files.decode(data, path)
    values = inputs[next(iter(inputs)) if blob is None else blob]
    if values.channel_order == BANDS:
        return bands.decode(data, path, values)
    return images.decode(data, path, upright, values.value_range)


def cut(image: "np.ndarray", box: Sequence[float]) -> Tuple["np.ndarray", Tuple[int, int]]:
    """The part of an image in a box, and its left and upper edge.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3.
    box : sequence of float
        x, y, width, height in pixels; what lies outside is left out.

    Raises
    ------
    ImageError
        Nothing lies inside.
    """
    left, top = (max(0, int(round(edge))) for edge in box[:2])
    right, bottom = (int(round(start + length)) for start, length in zip(box[:2], box[2:]))
    part = image[top:max(bottom, 0), left:max(right, 0)]
    if not part.size:
        text = ",".join(f"{number:g}" for number in box)
        raise ImageError(f"the box {text} lies outside the image of "
                         f"{image.shape[0]}x{image.shape[1]}")
    return np.ascontiguousarray(part), (left, top)


def _from_lmdb(item: Item, archive: str, key: str) -> Fetched:
    from prototxt_tools.net import schema

    value = lmdb.read(archive, bytes.fromhex(key))
    if value is None:
        raise InputError(f"{item.path}: no longer in the LMDB", item.path)
    datum = schema.new("Datum")
    try:
        datum.ParseFromString(value)
    except Exception:  # protobuf's DecodeError, whose module differs between versions
        raise ImageError(f"{item.path}: not a Datum of Caffe", item.path) from None
    data = datum.data if datum.data else _to_bytes(datum.float_data, item.path)
    shape = None if datum.encoded else (datum.channels, datum.height, datum.width)
    label = datum.label if datum.HasField("label") else None
    return Fetched(data, hashlib.sha256(data).hexdigest(), shape, label, True)


def _to_bytes(values: Sequence[float], path: str) -> bytes:
    """float_data as bytes, where they are pixels."""
    numbers = np.array(values, np.float64)
    data = numbers.astype(np.uint8)
    if (data != numbers).any():
        raise ImageError(f"{path}: its float_data are not pixel values from 0 to 255", path)
    return data.tobytes()
