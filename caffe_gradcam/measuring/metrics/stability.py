"""Does a map stay, when the picture changes by less than anybody sees?"""

from typing import NamedTuple

import numpy as np

RADIUS = 0.02  # of the picture's range
SAMPLES = 10


class Sensitivity(NamedTuple):
    """How far a map moves, relative to its own norm; 0 is a map that stays.

    Attributes
    ----------
    largest, mean : float
        Over the noisy pictures; NaN for a map of zeros.
    """

    largest: float
    mean: float


def noisy(blob, radius=RADIUS, samples=SAMPLES, seed=0):
    """Copies of a picture with uniform noise.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    radius : float
        The noise goes up to plus and minus this part of the blob's range.
    samples : int
    seed : int

    Returns
    -------
    numpy.ndarray
        N x C x h x w float32.
    """
    reach = radius * float(blob.max() - blob.min())
    noise = np.random.RandomState(seed).uniform(-reach, reach, (samples,) + blob.shape)
    return np.float32(blob + noise)


def sensitivity(heat, heats):
    """How far the maps of noisy copies are from that of the picture.

    Yeh, Hsieh, Suggala, Inouye and Ravikumar, "On the (In)fidelity and Sensitivity of
    Explanations", NeurIPS 2019, definition 2 (maximum sensitivity), estimated from samples; both
    numbers are divided by the norm of the map, so that methods can be compared.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    heats : numpy.ndarray
        N x h x w, of :func:`noisy` copies and the same question.

    Returns
    -------
    Sensitivity
    """
    norm = np.linalg.norm(heat)
    if norm == 0:
        return Sensitivity(np.nan, np.nan)
    away = np.asarray(heats, np.float64) - heat
    moved = np.linalg.norm(away.reshape(len(away), -1), axis=1) / norm
    return Sensitivity(float(moved.max()), float(moved.mean()))
