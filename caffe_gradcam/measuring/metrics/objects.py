"""Does the heat lie on the pixels of an object, and on those objects that the value depends on?

A mask is h x w bool, as large as the heat, and True on the pixels of an object. An effect is by how
much the value falls when an object, or a part of one, is taken out of the scene.
"""

from typing import Any, Sequence

import numpy as np

from caffe_gradcam.measuring.metrics.curves import first, hottest_first
from caffe_gradcam.measuring.metrics.similarity import rank_correlation


def hits(heat: np.ndarray, mask: np.ndarray) -> bool:
    """The pointing game with a mask: whether the hottest pixel belongs to the object.

    Zhang, Lin, Brandt, Shen and Sclaroff, "Top-down Neural Attention by Excitation Backprop",
    ECCV 2016, section 4.1.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w. The first of several equally hot pixels counts. A map without a positive value
        points nowhere, and misses.
    mask : numpy.ndarray
        h x w bool.

    Returns
    -------
    bool
    """
    return bool(heat.max() > 0 and mask.ravel()[heat.argmax()])


def mass_accuracy(heat: np.ndarray, mask: np.ndarray) -> float:
    """Relevance mass accuracy: the part of the heat that lies on the object.

    Arras, Osman and Samek, "CLEVR-XAI: A Benchmark Dataset for the Ground Truth Evaluation of
    Neural Network Explanations", Information Fusion 2022.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w, not negative.
    mask : numpy.ndarray
        h x w bool.

    Returns
    -------
    float
        In [0, 1]; 0 where there is no heat, NaN where the mask is empty.
    """
    if not mask.any():
        return float("nan")
    total = heat.sum(dtype=np.float64)
    return float(heat[mask].sum(dtype=np.float64) / total) if total > 0 else 0.0


def rank_accuracy(heat: np.ndarray, mask: np.ndarray, seed: int = 0) -> float:
    """Relevance rank accuracy: of the hottest K pixels, the part on an object of K pixels.

    Arras, Osman and Samek, "CLEVR-XAI", 2022.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    mask : numpy.ndarray
        h x w bool.
    seed : int
        For the order of pixels that are equally hot.

    Returns
    -------
    float
        In [0, 1]; 0 where there is no heat, NaN where the mask is empty.
    """
    if not mask.any():
        return float("nan")
    if heat.max() <= 0:
        return 0.0
    hottest = first(hottest_first(heat, seed), mask.mean(), heat.shape)
    return float(mask[hottest].mean())


def heat_inside(heat: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """The heat that lies on each of some objects: N float64."""
    return np.array([heat[mask].sum(dtype=np.float64) for mask in masks])


def finds_cause(heats: Any, effects: Any) -> float:
    """Whether the object with the most heat is the one on which the value depends most.

    Parameters
    ----------
    heats : array_like
        N numbers, as :func:`heat_inside` gives them.
    effects : array_like
        N numbers: by how much the value falls without each object.

    Returns
    -------
    float
        1 or 0, and a fraction where several objects hold the same, greatest heat; 0 where none of
        them holds any. NaN for fewer than two objects, and where the value does not fall without
        any of them.
    """
    heats, effects = np.asarray(heats, np.float64), np.asarray(effects, np.float64)
    if len(heats) < 2 or effects.max() <= 0:
        return float("nan")
    if heats.max() <= 0:
        return 0.0
    return float((effects[heats == heats.max()] == effects.max()).mean())


def follows_effects(heats: Any, effects: Any) -> float:
    """Spearman's rank correlation of the heat on each part with the effect of its removal.

    Parameters
    ----------
    heats, effects : array_like
        N numbers each.

    Returns
    -------
    float
        In [-1, 1]; 0 where all parts are equally hot; NaN for fewer than three parts.
    """
    if len(heats) < 3:
        return float("nan")
    return rank_correlation(np.asarray(heats), np.asarray(effects))
