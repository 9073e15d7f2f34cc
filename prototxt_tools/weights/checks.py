"""Weights against a net, against other weights, and in numbers."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.weights.caffemodel import format_shape
from prototxt_tools.weights.files import StoredShape, Weights, occurrences

Shape = Tuple[int, ...]
Arrays = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class Check:
    """How weights fit a net.

    Attributes
    ----------
    problems : list of str
        A sentence for each layer that does not fit, in the order of the net; Caffe would abort.
    missing : list of str
        Layers of the net that Caffe would leave as their fillers made them.
    extra : list of str
        Layers of the file that Caffe would ignore.
    """

    problems: List[str]
    missing: List[str]
    extra: List[str]


@dataclass(frozen=True)
class Difference:
    """How far one blob of two files differs: the L2 norm of a - b over that of a."""

    layer: str
    index: int
    distance: float


@dataclass(frozen=True)
class Statistics:
    """Statistics of a blob; mean, std, min and max are those of its finite values."""

    layer: str
    index: int
    shape: Shape
    mean: float
    std: float
    min: float
    max: float
    nans: int
    infs: int


def check(expected_shapes: Mapping[str, Sequence[Sequence[int]]], weights: Arrays) -> Check:
    """Whether weights fit a net, by the rules by which Caffe copies them.

    Caffe: ``Net::CopyTrainedLayersFrom`` in ``src/caffe/net.cpp`` and ``Blob::ShapeEquals`` in
    ``src/caffe/blob.cpp``: legacy blobs have four axes, those of C3D 1.0 five, and missing axes
    lead and have size 1.

    Parameters
    ----------
    expected_shapes : dict
        Layer name to list of shapes of its blobs, in the order of the net.
    weights : Weights or dict
        What ``load`` gives; or layer name to list of arrays, where any blob of four axes may be
        a legacy one.

    Returns
    -------
    Check
    """
    stored: Dict[str, List[List[StoredShape]]] = {}
    for layer_name, blobs in _stored_shapes(weights):
        stored.setdefault(layer_name, []).append(blobs)
    problems = []
    for layer_name, shapes in expected_shapes.items():
        misfits = (_misfit(layer_name, shapes, blobs) for blobs in stored.get(layer_name, []))
        problems += [problem for problem in misfits if problem][:1]
    missing = [layer_name for layer_name, shapes in expected_shapes.items()
               if len(shapes) and layer_name not in stored]
    extra = [layer_name for layer_name in weights if layer_name not in expected_shapes]
    return Check(problems, missing, extra)


def _stored_shapes(weights: Arrays) -> List[Tuple[str, List[StoredShape]]]:
    if isinstance(weights, Weights):
        return weights.layers
    return [
        (layer_name, [StoredShape(np.shape(array), True) for array in arrays])
        for layer_name, arrays in weights.items()
    ]


def _misfit(layer_name: str, shapes: Sequence[Sequence[int]],
            blobs: Sequence[StoredShape]) -> Optional[str]:
    """Why the stored blobs cannot be those of a layer, or None if they can."""
    if len(blobs) != len(shapes):
        return (f"layer {layer_name} needs {_blobs(len(shapes))} and the weights hold "
                f"{_blobs(len(blobs))}")
    for index, (shape, stored) in enumerate(zip(shapes, blobs)):
        if not _fits(tuple(shape), stored):
            return (f"layer {layer_name}, blob {index}: the net needs {format_shape(shape)} and "
                    f"the weights hold {format_shape(stored.shape)}")
    return None


def compare(a: Arrays, b: Arrays) -> List[Difference]:
    """How far two sets of weights differ, blob by blob.

    Parameters
    ----------
    a, b : dict
        Layer name to list of arrays.

    Returns
    -------
    list of Difference
        The blobs of ``a`` in order, then those that only ``b`` has. The distance is 0 for equal
        values, and infinite for a blob that one side lacks, has in another shape, or has as
        zeros only in ``a``.
    """
    differences = []
    for layer_name in OrderedDict.fromkeys(list(a) + list(b)):
        blobs_a, blobs_b = a.get(layer_name, []), b.get(layer_name, [])
        for index in range(max(len(blobs_a), len(blobs_b))):
            distance = math.inf
            if index < min(len(blobs_a), len(blobs_b)):
                distance = _distance(blobs_a[index], blobs_b[index])
            differences.append(Difference(layer_name, index, distance))
    return differences


def describe(weights: Arrays) -> List[Statistics]:
    """Shape and statistics of every blob of every layer, also where several have one name.

    They are NaN where a blob has no finite value.
    """
    return [
        _statistics(layer_name, index, blob.array)
        for layer_name, blobs in occurrences(weights)
        for index, blob in enumerate(blobs)
    ]


def _statistics(layer_name: str, index: int, array: np.ndarray) -> Statistics:
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
        nan = math.nan
        return Statistics(layer_name, index, array.shape, nan, nan, nan, nan, nans, infs)
    mean = total / count
    for piece in _chunks(array):
        squares += np.square(piece[np.isfinite(piece)] - mean).sum()
    std = math.sqrt(squares / count)
    return Statistics(layer_name, index, array.shape, float(mean), std, low, high, nans, infs)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape:
        return math.inf
    difference = norm = 0.0
    for piece_a, piece_b in zip(_chunks(a), _chunks(b)):
        difference += np.square(piece_a - piece_b).sum()
        norm += np.square(piece_a).sum()
    if difference == 0:
        return 0.0
    return math.sqrt(difference / norm) if norm else math.inf


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """A megabyte at a time as float64: a copy of fc6 would take 300 MB."""
    flat = np.reshape(array, -1)
    for start in range(0, flat.size, 1 << 17):
        yield flat[start : start + (1 << 17)].astype(np.float64)


def _fits(expected: Shape, stored: StoredShape) -> bool:
    axes = len(stored.shape)
    if stored.is_legacy and axes in (4, 5) and len(expected) <= axes:
        return (1,) * (axes - len(expected)) + expected == stored.shape
    return expected == stored.shape


def _blobs(count: int) -> str:
    return "1 blob" if count == 1 else f"{count} blobs"
