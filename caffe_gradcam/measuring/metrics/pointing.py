"""Does a map point into a box?

A box is ``(x, y, width, height)`` in pixels, like the map.
"""

from typing import Dict, Sequence, Tuple

import numpy as np

Box = Tuple[float, float, float, float]


def hits(heat: np.ndarray, boxes: Sequence[Box], tolerance: float = 0) -> bool:
    """The pointing game: whether the hottest pixel lies in one of the boxes.

    Zhang, Lin, Brandt, Shen and Sclaroff, "Top-down Neural Attention by Excitation Backprop",
    ECCV 2016, section 4.1; there the tolerance is 15 pixels.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W. The first of several equally hot pixels counts. A map without a positive value
        points nowhere, and misses.
    boxes : sequence of (float, float, float, float)
        The boxes of the class in question.
    tolerance : float
        A pixel counts as inside if its centre is at most this far, in pixels, from the centre of
        a pixel of a box.

    Returns
    -------
    bool
    """
    if heat.max() <= 0:
        return False
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return any(_distance(int(column), int(row), box) <= tolerance for box in boxes)


def energy_inside(heat: np.ndarray, boxes: Sequence[Box]) -> float:
    """The energy-based pointing game: the part of the heat that lies in the boxes.

    Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks",
    CVPR Workshops 2020, section 4.3.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W, not negative.
    boxes : sequence of (float, float, float, float)
        Heat in the overlap of two boxes counts once.

    Returns
    -------
    float
        In [0, 1]; 0 where there is no heat.
    """
    inside = np.zeros(heat.shape, bool)
    for x, y, width, height in boxes:
        inside[_covered(y, height, heat.shape[0]), _covered(x, width, heat.shape[1])] = True
    total = heat.sum(dtype=np.float64)
    return float(heat[inside].sum(dtype=np.float64) / total) if total > 0 else 0.0


def _covered(start: float, length: float, size: int) -> slice:
    """The part of an axis that a box covers."""
    edges = (int(round(start)), int(round(start + length)))
    return slice(*(min(max(edge, 0), size) for edge in edges))


def numbers_of(heat: np.ndarray, boxes: Sequence[Box], tolerance: float = 0) -> Dict[str, float]:
    """What :func:`hits` and :func:`energy_inside` give, by the names of their columns."""
    return {"pointing": float(hits(heat, boxes, tolerance)),
            "energy": energy_inside(heat, boxes)}


def _distance(column: int, row: int, box: Box) -> float:
    """The distance from a pixel to the nearest pixel of a box."""
    x, y, width, height = box
    across = max(x - column, column - (x + width - 1), 0)
    down = max(y - row, row - (y + height - 1), 0)
    return float(np.hypot(across, down))
