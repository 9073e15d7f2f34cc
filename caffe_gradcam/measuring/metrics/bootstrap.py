"""How certain a mean is, given the images that were measured."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Interval:
    """A mean, and the interval that holds it with a confidence of ``LEVEL``.

    Attributes
    ----------
    mean, low, high : float
        NaN without values; ``low`` and ``high`` also where all values come from one image.
    count : int
        The number of values.
    """

    mean: float
    low: float
    high: float
    count: int


def interval(values: Any, images: Optional[Any] = None, seed: int = 0) -> Interval:
    """The mean of some values, with its percentile bootstrap interval.

    Whole images are drawn, with all their values, since two questions about one image are not
    independent. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. To
    compare two methods, pass the differences of their values on the same images.

    Parameters
    ----------
    values : array_like
        N numbers; NaN is left out.
    images : array_like, optional
        N integers or names: which image each value is from; by default each is from another.
    seed : int

    Returns
    -------
    Interval
    """
    values = np.asarray(values, np.float64)
    images = np.arange(len(values)) if images is None else np.asarray(images)
    present = ~np.isnan(values)
    if not present.any():
        return Interval(np.nan, np.nan, np.nan, 0)
    values = values[present]
    _, group = np.unique(images[present], return_inverse=True)
    sums, counts = np.bincount(group, values), np.bincount(group)
    if len(counts) == 1:
        return Interval(float(values.mean()), np.nan, np.nan, len(values))
    draws = _draws(len(counts), seed)
    means = np.dot(draws, sums) / np.dot(draws, counts)
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(values.mean()), float(low), float(high), len(values))


@lru_cache(maxsize=4)
def _draws(count: int, seed: int) -> np.ndarray:
    """How often each image is drawn in each resample: RESAMPLES x count float64."""
    rng = np.random.RandomState(seed)
    return rng.multinomial(count, [1.0 / count] * count, size=RESAMPLES).astype(np.float64)
