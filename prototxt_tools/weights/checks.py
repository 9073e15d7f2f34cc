"""Weights against a net, against other weights, and in numbers."""

import math
from collections import OrderedDict
from typing import List, NamedTuple, Tuple

import numpy as np

from prototxt_tools.weights.caffemodel import said


class Check(NamedTuple):
    """How weights fit a net."""

    problems: List[str]
    missing: List[str]
    extra: List[str]


class Difference(NamedTuple):
    """How far one blob of two files differs: the L2 norm of a - b over that of a."""

    layer: str
    index: int
    distance: float


class Statistics(NamedTuple):
    """A blob in numbers; mean, std, min and max are those of its finite values."""

    layer: str
    index: int
    shape: Tuple[int, ...]
    mean: float
    std: float
    min: float
    max: float
    nans: int
    infs: int


def check(expected_shapes, weights):
    """Whether weights fit a net, by the rules by which Caffe copies them.

    Caffe: ``Net::CopyTrainedLayersFrom`` in ``src/caffe/net.cpp`` and ``Blob::ShapeEquals`` in
    ``src/caffe/blob.cpp``: legacy blobs have four axes, and missing ones lead and count 1.

    Parameters
    ----------
    expected_shapes : dict
        Layer name -> list of shapes of its blobs, in the order of the net.
    weights : Weights or dict
        What ``load`` gives; or layer name -> list of arrays, where any blob of four axes may be
        a legacy one.

    Returns
    -------
    Check
        ``problems``: a sentence for each layer that does not fit, the first one first; Caffe
        would die on it. ``missing``: layers that Caffe would leave as their fillers made them.
        ``extra``: layers that it would pass over.
    """
    stored = getattr(weights, "layers", None)
    if stored is None:
        stored = [
            (layer, [(np.shape(array), True) for array in arrays])
            for layer, arrays in weights.items()
        ]
    by_name = {}
    for layer, blobs in stored:
        by_name.setdefault(layer, []).append(blobs)
    problems = []
    for layer, shapes in expected_shapes.items():
        found = (_misfit(layer, shapes, blobs) for blobs in by_name.get(layer, ()))
        problems += [problem for problem in found if problem][:1]
    missing = [
        layer for layer, shapes in expected_shapes.items() if len(shapes) and layer not in by_name
    ]
    extra = [layer for layer in weights if layer not in expected_shapes]
    return Check(problems, missing, extra)


def _misfit(layer, shapes, blobs):
    """Why the stored blobs, (shape, whether it is legacy), cannot be those of a layer."""
    if len(blobs) != len(shapes):
        return f"layer {layer} wants {_blobs(len(shapes))} and the weights hold {_blobs(len(blobs))}"
    for index, (shape, (stored, is_legacy)) in enumerate(zip(shapes, blobs)):
        if not _fits(tuple(shape), stored, is_legacy):
            return f"layer {layer}, blob {index}: the net wants {said(shape)} and the weights hold {said(stored)}"
    return None


def compare(a, b):
    """How far two sets of weights differ, blob by blob.

    Parameters
    ----------
    a, b : dict
        Layer name -> list of arrays.

    Returns
    -------
    list of Difference
        The blobs of ``a`` in order, then those that only ``b`` has. The distance is 0 for equal
        values, and infinite for a blob that one side lacks, has in another shape, or has as
        zeros only in ``a``.
    """
    differences = []
    for layer in OrderedDict.fromkeys(list(a) + list(b)):
        ours, theirs = a.get(layer, []), b.get(layer, [])
        for index in range(max(len(ours), len(theirs))):
            distance = math.inf
            if index < min(len(ours), len(theirs)):
                distance = _distance(ours[index], theirs[index])
            differences.append(Difference(layer, index, distance))
    return differences


def describe(weights):
    """Shape and statistics of every blob.

    Returns
    -------
    list of Statistics
        NaN stands where a blob has no finite value.
    """
    return [
        _statistics(layer, index, array)
        for layer, arrays in weights.items()
        for index, array in enumerate(arrays)
    ]


def _statistics(layer, index, array):
    nans = infs = count = 0
    total = squares = 0.0
    low, high = math.inf, -math.inf
    for piece in _chunks(array):
        nans += int(np.isnan(piece).sum())
        infs += int(np.isinf(piece).sum())
        piece = piece[np.isfinite(piece)]
        if piece.size:
            count += piece.size
            total += piece.sum()
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    if not count:
        return Statistics(layer, index, array.shape, *[math.nan] * 4, nans=nans, infs=infs)
    mean = total / count
    for piece in _chunks(array):
        squares += np.square(piece[np.isfinite(piece)] - mean).sum()
    std = math.sqrt(squares / count)
    return Statistics(layer, index, array.shape, float(mean), std, low, high, nans, infs)


def _distance(a, b):
    if a.shape != b.shape:
        return math.inf
    apart = norm = 0.0
    for ours, theirs in zip(_chunks(a), _chunks(b)):
        apart += np.square(ours - theirs).sum()
        norm += np.square(ours).sum()
    if apart == 0:
        return 0.0
    return math.sqrt(apart / norm) if norm else math.inf


def _chunks(array):
    """Doubles a megabyte's worth at a time: a copy of fc6 would be 300 MB."""
    flat = np.reshape(array, -1)
    for start in range(0, flat.size, 1 << 17):
        yield flat[start : start + (1 << 17)].astype(np.float64)


def _fits(wanted, stored, is_legacy):
    if is_legacy and len(stored) == 4 and len(wanted) <= 4:
        return (1,) * (4 - len(wanted)) + wanted == stored
    return wanted == stored


def _blobs(count):
    return "1 blob" if count == 1 else f"{count} blobs"
