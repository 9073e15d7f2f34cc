"""Does a map point into a box?

A box is ``(x, y, width, height)`` in pixels, like the map.
"""

import numpy as np


def hits(heat, boxes, tolerance=0):
    """The pointing game: whether the hottest pixel lies in one of the boxes.

    Zhang, Lin, Brandt, Shen and Sclaroff, "Top-down Neural Attention by Excitation Backprop",
    ECCV 2016, section 4.1; there the tolerance is 15 pixels.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W. Of equally hot pixels the first counts. A map without anything positive points
        nowhere, and misses.
    boxes : sequence of (float, float, float, float)
        Of the class in question.
    tolerance : float
        A pixel whose centre is so near to a box's pixels (their centres) counts as inside.

    Returns
    -------
    bool
    """
    if heat.max() <= 0:
        return False
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return any(_distance(column, row, box) <= tolerance for box in boxes)


def energy_inside(heat, boxes):
    """The energy-based pointing game: which part of the heat lies in the boxes.

    Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks",
    CVPR Workshops 2020, section 4.3.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W, not negative.
    boxes : sequence of (float, float, float, float)
        What lies in two of them counts once.

    Returns
    -------
    float
        In [0, 1]; 0 where there is no heat.
    """
    inside = np.zeros(heat.shape, bool)
    for x, y, width, height in boxes:
        top, left = max(int(round(y)), 0), max(int(round(x)), 0)
        inside[top:max(int(round(y + height)), 0), left:max(int(round(x + width)), 0)] = True
    total = heat.sum(dtype=np.float64)
    return float(heat[inside].sum(dtype=np.float64) / total) if total > 0 else 0.0


def _distance(column, row, box):
    """From a pixel to the nearest pixel of a box."""
    x, y, width, height = box
    across = max(x - column, column - (x + width - 1), 0)
    down = max(y - row, row - (y + height - 1), 0)
    return float(np.hypot(across, down))
