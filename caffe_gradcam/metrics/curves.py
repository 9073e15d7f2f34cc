"""Deletion and insertion: does the value follow the pixels that a map calls important?"""

from typing import Any, NamedTuple

import numpy as np

STEPS = 20
# The blur's standard deviation over the short side: nothing as large as an object stays readable.
BLUR = 1 / 20.0


class Curve(NamedTuple):
    """Values of a class along a change of the picture.

    Attributes
    ----------
    fractions : numpy.ndarray
        Of the pixels changed, from 0 to 1.
    values : numpy.ndarray
        float64, one per fraction.
    """

    fractions: Any
    values: Any

    @property
    def area(self):
        """Under the curve, by the trapezoid rule: the mean value on the way."""
        heights = (self.values[1:] + self.values[:-1]) / 2
        return float(np.dot(heights, np.diff(self.fractions)))


def deletion(blob, heat, net, baseline=None, steps=STEPS, seed=0):
    """Take the hottest pixels away, step by step. A good map makes the value fall at once.

    Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models",
    BMVC 2018, section 4.2 and algorithm 1.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    net : callable
        N x C x h x w -> N values.
    baseline : numpy.ndarray, optional
        C x h x w, what stands where a pixel was; the mean picture, zeros, by default.
    steps : int
        The curve has one point more; each step takes the same number of pixels, give or take one.
    seed : int
        Of the order of pixels that are equally hot.

    Returns
    -------
    Curve
        The smaller its area, the better.
    """
    gone = np.zeros_like(blob) if baseline is None else baseline
    return _change(blob, gone, heat, net, steps, seed)


def insertion(blob, heat, net, baseline=None, steps=STEPS, seed=0):
    """Bring the hottest pixels into a blurred picture. A good map makes the value rise at once.

    Source and parameters as for :func:`deletion`; the baseline is the picture :func:`blurred` by
    default. A blurred picture has none of the sharp edges that a grey one would get.

    Returns
    -------
    Curve
        The larger its area, the better.
    """
    start = blurred(blob) if baseline is None else baseline
    return _change(start, blob, heat, net, steps, seed)


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


def _change(start, end, heat, net, steps, seed):
    order = hottest_first(heat, seed)
    fractions = np.arange(steps + 1) / float(steps)
    blobs = [np.where(first(order, one, heat.shape), end, start) for one in fractions]
    return Curve(fractions, np.asarray(net(np.stack(blobs)), np.float64))
