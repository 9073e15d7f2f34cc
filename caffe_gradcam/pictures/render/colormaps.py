"""Colormaps: from heat to colour, by table."""

import functools
from dataclasses import dataclass
from typing import List

import numpy as np

from caffe_gradcam.model import choices

DEFAULT = "jet"
# For maps with a sign: the colours of -1, -1/2, 0, 1/2 and 1, blue first.
_SIGNED = {
    "blue-white-red": (
        (130, 40, 10), (225, 145, 70), (255, 255, 255), (85, 120, 240), (20, 0, 150),
    ),
    "purple-white-green": (
        (95, 20, 80), (195, 130, 165), (255, 255, 255), (115, 190, 100), (30, 80, 0),
    ),
    "black-grey-white": (
        (0, 0, 0), (64, 64, 64), (128, 128, 128), (192, 192, 192), (255, 255, 255),
    ),
}


@dataclass(frozen=True, eq=False)
class Colormap:
    """A table of colours.

    Attributes
    ----------
    name : str
    table : numpy.ndarray
        uint8, blue first: 256 x 3 for heat from 0 to 1, or 255 x 3 for heat from -1 to 1, so
        that 0 is exactly the colour in the middle.
    signed : bool
        Whether it is made for heat from -1 to 1.
    """

    name: str
    table: np.ndarray
    signed: bool

    def clip(self, heatmap: np.ndarray) -> np.ndarray:
        """The heat as float32, limited to the range of the table."""
        return np.clip(np.asarray(heatmap, np.float32), -1 if self.signed else 0, 1)


def colormap_names() -> List[str]:
    """Every name that :func:`colormap` accepts: OpenCV's in lower case, and the signed ones."""
    import cv2

    prefix = "COLORMAP_"
    names = (name[len(prefix):].lower() for name in dir(cv2) if name.startswith(prefix))
    return sorted(names) + sorted(_SIGNED)


def is_signed(name: str) -> bool:
    """Whether a name is that of a colormap for heat from -1 to 1."""
    return name.lower() in _SIGNED


@functools.lru_cache(maxsize=None)
def colormap(name: str) -> Colormap:
    """Find a colormap.

    Parameters
    ----------
    name : str
        One of OpenCV's ``COLORMAP_*``, such as "jet" or "viridis", or one of ours for signed
        maps, "blue-white-red" or "purple-white-green"; case does not matter.

    Returns
    -------
    Colormap

    Raises
    ------
    QuestionError
        There is no colormap of that name; similar names are suggested.
    """
    import cv2

    key = name.lower()
    choices.check([key], colormap_names(), "colormap")
    if is_signed(key):
        ends = np.linspace(-1, 1, len(_SIGNED[key]))
        levels = np.linspace(-1, 1, 255)
        channels = [np.interp(levels, ends, values) for values in zip(*_SIGNED[key])]
        return Colormap(key, np.rint(np.stack(channels, axis=1)).astype(np.uint8), True)
    code = getattr(cv2, "COLORMAP_" + key.upper())
    return Colormap(
        key, cv2.applyColorMap(np.arange(256, dtype=np.uint8).reshape(1, 256), code)[0], False)


def apply_colormap(heatmap: np.ndarray, name: str = DEFAULT) -> np.ndarray:
    """Paint a heatmap.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W float32; heat beyond the colormap's range is painted as the end of the range.
    name : str
        See :func:`colormap`. It decides the heat's range: -1 to 1 for a signed colormap, 0 to 1
        for the others.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first.
    """
    chosen = colormap(name)
    heat = chosen.clip(heatmap)
    levels = 127 + heat * 127 if chosen.signed else heat * 255
    return chosen.table[np.rint(levels).astype(np.uint8)]
