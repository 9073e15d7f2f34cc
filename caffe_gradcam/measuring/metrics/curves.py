"""Deletion and insertion: does the value follow the pixels that a map calls important?

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
BMVC 2018, section 4.2 and algorithm 1.
"""

import numpy as np

STEPS = 20
# The blur's standard deviation over the short side: nothing as large as an object stays readable.
BLUR = 1 / 20.0


def deletion(blob, heat, baseline=None, steps=STEPS, seed=0):
    """Take the hottest pixels away, step by step. A good map makes the value fall at once.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    baseline : numpy.ndarray, optional
        C x h x w, what stands where a pixel was; the mean picture, zeros, by default.
    steps : int
        Each takes the same number of pixels, give or take one.
    seed : int
        Of the order of pixels that are equally hot.

    Yields
    ------
    numpy.ndarray
        ``steps + 1`` blobs, the first as it was. The smaller the :func:`area` under the values
        that a net gives them, the better the map.
    """
    gone = np.zeros_like(blob) if baseline is None else baseline
    return _change(blob, gone, heat, steps, seed)


def insertion(blob, heat, baseline=None, steps=STEPS, seed=0):
    """Bring the hottest pixels into a blurred picture. A good map makes the value rise at once.

    Parameters as for :func:`deletion`; the baseline is the picture :func:`blurred` by default,
    which has none of the sharp edges that pixels on a grey one would get.

    Yields
    ------
    numpy.ndarray
        ``steps + 1`` blobs, the last as it was. The larger the :func:`area` under the values that
        a net gives them, the better the map.
    """
    start = blurred(blob) if baseline is None else baseline
    return _change(start, blob, heat, steps, seed)


def area(values):
    """Under a curve of values at equal steps from 0 to 1, by the trapezoid rule."""
    values = np.asarray(values, np.float64)
    return float((values[1:] + values[:-1]).mean() / 2)


def blurred(blob):
    """A blob (C x h x w) through a Gaussian whose deviation is ``BLUR`` of its short side."""
    import cv2

    sigma = max(BLUR * min(blob.shape[1:]), 0.5)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in blob])


def hottest_first(heat, seed=0):
    """Indices of the flat pixels from hot to cold; equals come in a random order.

    Maps have wide flat parts, where nothing speaks for the class. The order of reading would take
    those from the top of the picture down.

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


def first(order, fraction, shape):
    """A mask (h x w bool) of the first pixels of an order: ``fraction`` of all, to the nearest."""
    mask = np.zeros(order.size, bool)
    mask[order[:int(round(fraction * order.size))]] = True
    return mask.reshape(shape)


def _change(start, end, heat, steps, seed):
    order = hottest_first(heat, seed)
    for step in range(steps + 1):
        yield np.where(first(order, step / float(steps), heat.shape), end, start)
