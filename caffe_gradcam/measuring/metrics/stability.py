"""Does a map stay the same when the image changes imperceptibly?"""

from dataclasses import dataclass

import numpy as np

RADIUS = 0.02  # of the image's range
SAMPLES = 10


@dataclass(frozen=True)
class Sensitivity:
    """How far a map moves, relative to its own norm; 0 where it does not change.

    Attributes
    ----------
    largest, mean : float
        Over the noisy images; NaN for a map of zeros.
    """

    largest: float
    mean: float


def noisy(
    blob: np.ndarray, radius: float = RADIUS, samples: int = SAMPLES, seed: int = 0
) -> np.ndarray:
    """Copies of an image with uniform noise.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    radius : float
        The amplitude of the noise, relative to the blob's range.
    samples : int
    seed : int

    Returns
    -------
    numpy.ndarray
        N x C x h x w float32.
    """
    reach = radius * float(blob.max() - blob.min())
    noise = np.random.RandomState(seed).uniform(-reach, reach, (samples,) + blob.shape)
    return (blob + noise).astype(np.float32)


def sensitivity(heat: np.ndarray, heats: np.ndarray) -> Sensitivity:
    """How far the maps of noisy copies are from that of the image.

    Yeh, Hsieh, Suggala, Inouye and Ravikumar, "On the (In)fidelity and Sensitivity of
    Explanations", NeurIPS 2019, definition 2 (maximum sensitivity), estimated from samples; both
    numbers are divided by the norm of the map, so that methods can be compared.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    heats : numpy.ndarray
        N x h x w: the maps of :func:`noisy` copies, for the same question.

    Returns
    -------
    Sensitivity
    """
    norm = np.linalg.norm(heat)
    if norm == 0:
        return Sensitivity(np.nan, np.nan)
    differences = np.asarray(heats, np.float64) - heat
    distances = np.linalg.norm(differences.reshape(len(differences), -1), axis=1) / norm
    return Sensitivity(float(distances.max()), float(distances.mean()))
