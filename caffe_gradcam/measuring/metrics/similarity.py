"""How similar two maps are."""

import numpy as np

_SIGMA, _REACH = 1.5, 5  # of the 11 x 11 window
_C1, _C2 = 0.01 ** 2, 0.03 ** 2


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation.

    Parameters
    ----------
    first, second : numpy.ndarray
        Of the same shape.

    Returns
    -------
    float
        In [-1, 1]; 0 where one of them is constant.
    """
    a, b = (np.asarray(values, np.float64).ravel() for values in (first, second))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; equal values share their mean rank.

    Parameters
    ----------
    first, second : numpy.ndarray
        Of the same shape.

    Returns
    -------
    float
        In [-1, 1]; 0 where one of them is constant.
    """
    return correlation(_ranks(first), _ranks(second))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, positions, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[positions.ravel()]


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of two maps in [0, 1].

    Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE Transactions on Image Processing 2004, equation 13: a Gaussian
    window of 11 x 11 with deviation 1.5, K1 = 0.01, K2 = 0.03; the mean over all positions where
    the window lies inside the map, or over all positions of a smaller map.

    Parameters
    ----------
    first, second : numpy.ndarray
        h x w.

    Returns
    -------
    float
        In [-1, 1]; 1 for equal maps.
    """
    import cv2

    def smooth(image: np.ndarray) -> np.ndarray:
        size = (2 * _REACH + 1,) * 2
        return cv2.GaussianBlur(image, size, _SIGMA, borderType=cv2.BORDER_REFLECT)

    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    mean_a, mean_b = smooth(a), smooth(b)
    variances = smooth(a * a) - mean_a ** 2 + smooth(b * b) - mean_b ** 2
    covariance = smooth(a * b) - mean_a * mean_b
    similarities = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2) / (
        (mean_a ** 2 + mean_b ** 2 + _C1) * (variances + _C2)
    )
    if min(similarities.shape) > 2 * _REACH:
        similarities = similarities[_REACH:-_REACH, _REACH:-_REACH]
    return float(similarities.mean())
