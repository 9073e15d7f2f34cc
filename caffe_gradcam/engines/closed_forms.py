"""The mean gradient at a blob without the gradient itself, where the layers behind it are linear.

Grad-CAM weighs each channel by its mean gradient. A layer that is linear passes the *sum* of a
channel's gradients on without regard to where they stand: max pooling hands each gradient to
exactly one cell, and of a matrix or of kernels only the sum over places counts. So the sum of the
gradients at a blob is a small matrix times the sum of those at the tops of the last such layers.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import (
    convolution_windows,
    pooled_size,
    pooling_windows,
    rounds_up,
)
from prototxt_tools.net.net import Layer

Shape = Tuple[int, ...]
Shapes = Mapping[str, Shape]
Weights = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True, eq=False)
class Term:
    """A part of the sum of gradients at a blob.

    Attributes
    ----------
    layer : int
        The layer at whose top the gradient is needed; -1 for the blob itself.
    top : str
    matrix : numpy.ndarray or None
        K x C float32: by which the gradient, summed over its cells (N x K), is multiplied. None:
        the sums are the part.
    """

    layer: int
    top: str
    matrix: Optional[np.ndarray] = None


def terms(layers: Sequence[Layer], blob_shapes: Shapes, weights: Weights, blob: str, score: str
          ) -> List[Term]:
    """The parts of the sum of gradients at a blob.

    Parameters
    ----------
    layers : sequence of Layer
        Of the net, in order.
    blob_shapes : dict
        Blob -> shape; in-place layers keep the shape.
    weights : dict
        Layer name -> its learned blobs.
    blob : str
        Its value after all in-place layers is meant.
    score : str
        What the gradients come from.

    Returns
    -------
    list of Term
        A single one with ``layer`` -1 where nothing is gained.
    """
    walk = _Walk(layers, blob_shapes, weights, score)
    last = max((index for index, layer in enumerate(layers) if blob in layer.tops), default=-1)
    channels = blob_shapes[blob][1]
    parts = walk.parts(last, blob, channels)
    return [Term(-1, blob)] if parts is None else parts


class _Walk:
    """From a blob towards the score, as far as layers are linear."""

    def __init__(self, layers: Sequence[Layer], shapes: Shapes, weights: Weights, score: str
                 ) -> None:
        self._layers, self._shapes, self._weights = layers, shapes, weights
        self._score = score
        self._needed = _needed(layers, score)

    def parts(self, index: int, blob: str, channels: int) -> Optional[List[Term]]:
        """What the sums at a layer's top consist of; None where they need its own gradient.

        ``channels`` is how many there are; behind a Flatten they share an axis with the cells.
        """
        readers = self._readers(index, blob)
        if not readers or blob == self._score:
            return None
        parts: List[Term] = []
        for reader in readers:
            layer = self._layers[reader]
            rule = _RULES.get(layer.type)
            if rule is None or len(layer.bottoms) != 1 or len(layer.tops) != 1:
                return None
            is_linear, matrix = rule(layer.message, self._shapes[layer.bottoms[0]],
                                     self._weights.get(layer.name, ()), channels)
            if not is_linear:
                return None
            top, left = layer.tops[0], channels if matrix is None else len(matrix)
            behind = self.parts(reader, top, left)
            if behind is None:
                behind = [Term(reader, top, _one(left) if matrix is None else None)]
            parts += [_times(term, matrix) for term in behind]
        return parts

    def _readers(self, index: int, blob: str) -> List[int]:
        """The layers that read this version of a blob, up to the one that overwrites it."""
        readers = []
        for position in range(index + 1, len(self._layers)):
            layer = self._layers[position]
            if blob in layer.bottoms and position in self._needed:
                readers.append(position)
            if blob in layer.tops:
                break
        return readers


def _needed(layers: Sequence[Layer], score: str) -> List[int]:
    """The layers that the score depends on."""
    blobs, needed = {score}, []
    for index in range(len(layers) - 1, -1, -1):
        if blobs.intersection(layers[index].tops):
            needed.append(index)
            blobs.update(layers[index].bottoms)
    return needed


def _times(term: Term, matrix: Optional[np.ndarray]) -> Term:
    """A term whose sums are multiplied by a further matrix."""
    if matrix is None:
        return term
    product = matrix if term.matrix is None else np.dot(term.matrix, matrix)
    return Term(term.layer, term.top, product)


def _one(channels: int) -> np.ndarray:
    return np.eye(channels, dtype=np.float32)


# Whether the layer is linear in this sense, and the matrix by which it multiplies sums, if any.
Rule = Tuple[bool, Optional[np.ndarray]]
_NO: Rule = (False, None)
_PASSES: Rule = (True, None)


def _dropout(message: Any, shape: Shape, weights: Sequence[np.ndarray], channels: int) -> Rule:
    return _PASSES if message.dropout_param.scale_train else _NO


def _flatten(message: Any, shape: Shape, weights: Sequence[np.ndarray], channels: int) -> Rule:
    param = message.flatten_param
    axes = axis_of(param.axis, shape), axis_of(param.end_axis, shape)
    return _PASSES if axes == (1, len(shape) - 1) else _NO


def _pooling(message: Any, shape: Shape, weights: Sequence[np.ndarray], channels: int) -> Rule:
    """Each gradient reaches the cells of its window once: one of them, or all in equal parts."""
    param = message.pooling_param
    if len(shape) != 4 or shape[1] != channels or param.pool not in (param.MAX, param.AVE):
        return _NO
    kernel, stride, pad = pooling_windows(param, shape[2:])
    for size, k, s, p in zip(shape[2:], kernel, stride, pad):
        count = pooled_size(size, k, s, p, ceil=rounds_up(param), clip=any(pad))
        last = (count - 1) * s - p
        if last >= size or param.pool == param.AVE and (p or last + k > size):
            return _NO
    return _PASSES


def _inner_product(message: Any, shape: Shape, weights: Sequence[np.ndarray], channels: int
                   ) -> Rule:
    param = message.inner_product_param
    if not len(weights) or axis_of(param.axis, shape) != 1:
        return _NO
    matrix = np.asarray(weights[0], np.float32)
    if param.transpose:
        matrix = matrix.reshape(-1, param.num_output).T
    return True, _summed(matrix, param.num_output, channels)


def _convolution(message: Any, shape: Shape, weights: Sequence[np.ndarray], channels: int
                 ) -> Rule:
    """Without padding each number of a kernel meets a cell wherever the kernel stands."""
    param = message.convolution_param
    if not len(weights) or len(shape) != 4 or axis_of(param.axis, shape) != 1:
        return _NO
    if param.group != 1 or shape[1] != channels or any(convolution_windows(param, 2)[2]):
        return _NO
    return True, _summed(np.asarray(weights[0], np.float32), param.num_output, channels)


def _summed(matrix: np.ndarray, outputs: int, channels: int) -> np.ndarray:
    """A matrix or kernels summed over places."""
    summed: np.ndarray = matrix.reshape(outputs, channels, -1).sum(axis=2, dtype=np.float64)
    return summed.astype(np.float32)


_RULES: Dict[str, Callable[[Any, Shape, Sequence[np.ndarray], int], Rule]] = {
    "Dropout": _dropout, "Flatten": _flatten, "Pooling": _pooling,
    "InnerProduct": _inner_product, "Convolution": _convolution,
}
