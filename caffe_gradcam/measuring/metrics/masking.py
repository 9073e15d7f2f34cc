"""Average drop, increase in confidence and ADCC: how much remains where the map is hot?

Chattopadhyay, Sarkar, Howlader and Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual
Explanations for Deep Convolutional Networks", WACV 2018, section 4.1.
"""

from typing import Any, Optional

import numpy as np

from caffe_gradcam.measuring.metrics.similarity import correlation


def shown_through(
    blob: np.ndarray, heat: np.ndarray, baseline: Optional[np.ndarray] = None
) -> np.ndarray:
    """The image where the map is hot, fading into the baseline where it is cold.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    heat : numpy.ndarray
        h x w in [0, 1].
    baseline : numpy.ndarray, optional
        C x h x w; by default the mean image, which is zeros.

    Returns
    -------
    numpy.ndarray
        C x h x w float32: ``heat * blob + (1 - heat) * baseline``.
    """
    heat = heat.astype(np.float32)
    return heat * blob if baseline is None else heat * blob + (1 - heat) * baseline


def drops(before: Any, after: Any) -> np.ndarray:
    """The part of each value that is lost, ``max(0, y - o) / y``; the mean is the average drop.

    Parameters
    ----------
    before, after : array_like
        N values of whole images (y), and of what :func:`shown_through` leaves of them (o).

    Returns
    -------
    numpy.ndarray
        N float64 in [0, 1]; NaN where a value was not positive, so that no part of it can be lost.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.clip((before - after) / before, 0, 1)
    return np.where(before > 0, lost, np.nan)


def increases(before: Any, after: Any) -> np.ndarray:
    """1 where a value rose, 0 elsewhere; the mean is the increase in confidence.

    Parameters and result as for :func:`drops`, but never NaN.
    """
    return (np.asarray(after) > np.asarray(before)).astype(np.float64)


def adcc(heat: np.ndarray, shown_heat: np.ndarray, drop: float) -> float:
    r"""Average drop, coherency and complexity in one number, their harmonic mean.

    .. math::
        3 \left(\frac{1}{1 - \text{drop}} + \frac{1}{\text{coherency}}
        + \frac{1}{1 - \text{complexity}}\right)^{-1}

    The complexity is the mean of the map. The coherency is Pearson's correlation of the map with
    that of what it shows, brought from [-1, 1] to [0, 1]. Poppi, Cornia, Baraldi and Cucchiara,
    "Revisiting the Evaluation of Class Activation Mapping for Explainability", CVPR Workshops
    2021.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w in [0, 1].
    shown_heat : numpy.ndarray
        h x w: the heat of the same method for what :func:`shown_through` leaves of the image.
    drop : float
        As :func:`drops` gives it.

    Returns
    -------
    float
        In [0, 1], high is good; 0 where one of the three is as bad as can be, NaN where the drop
        is NaN.
    """
    goods = np.array([1 - drop, (correlation(heat, shown_heat) + 1) / 2,
                      1 - heat.mean(dtype=np.float64)])
    if np.isnan(goods).any():
        return float("nan")
    return float(3 / (1 / goods).sum()) if goods.min() > 0 else 0.0
