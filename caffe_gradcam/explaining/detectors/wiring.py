"""Where each number of a blob comes from, through layers that only move numbers.

Detectors permute, flatten and join what their convolutions give before they choose boxes. Stock
Caffe lacks some of these layers, so a detector is run up to its convolutions, and what follows is
done here: by moving indices once, and values for each image.
"""

from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

Shape = Tuple[int, ...]
Move = Callable[[Layer, List[np.ndarray], Shape], np.ndarray]


@dataclass(frozen=True, eq=False)
class Wiring:
    """A blob whose numbers are those of other blobs, in another order.

    Attributes
    ----------
    heads : tuple of str
        The blobs that the numbers come from.
    index : numpy.ndarray
        Of the blob's shape for one image: where each number stands among those of an image in
        all heads, one after the other.
    link : str
        "softmax" or "sigmoid" where the blob holds probabilities of the heads' numbers, "none"
        where it holds the numbers themselves.
    sizes : tuple of int
        How many numbers of an image each head has.
    """

    heads: Tuple[str, ...]
    index: np.ndarray
    link: str
    sizes: Tuple[int, ...]

    def values(self, blobs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The numbers for each image: N x the shape of ``index`` without its first axis."""
        images = len(blobs[self.heads[0]])
        flat = np.concatenate([blobs[head].reshape(images, -1) for head in self.heads], axis=1)
        return flat[:, self.index.ravel()].reshape((images,) + self.index.shape[1:])

    def origin(self, position: int) -> Tuple[str, int]:
        """The head of a number, by its flat position in the blob, and its offset there."""
        offset = int(self.index.ravel()[position])
        for head, size in zip(self.heads, self.sizes):
            if offset < size:
                return head, offset
            offset -= size
        raise IndexError(position)


def trace(graph: Graph, shapes: Mapping[str, Shape], blob: str) -> Wiring:
    """Follow a blob's numbers up to the layers that compute them.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    shapes : dict
        Of all blobs, for one image.
    blob : str

    Raises
    ------
    ModelError
        A shape on the way is unknown.
    """
    sizes: Dict[str, int] = {}
    links: List[str] = []

    def index_of(name: str) -> np.ndarray:
        maker = graph.maker(name)
        if shapes.get(name) is None:
            raise ModelError(f"the shape of blob {name} is unknown, so the boxes that depend on it "
                             "cannot be found", name)
        if maker is not None and _is_link(maker):
            links.append(str(layers.of(maker.type).link))
            return index_of(maker.bottoms[0]).reshape(shapes[name])
        if maker is not None and maker.type in _MOVES and maker.bottoms:
            parts = [index_of(bottom) for bottom in maker.bottoms]
            return _moved(maker, parts, name, shapes)
        start, count = sum(sizes.values()), int(np.prod(shapes[name]))
        sizes[name] = count
        return np.arange(start, start + count).reshape(shapes[name])

    index = index_of(blob)
    return Wiring(tuple(sizes), index, links[0] if links else "none", tuple(sizes.values()))


def _is_link(maker: Layer) -> bool:
    return maker.type in ("Softmax", "Sigmoid") and bool(maker.bottoms)


def _moved(maker: Layer, parts: List[np.ndarray], blob: str,
           shapes: Mapping[str, Shape]) -> np.ndarray:
    if maker.type != "Slice":
        return _MOVES[maker.type](maker, parts, shapes[blob])
    param = maker.message.slice_param
    axis = param.slice_dim if param.HasField("slice_dim") else param.axis
    before = maker.tops[:maker.tops.index(blob)]
    start = sum(shapes[top][axis] for top in before)
    return np.take(parts[0], np.arange(start, start + shapes[blob][axis]), axis)


def _permuted(layer: Layer, parts: List[np.ndarray], shape: Shape) -> np.ndarray:
    order = list(layer.message.permute_param.order)
    order += [axis for axis in range(parts[0].ndim) if axis not in order]
    moved: np.ndarray = parts[0].transpose(order)
    return moved


def _joined(layer: Layer, parts: List[np.ndarray], shape: Shape) -> np.ndarray:
    param = layer.message.concat_param
    return np.concatenate(parts, param.concat_dim if param.HasField("concat_dim") else param.axis)


def _reshaped(layer: Layer, parts: List[np.ndarray], shape: Shape) -> np.ndarray:
    return parts[0].reshape(shape)


_MOVES: Dict[str, Move] = {
    "Permute": _permuted, "Concat": _joined, "Flatten": _reshaped, "Reshape": _reshaped,
    "Split": _reshaped, "Dropout": _reshaped, "Slice": _reshaped,
}
