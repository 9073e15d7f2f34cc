"""Average drop and increase in confidence: how much of the class remains where the map is hot?

Chattopadhyay, Sarkar, Howlader and Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual
Explanations for Deep Convolutional Networks", WACV 2018, section 4.1.
"""

from typing import Any, Optional

import numpy as np


def shown_through(
    blob: np.ndarray, heat: np.ndarray, baseline: Optional[np.ndarray] = None
) -> np.ndarray:
    """The image where the map is hot, fading into the baseline where it is cold.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    heat : numpy.ndarray
        h x w in [0, 1].
    baseline : numpy.ndarray, optional
        C x h x w; by default the mean image, which is zeros.

    Returns
    -------
    numpy.ndarray
        C x h x w float32: ``heat * blob + (1 - heat) * baseline``.
    """
    heat = heat.astype(np.float32)
    return heat * blob if baseline is None else heat * blob + (1 - heat) * baseline


def drops(before: Any, after: Any) -> np.ndarray:
    """The part of each value that is lost, ``max(0, y - o) / y``; the mean is the average drop.

    Parameters
    ----------
    before, after : array_like
        N values of whole images (y), and of what :func:`shown_through` leaves of them (o).

    Returns
    -------
    numpy.ndarray
        N float64 in [0, 1]; NaN where a value was not positive, so that no part of it can be lost.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.clip((before - after) / before, 0, 1)
    return np.where(before > 0, lost, np.nan)


def increases(before: Any, after: Any) -> np.ndarray:
    """1 where a value rose, 0 elsewhere; the mean is the increase in confidence.

    Parameters and result as for :func:`drops`, but never NaN.
    """
    return (np.asarray(after) > np.asarray(before)).astype(np.float64)
