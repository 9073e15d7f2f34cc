"""How concentrated is a map? A map that marks everything explains nothing."""

import numpy as np

BINS = 100


def sparseness(heat: np.ndarray) -> float:
    r"""The Gini index of the heat: near 1 where few pixels hold all of it, 0 where all are equal.

    .. math::
        G = \frac{\sum_{i=1}^n (2i - n - 1)\, a_{(i)}}{n \sum_i a_{(i)}}

    with :math:`a_{(i)}` the absolute values in ascending order. Chalasani, Chen, Chowdhury, Jha
    and Wu, "Concise Explanations of Neural Networks using Adversarial Training", ICML 2020.

    Parameters
    ----------
    heat : numpy.ndarray
        Of any shape.

    Returns
    -------
    float
        In [0, 1); NaN for a map of zeros.
    """
    values = np.sort(np.abs(heat).ravel().astype(np.float64))
    total = values.sum()
    if total == 0:
        return float("nan")
    weights = 2 * np.arange(1, values.size + 1) - values.size - 1
    return float(np.dot(weights, values) / (values.size * total))


def complexity(heat: np.ndarray) -> float:
    r"""The entropy, in nats, of the parts of the heat that the pixels hold.

    .. math::
        H = -\sum_i p_i \ln p_i, \quad p_i = |a_i| / \sum_j |a_j|

    Bhatt, Weller and Moura, "Evaluating and Aggregating Feature-based Model Explanations",
    IJCAI 2020.

    Parameters
    ----------
    heat : numpy.ndarray
        Of any shape.

    Returns
    -------
    float
        Between 0, where one pixel holds all the heat, and the logarithm of the number of pixels;
        NaN for a map of zeros.
    """
    return _entropy(np.abs(heat).ravel().astype(np.float64))


def discrete_entropy(heat: np.ndarray, bins: int = BINS) -> float:
    """The entropy, in nats, of the histogram of a map.

    Hedström, Weber, Lapuschkin and Höhne, "Sanity Checks Revisited: An Exploration to Repair the
    Model Parameter Randomisation Test", 2023.

    Parameters
    ----------
    heat : numpy.ndarray
        Of any shape.
    bins : int
        Equal ones between the least and the greatest value.

    Returns
    -------
    float
        Between 0 and the logarithm of ``bins``.
    """
    return _entropy(np.histogram(heat, bins)[0].astype(np.float64))


def _entropy(masses: np.ndarray) -> float:
    total = masses.sum()
    if total == 0:
        return float("nan")
    parts = masses[masses > 0] / total
    # A sum of one part is -0.0.
    return float(abs(np.dot(parts, np.log(parts))))
