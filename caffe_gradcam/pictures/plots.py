"""Curves as pictures: what the value of a class does while pixels are changed."""

import itertools

import numpy as np

from caffe_gradcam.pictures.render import text

# The best of them; more lines than these are no picture.
MOST = 8
WIDTH, HEIGHT = 900, 520
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 60, 600, 460  # the frame
_GRID, _AXIS = (225, 225, 225), (120, 120, 120)
_BASELINES = ((110, 110, 110), (180, 180, 180))
# Blue first; told apart by people who see red and green alike (Okabe and Ito, 2008).
_COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230),
            (233, 180, 86), (66, 228, 240), (0, 0, 0))
_FINER = 16  # OpenCV's fixed-point places


class Line:
    """One curve.

    Parameters
    ----------
    name : str
    values : sequence of float
        At equal steps from 0 to 1.
    area : float
    baseline : bool
        Drawn in grey.
    """

    def __init__(self, name, values, area, baseline=False):
        self.name, self.values, self.area, self.baseline = name, list(values), area, baseline


def plot(title, lines, better, unit="probability of the class"):
    """Draw curves.

    Parameters
    ----------
    title : str
    lines : list of Line
        The ``MOST`` best and all baselines are drawn.
    better : str
        "high" or "low": which area is good.
    unit : str
        Of the values.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first.
    """
    import cv2

    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    chosen = _chosen(lines, better)
    everything = [value for one in lines for value in one.values]
    low, high = min(0.0, min(everything)), max(1.0, max(everything))
    _frame(canvas, low, high)
    text.write(canvas, text.to_ascii(title), (_LEFT, 34), text.TITLE)
    text.write(canvas, "part of the pixels; up: " + unit, (_LEFT, _BOTTOM + 44), text.NOTE)
    text.write(canvas, "area", (_RIGHT + 24, _TOP), text.NOTE)
    colours, greys = iter(_COLOURS), itertools.cycle(_BASELINES)
    for rank, one in enumerate(chosen):
        colour = next(greys if one.baseline else colours)
        across = np.linspace(_LEFT, _RIGHT, len(one.values))
        up = _BOTTOM - (np.array(one.values) - low) / (high - low) * (_BOTTOM - _TOP)
        points = np.rint(np.stack([across, up], axis=1) * _FINER).astype(np.int32)
        cv2.polylines(canvas, [points], False, colour, 2, cv2.LINE_AA, 4)
        y = _TOP + 24 + 24 * rank
        cv2.line(canvas, (_RIGHT + 24, y - 4), (_RIGHT + 44, y - 4), colour, 3, cv2.LINE_AA)
        label = f"{one.area:.3f}  {one.name}"
        room = WIDTH - _RIGHT - 60
        text.write(canvas, text.cut(text.to_ascii(label), room, text.CAPTION, text.width),
                   (_RIGHT + 52, y), text.CAPTION)
    return canvas


def _chosen(lines, better):
    """The best lines, then the baselines."""
    sign = -1 if better == "high" else 1
    best = sorted((one for one in lines if not one.baseline), key=lambda one: sign * one.area)
    return best[:MOST] + [one for one in lines if one.baseline]


def _frame(canvas, low, high):
    import cv2

    for part in range(5):
        x = _LEFT + (_RIGHT - _LEFT) * part // 4
        y = _BOTTOM - (_BOTTOM - _TOP) * part // 4
        cv2.line(canvas, (x, _TOP), (x, _BOTTOM), _GRID, 1)
        cv2.line(canvas, (_LEFT, y), (_RIGHT, y), _GRID, 1)
        for shown, place in ((part / 4.0, (x - 10, _BOTTOM + 20)),
                             (low + (high - low) * part / 4.0, (_LEFT - 44, y + 4))):
            text.write(canvas, f"{shown:.3g}", place, text.TICK)
    cv2.rectangle(canvas, (_LEFT, _TOP), (_RIGHT, _BOTTOM), _AXIS, 1)
