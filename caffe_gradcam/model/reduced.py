"""Large JPEGs decoded at a half, a quarter or an eighth of their size, where a net needs no more.

libjpeg then computes fewer cosines of each block. Each pixel is more or less the mean of a square
of pixels, where ``cv2.resize`` would take the four nearest ones; so the net sees other pixels.
"""

import dataclasses
from typing import Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.model import images, jpegs
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.preprocess import (
    BANDS,
    NO_ARRAYS,
    Prepared,
    Preprocessing,
    prepare,
    warped_size,
)

FACTORS = 8, 4, 2
# OpenCV mirrors and turns a picture by its EXIF orientation: whether its left and its upper edge
# are then what was the right or lower edge of the file's.
_FROM_RIGHT, _FROM_BELOW = (2, 3, 6, 7), (3, 4, 7, 8)


def prepared(data: bytes, path: str, inputs: Mapping[str, Preprocessing],
             arrays: Mapping[str, ArrayInput] = NO_ARRAYS) -> Optional[Prepared]:
    """Prepare a JPEG that is decoded at reduced size.

    Parameters
    ----------
    data : bytes
        An image file.
    path : str
        What messages call it.
    inputs, arrays
        As for ``preprocess.prepare``.

    Returns
    -------
    Prepared or None
        Its geometries lie on the picture in full size. None where the file is to be decoded in
        full size: it is no JPEG of 8-bit colours or grey, is hardly larger than the net needs
        it, its input is not resized to a size of its own or takes no colours, or there are
        several inputs.

    Raises
    ------
    ImageError
        As ``images.decode`` and ``preprocess.prepare``.
    """
    header = jpegs.header(data)
    if header is None or not header.is_plain or len(inputs) != 1:
        return None
    (blob, preprocessing), = inputs.items()
    needed = None if preprocessing.channel_order == BANDS else warped_size(
        header.shown_size, preprocessing)
    factor = 1 if needed is None else _factor(header.shown_size, needed)
    if factor == 1:
        return None
    image = images.decode(data, path, factor=factor)
    if image.shape[:2] != _divided(header.shown_size, factor):
        return None
    result = prepare(image, {blob: dataclasses.replace(preprocessing, resize=needed)}, arrays)
    corner = _corner(header, image, factor)
    return dataclasses.replace(result, geometries={blob: [
        geometry.enlarged(factor).moved(header.shown_size, corner)
        for geometry in result.geometries[blob]]})


def _factor(size: Tuple[int, int], needed: Tuple[int, int]) -> int:
    """The largest factor by which a picture may be reduced before it is resized to what is
    needed, or 1."""
    return next((factor for factor in FACTORS if all(
        length >= least for length, least in zip(_divided(size, factor), needed))), 1)


def _divided(size: Tuple[int, int], factor: int) -> Tuple[int, int]:
    """The size of a reduced picture, whose last row and column may reach beyond the picture."""
    return -(-size[0] // factor), -(-size[1] // factor)


def _corner(header: jpegs.JpegHeader, image: np.ndarray, factor: int) -> Tuple[float, float]:
    """x and y where a reduced picture begins: before the picture, where what reaches beyond it
    has been turned there."""
    (height, width), (rows, columns) = header.shown_size, image.shape[:2]
    left = width - factor * columns if header.orientation in _FROM_RIGHT else 0
    top = height - factor * rows if header.orientation in _FROM_BELOW else 0
    return float(left), float(top)
