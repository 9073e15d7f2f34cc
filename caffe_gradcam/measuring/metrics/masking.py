"""Average drop and increase in confidence: what is left of the class when only the map is shown?

Chattopadhyay, Sarkar, Howlader and Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual
Explanations for Deep Convolutional Networks", WACV 2018, section 4.1.
"""

import numpy as np


def shown_through(blob, heat, baseline=None):
    """The picture where the map is hot, fading to the baseline where it is cold.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    heat : numpy.ndarray
        h x w in [0, 1].
    baseline : numpy.ndarray, optional
        C x h x w; the mean picture, zeros, by default.

    Returns
    -------
    numpy.ndarray
        C x h x w float32: ``heat * blob + (1 - heat) * baseline``.
    """
    heat = np.float32(heat)
    return heat * blob if baseline is None else heat * blob + (1 - heat) * baseline


def drops(before, after):
    """How much of each value is lost: ``max(0, y - o) / y``. Their mean is the average drop.

    Parameters
    ----------
    before, after : array_like
        N values of whole pictures (y), and of what :func:`shown_through` leaves of them (o).

    Returns
    -------
    numpy.ndarray
        N float64 in [0, 1]; NaN where a value was not positive, since no part of it can be lost.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.clip((before - after) / before, 0, 1)
    return np.where(before > 0, lost, np.nan)


def increases(before, after):
    """1 where a value rose, 0 elsewhere. Their mean is the increase in confidence.

    Parameters and result as for :func:`drops`, without its NaN.
    """
    return (np.asarray(after) > np.asarray(before)).astype(np.float64)
