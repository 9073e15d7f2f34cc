"""Means over groups, with the interval that the choice of images leaves."""

from typing import Any

import numpy as np

from caffe_gradcam.measuring.metrics.bootstrap import LEVEL, RESAMPLES, Interval

# So many numbers of a matrix at a time: 32 MB.
_MOST_AT_ONCE = 1 << 22


def over_groups(values: Any, groups: Any, images: Any, seed: int = 0) -> Interval:
    """The mean of the groups' means, with its percentile bootstrap interval over images.

    Whole images are drawn, with all their values. A group without values, also in a draw, does
    not count.

    Parameters
    ----------
    values : array_like
        N numbers.
    groups : array_like
        N whole numbers: which group each value is from.
    images : array_like
        N names: which image each value is from.
    seed : int

    Returns
    -------
    Interval
        NaN without values; ``low`` and ``high`` also where all values come from one image.
    """
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        return Interval(np.nan, np.nan, np.nan, 0)
    names, image_index = np.unique(np.asarray(images), return_inverse=True)
    group_names, group_index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), len(group_names)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (image_index, group_index), numbers)
    np.add.at(counts, (image_index, group_index), 1)
    mean = float((sums.sum(axis=0) / counts.sum(axis=0)).mean())
    if len(names) == 1:
        return Interval(mean, np.nan, np.nan, len(numbers))
    rng, means = np.random.RandomState(seed), []
    rows = max(1, _MOST_AT_ONCE // len(names))
    for start in range(0, RESAMPLES, rows):
        draws = _draws(min(rows, RESAMPLES - start), len(names), rng)
        drawn = np.dot(draws, counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.where(drawn > 0, np.dot(draws, sums) / drawn, 0)
        means.append(ratios.sum(axis=1) / (drawn > 0).sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(mean, float(low), float(high), len(numbers))


def _draws(rows: int, count: int, rng: np.random.RandomState) -> np.ndarray:
    """How often each image is drawn in each resample: rows x count float64."""
    return np.stack([np.bincount(rng.randint(0, count, count), minlength=count)
                     for _ in range(rows)]).astype(np.float64)
