"""Deletion and insertion: does the value follow the pixels that a map marks as important?

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018, section 4.2 and algorithm 1.
"""

from typing import Any, Iterator, Optional, Tuple

import numpy as np

STEPS = 20
# The blur's standard deviation, relative to the short side: no object remains recognisable.
BLUR = 1 / 20.0


def deletion(
    blob: np.ndarray,
    heat: np.ndarray,
    baseline: Optional[np.ndarray] = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Remove the hottest pixels step by step; with a good map, the value falls at once.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    baseline : numpy.ndarray, optional
        C x h x w: what replaces the removed pixels; by default the mean image, which is zeros.
    steps : int
        Each step removes the same number of pixels, to within one.
    seed : int
        For the order of pixels that are equally hot.

    Yields
    ------
    numpy.ndarray
        ``steps + 1`` blobs, of which the first is unchanged. The smaller the :func:`area` under
        the values that a net gives them, the better the map.
    """
    removed = np.zeros_like(blob) if baseline is None else baseline
    return _change(blob, removed, heat, steps, seed)


def insertion(
    blob: np.ndarray,
    heat: np.ndarray,
    baseline: Optional[np.ndarray] = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Insert the hottest pixels into a blurred image; with a good map, the value rises at once.

    Parameters as for :func:`deletion`; by default the baseline is the image :func:`blurred`, in
    which inserted pixels create no sharp edges, as they would on a grey one.

    Yields
    ------
    numpy.ndarray
        ``steps + 1`` blobs, of which the last is unchanged. The larger the :func:`area` under the
        values that a net gives them, the better the map.
    """
    start = blurred(blob) if baseline is None else baseline
    return _change(start, blob, heat, steps, seed)


def area(values: Any) -> float:
    """The area under values at equal steps from 0 to 1, by the trapezoid rule."""
    values = np.asarray(values, np.float64)
    return float((values[1:] + values[:-1]).mean() / 2)


def blurred(blob: np.ndarray) -> np.ndarray:
    """A blob (C x h x w) blurred with a standard deviation of ``BLUR`` times its short side."""
    import cv2

    sigma = max(BLUR * min(blob.shape[1:]), 0.5)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in blob])


def hottest_first(heat: np.ndarray, seed: int = 0) -> np.ndarray:
    """Flat indices of the pixels from hot to cold; equally hot pixels come in a random order.

    Maps have large uniform areas where nothing speaks for the class. Row-major order would take
    those from the top of the image down.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    seed : int

    Returns
    -------
    numpy.ndarray
        h * w integers.
    """
    shuffled = np.random.RandomState(seed).permutation(heat.size)
    return shuffled[np.argsort(-heat.ravel()[shuffled], kind="mergesort")]


def first(order: np.ndarray, fraction: float, shape: Tuple[int, ...]) -> np.ndarray:
    """A mask (h x w bool) of the first ``fraction`` of the pixels in an order, rounded."""
    mask = np.zeros(order.size, bool)
    mask[order[:int(round(fraction * order.size))]] = True
    return mask.reshape(shape)


def _change(
    start: np.ndarray, end: np.ndarray, heat: np.ndarray, steps: int, seed: int
) -> Iterator[np.ndarray]:
    order = hottest_first(heat, seed)
    for step in range(steps + 1):
        yield np.where(first(order, step / float(steps), heat.shape), end, start)
