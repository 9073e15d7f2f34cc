"""Plots of curves: the value of a class while pixels are changed."""

import itertools
from dataclasses import dataclass
from typing import List, Sequence

import numpy as np

from caffe_gradcam.pictures.render import text

# The best curves that are drawn; more could not be told apart.
MOST = 8
WIDTH, HEIGHT = 900, 520
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 60, 600, 460  # the frame
_GRID, _AXIS = (225, 225, 225), (120, 120, 120)
_BASELINES = ((110, 110, 110), (180, 180, 180))
# Blue first; distinguishable without seeing red and green apart (Okabe and Ito, 2008).
_COLOURS = ((178, 114, 0), (0, 94, 213), (115, 158, 0), (167, 121, 204), (0, 159, 230),
            (233, 180, 86), (66, 228, 240), (0, 0, 0))
_FINER = 16  # OpenCV's fixed-point coordinates


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes
    ----------
    name : str
    values : sequence of float
        At equal steps from 0 to 1.
    area : float
    baseline : bool
        Drawn in grey.
    """

    name: str
    values: Sequence[float]
    area: float
    baseline: bool = False


def plot(title: str, lines: Sequence[Line], better: str,
         unit: str = "probability of the class") -> np.ndarray:
    """Draw curves.

    Parameters
    ----------
    title : str
    lines : sequence of Line
        The ``MOST`` best and all baselines are drawn.
    better : str
        "high" or "low": which area is good.
    unit : str
        What the values are.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first.
    """
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    values = [value for line in lines for value in line.values]
    low, high = min(0.0, min(values)), max(1.0, max(values))
    _frame(canvas, low, high)
    text.write(canvas, text.drawable(title), (_LEFT, 34), text.TITLE)
    text.write(canvas, "fraction of the pixels; up: " + unit, (_LEFT, _BOTTOM + 44), text.NOTE)
    text.write(canvas, "area", (_RIGHT + 24, _TOP), text.NOTE)
    colours, greys = iter(_COLOURS), itertools.cycle(_BASELINES)
    for rank, line in enumerate(_chosen(lines, better)):
        colour = next(greys if line.baseline else colours)
        across = np.linspace(_LEFT, _RIGHT, len(line.values))
        up = _BOTTOM - (np.array(line.values) - low) / (high - low) * (_BOTTOM - _TOP)
        _curve(canvas, np.stack([across, up], axis=1), colour)
        _legend(canvas, _TOP + 24 + 24 * rank, f"{line.area:.3f}  {line.name}", colour)
    return canvas


def _curve(canvas: np.ndarray, points: np.ndarray, colour: Sequence[float]) -> None:
    """Draw a curve through points (n x 2, in pixels)."""
    import cv2

    fixed = np.rint(points * _FINER).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, colour, 2, cv2.LINE_AA, 4)


def _legend(canvas: np.ndarray, y: int, label: str, colour: Sequence[float]) -> None:
    import cv2

    cv2.line(canvas, (_RIGHT + 24, y - 4), (_RIGHT + 44, y - 4), colour, 3, cv2.LINE_AA)
    room = WIDTH - _RIGHT - 60
    text.write(canvas, text.cut(text.drawable(label), room, text.CAPTION, text.width),
               (_RIGHT + 52, y), text.CAPTION)


def _chosen(lines: Sequence[Line], better: str) -> List[Line]:
    """The best lines, then the baselines."""
    sign = -1 if better == "high" else 1
    best = sorted((line for line in lines if not line.baseline),
                  key=lambda line: sign * line.area)
    return best[:MOST] + [line for line in lines if line.baseline]


def _frame(canvas: np.ndarray, low: float, high: float) -> None:
    import cv2

    for part in range(5):
        x = _LEFT + (_RIGHT - _LEFT) * part // 4
        y = _BOTTOM - (_BOTTOM - _TOP) * part // 4
        cv2.line(canvas, (x, _TOP), (x, _BOTTOM), _GRID, 1)
        cv2.line(canvas, (_LEFT, y), (_RIGHT, y), _GRID, 1)
        for value, origin in ((part / 4.0, (x - 10, _BOTTOM + 20)),
                              (low + (high - low) * part / 4.0, (_LEFT - 44, y + 4))):
            text.write(canvas, f"{value:.3g}", origin, text.TICK)
    cv2.rectangle(canvas, (_LEFT, _TOP), (_RIGHT, _BOTTOM), _AXIS, 1)
