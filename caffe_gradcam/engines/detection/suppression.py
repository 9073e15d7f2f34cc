"""Overlap of boxes, and non-maximum suppression.

A box is left, top, right, bottom. Caffe: ``bbox_util.cpp`` of the SSD fork; py-faster-rcnn's
``nms`` counts pixels, so that a box from 3 to 5 is 3 wide: that is ``edge`` 1.
"""

from typing import List, Optional

import numpy as np


def overlaps(box: np.ndarray, others: np.ndarray, edge: float = 0.0) -> np.ndarray:
    """Intersection over union (the Jaccard overlap) of a box with others.

    Parameters
    ----------
    box : numpy.ndarray
        4.
    others : numpy.ndarray
        N x 4.
    edge : float
        Added to each width and height: 0 for coordinates of edges, 1 for those of pixels.

    Returns
    -------
    numpy.ndarray
        N floats in [0, 1]; 0 for boxes without area.
    """
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    # Wild boxes overflow; NaN overlaps nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        shared = np.prod(np.maximum(high - low + edge, 0), axis=1)
        total = areas(box[np.newaxis], edge) + areas(others, edge) - shared
        result = np.zeros(len(others), shared.dtype)
        np.divide(shared, total, out=result, where=(shared > 0) & (total > 0))
    return result


def areas(boxes: np.ndarray, edge: float = 0.0) -> np.ndarray:
    """The area of each of N x 4 boxes; 0 where an edge is on the wrong side."""
    sides = boxes[:, 2:] - boxes[:, :2] + edge
    result: np.ndarray = np.where((sides < 0).any(axis=1), 0, np.prod(sides, axis=1))
    return result


def ranked(scores: np.ndarray, threshold: float = -np.inf,
           count: Optional[int] = None) -> np.ndarray:
    """The indices of scores above a threshold, the highest first; of equal ones, the lower index.

    Parameters
    ----------
    scores : numpy.ndarray
        N.
    threshold : float
    count : int, optional
        How many at most.
    """
    above = np.flatnonzero(scores > threshold)
    order: np.ndarray = above[np.argsort(-scores[above], kind="mergesort")]
    return order[:count]


def suppress(boxes: np.ndarray, order: np.ndarray, threshold: float, eta: float = 1.0,
             edge: float = 0.0) -> List[int]:
    """Which boxes remain when each suppresses the later ones that overlap it too much.

    Parameters
    ----------
    boxes : numpy.ndarray
        N x 4.
    order : numpy.ndarray
        Indices of boxes, the best first.
    threshold : float
        A box is kept if its overlap with every kept one is at most this.
    eta : float
        Below 1, the threshold shrinks by this factor with each kept box, down to 0.5.
    edge : float
        See :func:`overlaps`.

    Returns
    -------
    list of int
        Indices of boxes, the best first.
    """
    kept: List[int] = []
    for index in order:
        if not kept or overlaps(boxes[index], boxes[kept], edge).max() <= threshold:
            kept.append(int(index))
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept
