"""Clusters of similar rectangles, as OpenCV's ``groupRectangles`` makes them.

OpenCV 3 and 4: ``modules/objdetect/src/cascadedetect.cpp``; OpenCV 5 no longer has the function.
"""

from typing import List

import numpy as np


def grouped(rectangles: np.ndarray, neighbours: int, tolerance: float) -> np.ndarray:
    """The mean rectangle of each cluster that is large enough.

    Parameters
    ----------
    rectangles : numpy.ndarray
        N x 4 integers: x, y, width, height.
    neighbours : int
        A cluster needs more rectangles than this; 0 leaves all rectangles as they are.
    tolerance : float
        How far edges may be apart, as a part of the smaller rectangle's sides.

    Returns
    -------
    numpy.ndarray
        M x 4 integers.
    """
    if neighbours <= 0 or not len(rectangles):
        return rectangles.reshape(-1, 4)
    labels = _labels(rectangles, tolerance)
    counts = np.bincount(labels)
    sums = np.stack([np.bincount(labels, column) for column in rectangles.T], axis=1)
    # OpenCV multiplies in single precision, and rounds halves to the even number as numpy does.
    shares = (1 / counts.astype(np.float32))[:, np.newaxis]
    means = np.round(sums.astype(np.float32) * shares).astype(np.int64)
    kept = [index for index in range(len(means)) if counts[index] > neighbours
            and not _is_covered(index, means, counts, neighbours, tolerance)]
    return means[kept]


def _labels(rectangles: np.ndarray, tolerance: float) -> np.ndarray:
    """The cluster of each rectangle, in the order of their first members."""
    sides = rectangles[:, 2:]
    edges = np.concatenate([rectangles[:, :2], rectangles[:, :2] + sides], axis=1)
    labels = np.full(len(rectangles), -1, np.int64)
    count = 0
    for first in range(len(rectangles)):
        if labels[first] >= 0:
            continue
        waiting: List[int] = [first]
        labels[first] = count
        while waiting:
            index = waiting.pop()
            limits = tolerance * np.minimum(sides[index], sides).sum(axis=1) / 2
            similar = (np.abs(edges - edges[index]) <= limits[:, np.newaxis]).all(axis=1)
            joined = np.flatnonzero(similar & (labels < 0))
            labels[joined] = count
            waiting += joined.tolist()
        count += 1
    return labels


def _is_covered(index: int, means: np.ndarray, counts: np.ndarray, neighbours: int,
                tolerance: float) -> bool:
    """Whether a cluster lies inside another one that has more members."""
    x, y, width, height = means[index]
    for other, (left, top, wide, high) in enumerate(means):
        if other == index or counts[other] <= neighbours:
            continue
        across, down = np.round(wide * tolerance), np.round(high * tolerance)
        inside = (x >= left - across and y >= top - down and x + width <= left + wide + across
                  and y + height <= top + high + down)
        if inside and (counts[other] > max(3, counts[index]) or counts[index] < 3):
            return True
    return False
