"""The mean gradient at a blob without the gradient itself, where the layers behind it are linear.

Grad-CAM weighs each channel by its mean gradient. A layer that is linear passes the *sum* of a
channel's gradients on without regard to where they stand: max pooling hands each gradient to
exactly one cell, and of a matrix or of kernels only the sum over places counts. So the sum of the
gradients at a blob is a small matrix times the sum of those at the tops of the last such layers.
"""

from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

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
# Layer name -> its learned blobs.
WeightsOf = Callable[[str], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Factor:
    """A layer that multiplies sums by its matrix, or by its kernels, summed over places.

    Attributes
    ----------
    layer_name : str
    outputs, channels : int
    transposed : bool
        Whether the learned matrix lies the other way round.
    """

    layer_name: str
    outputs: int
    channels: int
    transposed: bool = False

    def matrix(self, weights_of: WeightsOf) -> np.ndarray:
        """Outputs x channels float32."""
        learned = np.asarray(weights_of(self.layer_name)[0], np.float32)
        if self.transposed:
            learned = learned.reshape(-1, self.outputs).T
        cells = learned.reshape(self.outputs, self.channels, -1)
        if cells.shape[2] == 1:
            return cells[:, :, 0]
        summed: np.ndarray = np.einsum("kcp->kc", cells)
        return summed


@dataclass(frozen=True)
class Term:
    """A part of the sum of gradients at a blob.

    Attributes
    ----------
    layer : int
        The layer at whose top the gradient is needed.
    top : str
    channels : int
        How many sums of that gradient's cells there are; the axis behind the rows may hold cells
        too.
    factors : tuple of Factor
        By which the sums, N x K, are multiplied, the last one first. None: the sums are the part.
    """

    layer: int
    top: str
    channels: int
    factors: Tuple[Factor, ...] = ()

    def matrix(self, weights_of: WeightsOf) -> Optional[np.ndarray]:
        """The product of the factors, K x C float32; None where there are none."""
        product: Optional[np.ndarray] = None
        for factor in reversed(self.factors):
            matrix = factor.matrix(weights_of)
            product = matrix if product is None else np.dot(product, matrix)
        return product


def terms(layers: Sequence[Layer], blob_shapes: Shapes, blob: str, score: str) -> List[Term]:
    """The parts of the sum of gradients at a blob.

    Parameters
    ----------
    layers : sequence of Layer
        Of the net, in order.
    blob_shapes : dict
        Blob -> shape; in-place layers keep the shape.
    blob : str
        N x C x h x w; its value after all in-place layers is meant.
    score : str
        What the gradients come from.

    Returns
    -------
    list of Term
        Empty where there is no closed form.
    """
    shape = blob_shapes.get(blob, ())
    if len(shape) != 4:
        return []
    last = max((index for index, layer in enumerate(layers) if blob in layer.tops), default=-1)
    return _Walk(layers, blob_shapes, score).parts(last, blob, shape[1])


def below_global_mean(layers: Sequence[Layer], blob_shapes: Shapes, term: Term, score: str
                      ) -> Optional[Tuple[int, int]]:
    """The ReLU that alone reads a term's top, and the global mean that alone reads that ReLU.

    So ends SqueezeNet. Below a global mean the gradient is the same in all cells of a channel, and
    the sum of what the ReLU passes on is that gradient at the mean's top times the share of
    positive cells.

    Returns
    -------
    (int, int) or None
        The positions of the two layers.
    """
    walk = _Walk(layers, blob_shapes, score)
    relu = walk.only_reader(term.layer, term.top)
    if relu is None or layers[relu].type != "ReLU" or (
            layers[relu].message.relu_param.negative_slope):
        return None
    blob = layers[relu].tops[0]
    pool = walk.only_reader(relu, blob)
    if pool is None or not _is_global_mean(layers[pool], blob_shapes.get(blob, ())):
        return None
    return relu, pool


def _is_global_mean(layer: Layer, shape: Shape) -> bool:
    if layer.type != "Pooling" or len(shape) != 4:
        return False
    param = layer.message.pooling_param
    kernel, _, pad = pooling_windows(param, shape[2:])
    return param.pool == param.AVE and tuple(kernel) == tuple(shape[2:]) and not any(pad)


class _Walk:
    """From a blob towards the score, as far as layers are linear."""

    def __init__(self, layers: Sequence[Layer], shapes: Shapes, score: str) -> None:
        self._layers, self._shapes, self._score = layers, shapes, score
        self._needed = _needed(layers, score)

    def parts(self, index: int, blob: str, channels: int) -> List[Term]:
        """What the sums at a layer's top consist of; none where they need its own gradient.

        ``channels`` is how many there are; behind a Flatten they share an axis with the cells.
        """
        if blob == self._score:
            return []
        parts: List[Term] = []
        for reader in self._readers(index, blob):
            layer = self._layers[reader]
            passed = self._passed(layer, channels)
            if passed is None:
                return []
            top = layer.tops[0]
            left = passed[0].outputs if passed else channels
            behind = self.parts(reader, top, left) or [Term(reader, top, left)]
            parts += [Term(term.layer, term.top, term.channels, passed + term.factors)
                      for term in behind]
        return parts

    def only_reader(self, index: int, blob: str) -> Optional[int]:
        """The layer that alone reads what a layer left in a blob."""
        readers = self._readers(index, blob)
        return readers[0] if len(readers) == 1 else None

    def _passed(self, layer: Layer, channels: int) -> Optional[Tuple[Factor, ...]]:
        """By what a layer multiplies sums; None where it is not linear in this sense."""
        rule = _RULES.get(layer.type)
        shape = self._shapes.get(layer.bottoms[0], ())
        if rule is None or not shape or len(layer.bottoms) != 1 or len(layer.tops) != 1:
            return None
        return rule(layer, shape, channels)

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


def _needed(layers: Sequence[Layer], score: str) -> Set[int]:
    """The layers that the score depends on."""
    blobs, needed = {score}, set()
    for index in range(len(layers) - 1, -1, -1):
        if blobs.intersection(layers[index].tops):
            needed.add(index)
            blobs.update(layers[index].bottoms)
    return needed


# By what a layer multiplies sums; None where it is not linear in this sense.
Rule = Optional[Tuple[Factor, ...]]
_PASSES: Rule = ()


def _dropout(layer: Layer, shape: Shape, channels: int) -> Rule:
    return _PASSES if layer.message.dropout_param.scale_train else None


def _flatten(layer: Layer, shape: Shape, channels: int) -> Rule:
    param = layer.message.flatten_param
    axes = axis_of(param.axis, shape), axis_of(param.end_axis, shape)
    return _PASSES if axes == (1, len(shape) - 1) else None


def _pooling(layer: Layer, shape: Shape, channels: int) -> Rule:
    """Each gradient reaches the cells of its window once: one of them, or all in equal parts.

    Of averages over padding a part is lost.
    """
    param = layer.message.pooling_param
    if len(shape) != 4 or shape[1] != channels or param.pool not in (param.MAX, param.AVE):
        return None
    kernel, stride, pad = pooling_windows(param, shape[2:])
    for size, k, s, p in zip(shape[2:], kernel, stride, pad):
        count = pooled_size(size, k, s, p, ceil=rounds_up(param), clip=any(pad))
        if (count - 1) * s - p >= size or param.pool == param.AVE and p:
            return None
    return _PASSES


def _inner_product(layer: Layer, shape: Shape, channels: int) -> Rule:
    param = layer.message.inner_product_param
    if axis_of(param.axis, shape) != 1:
        return None
    return (Factor(layer.name, param.num_output, channels, param.transpose),)


def _convolution(layer: Layer, shape: Shape, channels: int) -> Rule:
    """Without padding each number of a kernel meets a cell wherever the kernel stands."""
    param = layer.message.convolution_param
    if len(shape) != 4 or axis_of(param.axis, shape) != 1:
        return None
    if param.group != 1 or shape[1] != channels or any(convolution_windows(param, 2)[2]):
        return None
    return (Factor(layer.name, param.num_output, channels),)


_RULES: Dict[str, Callable[[Layer, Shape, int], Rule]] = {
    "Dropout": _dropout, "Flatten": _flatten, "Pooling": _pooling,
    "InnerProduct": _inner_product, "Convolution": _convolution,
}
