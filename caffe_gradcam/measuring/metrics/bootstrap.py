"""How sure a mean is, from the images at hand."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000


class Interval(NamedTuple):
    """A mean, and where it lies with a confidence of ``LEVEL``.

    Attributes
    ----------
    mean, low, high : float
        NaN without values; ``low`` and ``high`` also where all come from one image.
    count : int
        Of the values.
    """

    mean: float
    low: float
    high: float
    count: int


def interval(values, images=None, seed=0):
    """The mean of some values, with its percentile bootstrap interval.

    Images are drawn, with all their values: two questions about one picture are no two witnesses.
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. For a comparison
    of two methods give the differences of their values on the same images.

    Parameters
    ----------
    values : array_like
        N numbers; NaN is left out.
    images : array_like, optional
        N integers or names: which image each value is from; all different by default.
    seed : int

    Returns
    -------
    Interval
    """
    values = np.asarray(values, np.float64)
    images = np.arange(len(values)) if images is None else np.asarray(images)
    there = ~np.isnan(values)
    if not there.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    values = values[there]
    _, group = np.unique(images[there], return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    if len(counts) == 1:
        return Interval(float(values.mean()), np.nan, np.nan, len(values))
    drawn = _draws(len(counts), seed)
    means = np.dot(drawn, sums) / np.dot(drawn, counts)
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(values.mean()), float(low), float(high), len(values))


@lru_cache(maxsize=4)
def _draws(count, seed):
    """How often each of some things is drawn: RESAMPLES x count."""
    rng = np.random.RandomState(seed)
    return rng.multinomial(count, [1.0 / count] * count, size=RESAMPLES).astype(np.float64)
