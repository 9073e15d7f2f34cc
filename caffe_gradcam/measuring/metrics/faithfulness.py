"""Do the pixels' heats add up to what the value loses without them?

A pixel is removed with all its channels.
"""

from typing import Any, Iterator, List, Optional

import numpy as np

from caffe_gradcam.measuring.metrics.curves import hottest_first
from caffe_gradcam.measuring.metrics.similarity import correlation

STEPS = 20
RUNS = 50
# The part of the pixels that is removed at once; 224 of 224 x 224 in the paper's default would
# hardly change any photograph.
FRACTION = 0.05


def steps_of(heat: np.ndarray, steps: int = STEPS, seed: int = 0) -> List[np.ndarray]:
    """The pixels in as many equal groups as there are steps, the hottest first.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    steps : int
    seed : int
        For the order of pixels that are equally hot.

    Returns
    -------
    list of numpy.ndarray
        Flat indices.
    """
    return np.array_split(hottest_first(heat, seed), steps)


def subsets_of(heat: np.ndarray, size: Optional[int] = None, runs: int = RUNS, seed: int = 0
               ) -> List[np.ndarray]:
    """Random sets of pixels.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    size : int, optional
        The number of pixels in a set; by default ``FRACTION`` of them.
    runs : int
        The number of sets.
    seed : int

    Returns
    -------
    list of numpy.ndarray
        Flat indices.
    """
    rng = np.random.RandomState(seed)
    size = max(1, int(FRACTION * heat.size)) if size is None else size
    return [rng.choice(heat.size, size, replace=False) for _ in range(runs)]


def without(blob: np.ndarray, groups: List[np.ndarray],
            baseline: Optional[np.ndarray] = None) -> Iterator[np.ndarray]:
    """The image, then the image without each group of pixels.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    groups : list of numpy.ndarray
        Flat indices, as :func:`steps_of` and :func:`subsets_of` give them.
    baseline : numpy.ndarray, optional
        C x h x w: what replaces removed pixels; by default the mean image, which is zeros.

    Yields
    ------
    numpy.ndarray
        ``len(groups) + 1`` blobs, of which the first is unchanged.
    """
    planes = blob.reshape(len(blob), -1)
    removed = np.zeros_like(planes) if baseline is None else baseline.reshape(planes.shape)
    yield blob
    for group in groups:
        variant = planes.copy()
        variant[:, group] = removed[:, group]
        yield variant.reshape(blob.shape)


def agreement(heat: np.ndarray, groups: List[np.ndarray], values: Any) -> float:
    """Pearson's correlation of the heat of each group with what the value loses without it.

    With the groups of :func:`steps_of` it is the faithfulness estimate of Alvarez-Melis and
    Jaakkola, "Towards Robust Interpretability with Self-Explaining Neural Networks", NeurIPS 2018.
    With those of :func:`subsets_of` it is the faithfulness correlation of Bhatt, Weller and Moura,
    "Evaluating and Aggregating Feature-based Model Explanations", IJCAI 2020.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    groups : list of numpy.ndarray
    values : array_like
        The values that the net gives to the blobs of :func:`without`.

    Returns
    -------
    float
        In [-1, 1]; 0 where all groups are equally hot, or the value never changes.
    """
    values = np.asarray(values, np.float64)
    sums = np.array([heat.ravel()[group].sum(dtype=np.float64) for group in groups])
    return correlation(sums, values[0] - values[1:])


def completeness_gap(contributions: np.ndarray, value: float, baseline_value: float) -> float:
    r"""By how much a signed map misses the difference that it should add up to.

    .. math::
        \sum_i a_i - (f(x) - f(x'))

    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, section 3.

    Parameters
    ----------
    contributions : numpy.ndarray
        The signed map, neither scaled nor clipped.
    value, baseline_value : float
        What the net gives to the image and to the baseline.

    Returns
    -------
    float
        0 where the map is complete.
    """
    return float(contributions.sum(dtype=np.float64) - (float(value) - float(baseline_value)))


def relative_completeness_gap(contributions: np.ndarray, value: float, baseline_value: float
                              ) -> float:
    """The size of :func:`completeness_gap`, relative to the difference that is missed.

    Returns
    -------
    float
        0 where the map is complete, 1 for a map of zeros; NaN where the values do not differ.
    """
    difference = abs(float(value) - float(baseline_value))
    gap = abs(completeness_gap(contributions, value, baseline_value))
    return gap / difference if difference else float("nan")
