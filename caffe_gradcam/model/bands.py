"""Pictures whose channels are no colours, and signals: arrays of any number of channels."""

from typing import List, Optional

import numpy as np

from caffe_gradcam.model import array_files
from caffe_gradcam.model.preprocess import Preprocessing
from prototxt_tools.errors import ImageError


def decode(data: bytes, name: str, values: Preprocessing) -> np.ndarray:
    """The picture in a file's bytes; see ``array_files.decode`` and :func:`as_bands`."""
    return as_bands(array_files.decode(data, name), values, name)


def as_bands(array: np.ndarray, values: Preprocessing, name: str) -> np.ndarray:
    """An array as H x W x C.

    Parameters
    ----------
    array : numpy.ndarray
        H x W x C or C x H x W; of one channel also H x W; of a signal of W samples also C x W,
        W x C, or W where it has one channel. Axes of size 1 in front do no harm.
    values : Preprocessing
        Of the input.
    name : str
        What messages call the array.

    Returns
    -------
    numpy.ndarray
        H x W x C, of the same type, or float32 where a value range scales it to 0..255.

    Raises
    ------
    ImageError
        Another number of channels, or values that are no finite numbers.
    """
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ImageError(f"{name}: holds {array.dtype} with NaN or infinity, or no numbers", name)
    orders = _orders(array, values)
    if not orders:
        shape = " x ".join(map(str, array.shape)) or "one number"
        noun = "samples" if values.is_signal else "pixels"
        plural = "s" if values.channels > 1 else ""
        raise ImageError(f"{name}: {shape}, where the net takes {noun} of {values.channels} "
                         f"channel{plural}", name)
    # Where both readings are possible, the one of the net's own size; else channels last.
    exact = [picture for picture in orders if picture.shape[:2] == tuple(values.size)]
    picture = (exact or orders)[0]
    if values.value_range is not None:
        low, high = values.value_range
        picture = np.float32((picture.astype(np.float64) - low) * (255 / (high - low)))
    return np.ascontiguousarray(picture)


def _orders(array: np.ndarray, values: Preprocessing) -> List[np.ndarray]:
    """The array as H x W x C, in each way in which its axes can be read."""
    channels = values.channels
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if values.is_signal:
        flat = array.reshape([size for size in array.shape if size > 1] or [1])
        line = _line(flat, channels)
        if line is None:
            return []
        return [line[np.newaxis] if values.size[0] == 1 else line[:, np.newaxis]]
    if array.ndim == 2 and channels == 1:
        return [array[:, :, np.newaxis]]
    if array.ndim != 3:
        return []
    last = [array] if array.shape[2] == channels else []
    return last + ([array.transpose(1, 2, 0)] if array.shape[0] == channels else [])


def _line(array: np.ndarray, channels: int) -> Optional[np.ndarray]:
    """Samples x channels."""
    if array.ndim == 1 and channels == 1:
        return array[:, np.newaxis]
    if array.ndim == 1 and array.size == channels:
        return array[np.newaxis]
    if array.ndim != 2 or channels not in array.shape:
        return None
    return array.T if array.shape[0] == channels else array


def as_colors(image: np.ndarray) -> np.ndarray:
    """A picture of any channels as one for people.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x C.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first: the first three channels, or the first one in grey; other
        types than uint8 are stretched over 0..255.
    """
    shown = image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, axis=2)
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    low, high = float(shown.min()), float(shown.max())
    unit = (shown.astype(np.float64) - low) / ((high - low) or 1)
    return np.ascontiguousarray(np.round(255 * unit).astype(np.uint8))
