"""Pixel values of other kinds than 0..255 -> uint8, by one rule for all kinds of images.

With a value range, its low end becomes 0 and its high end 255. Without one, 16-bit values have the
range 0..65535, or 0..4095 where none is higher (12 bits, as cameras of microscopes and X-ray
machines store them; that is a warning), and all others must be 0..255 already. 8-bit values stay as
they are in any case.
"""

import logging
from typing import Optional, Tuple

import numpy as np

from prototxt_tools.errors import ImageError

Range = Tuple[float, float]

_TWELVE_BITS, _SIXTEEN_BITS = 4095, 65535

_logger = logging.getLogger(__name__)


def to_uint8(image: np.ndarray, path: str, value_range: Optional[Range] = None) -> np.ndarray:
    """An image's values as uint8.

    Parameters
    ----------
    image : numpy.ndarray
        Of any shape; of integers or floats.
    path : str
        What messages call the image.
    value_range : (float, float), optional
        The values that become 0 and 255.

    Raises
    ------
    ImageError
        Values that are not finite, not numbers, or outside the range; the message tells how to
        scale them.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind not in "uif" or not image.size:
        raise ImageError(f"{path}: holds {image.dtype} pixels; convert it to 8 or 16 bits per "
                         "channel", path)
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{path}: holds NaN or infinity", path)
    if value_range is None:
        value_range = _range_of(image.dtype, low, high, path)
    if low < value_range[0] or high > value_range[1]:
        raise ImageError(f"{path}: values from {low:g} to {high:g} are outside the range of "
                         f"{value_range[0]:g} to {value_range[1]:g}; give --value-range LOW,HIGH",
                         path)
    return _scaled(image, value_range)


def _range_of(dtype: np.dtype, low: float, high: float, path: str) -> Range:
    """The range of values for which none was given."""
    if dtype == np.uint16:
        if not 0 < high <= _TWELVE_BITS:
            return 0, _SIXTEEN_BITS
        _logger.warning(
            "%s: 16-bit values up to %d only, taken as 12 bits (0 to %d); --value-range %s",
            path, high, _TWELVE_BITS, f"0,{_SIXTEEN_BITS} shows them as dark as they are")
        return 0, _TWELVE_BITS
    if low < 0 or high > 255 or (dtype.kind == "f" and 0 < high <= 1):
        advice = "0,1" if 0 <= low and high <= 1 else f"{low:g},{high:g}"
        raise ImageError(f"{path}: {dtype} values from {low:g} to {high:g}, where 0 to 255 are "
                         f"expected; give --value-range LOW,HIGH, for example {advice}", path)
    return 0, 255


def _scaled(image: np.ndarray, value_range: Range) -> np.ndarray:
    """Row by row, since the larger numbers of a large image would fill the memory."""
    low, high = value_range
    scaled = np.empty(image.shape, np.uint8)
    for row, source in zip(scaled, image):
        row[...] = np.floor((source.astype(np.float64) - low) * (255 / (high - low)) + 0.5)
    return scaled
