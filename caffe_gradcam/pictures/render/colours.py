"""Colour maps: heat to colour, by table."""

import difflib
import functools
from typing import Any, NamedTuple

import numpy as np

from prototxt_tools.errors import InputError

DEFAULT = "jet"
# For maps with a sign: the colours of -1, -1/2, 0, 1/2 and 1, blue first.
_SIGNED = {
    "blue-white-red": (
        (130, 40, 10), (225, 145, 70), (255, 255, 255), (85, 120, 240), (20, 0, 150),
    ),
    "purple-white-green": (
        (95, 20, 80), (195, 130, 165), (255, 255, 255), (115, 190, 100), (30, 80, 0),
    ),
}
_NEAR = 3


class ColourMap(NamedTuple):
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
    table: Any
    signed: bool

    def clip(self, heatmap):
        """The heat that the table can show: float32, beyond its ends the ends."""
        return np.clip(np.float32(heatmap), -1 if self.signed else 0, 1)


def colour_map_names():
    """Every name that :func:`colour_map` knows: OpenCV's in lower case, and the signed ones."""
    import cv2

    prefix = "COLORMAP_"
    found = (name[len(prefix):].lower() for name in dir(cv2) if name.startswith(prefix))
    return sorted(found) + sorted(_SIGNED)


def is_signed(name):
    """Whether a name is that of a colour map for heat from -1 to 1."""
    return name.lower() in _SIGNED


@functools.lru_cache(maxsize=None)
def colour_map(name):
    """Find a colour map.

    Parameters
    ----------
    name : str
        One of OpenCV's ``COLORMAP_*``, as "jet" or "viridis", or one of ours for signed maps,
        "blue-white-red" or "purple-white-green"; case does not count.

    Returns
    -------
    ColourMap

    Raises
    ------
    InputError
        There is none of that name; near names are suggested.
    """
    import cv2

    known, wanted = colour_map_names(), name.lower()
    if is_signed(wanted):
        ends = np.linspace(-1, 1, len(_SIGNED[wanted]))
        levels = np.linspace(-1, 1, 255)
        channels = [np.interp(levels, ends, one) for one in zip(*_SIGNED[wanted])]
        return ColourMap(wanted, np.uint8(np.rint(np.stack(channels, axis=1))), True)
    if wanted in known:
        code = getattr(cv2, "COLORMAP_" + wanted.upper())
        levels = np.arange(256, dtype=np.uint8).reshape(1, 256)
        return ColourMap(wanted, cv2.applyColorMap(levels, code)[0], False)
    near = difflib.get_close_matches(wanted, known, _NEAR, 0.5)
    hint = "; near: " + ", ".join(near) if near else "; for example jet, viridis, blue-white-red"
    raise InputError(f"there is no colour map {name!r}{hint}")


def colours(heatmap, colour_map_name=DEFAULT):
    """Paint a heatmap.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W float32; heat beyond the colour map's range is painted as its end.
    colour_map_name : str
        See :func:`colour_map`. It says what the heat's range is: -1 to 1 for a signed map, 0 to
        1 for the others.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first.
    """
    chosen = colour_map(colour_map_name)
    heat = chosen.clip(heatmap)
    levels = 127 + heat * 127 if chosen.signed else heat * 255
    return chosen.table[np.uint8(np.rint(levels))]
