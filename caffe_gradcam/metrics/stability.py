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


def sensitivity(blob, heat, explain, radius=RADIUS, samples=SAMPLES, seed=0):
    """Explain noisy copies of a picture, and compare.

    Yeh, Hsieh, Suggala, Inouye and Ravikumar, "On the (In)fidelity and Sensitivity of
    Explanations", NeurIPS 2019, definition 2 (maximum sensitivity), estimated from samples; both
    numbers are divided by the norm of the map, so that methods can be compared.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    explain : callable
        N x C x h x w -> N x h x w, the heat of each for the same question.
    radius : float
        The noise is uniform within plus and minus this part of the blob's range.
    samples : int
    seed : int

    Returns
    -------
    Sensitivity
    """
    reach = radius * float(blob.max() - blob.min())
    noise = np.random.RandomState(seed).uniform(-reach, reach, (samples,) + blob.shape)
    heats = np.asarray(explain(np.float32(blob + noise)), np.float64)
    norm = np.linalg.norm(heat)
    if norm == 0:
        return Sensitivity(np.nan, np.nan)
    moved = np.linalg.norm((heats - heat).reshape(samples, -1), axis=1) / norm
    return Sensitivity(float(moved.max()), float(moved.mean()))
