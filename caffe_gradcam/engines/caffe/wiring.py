"""The layers that Caffe built, as numbers: which blobs each reads and writes, and what it is."""

from typing import Any, Iterable, List, Set

import numpy as np

from prototxt_tools import layers
from prototxt_tools.layers.windows import convolution_windows
from prototxt_tools.net.net import Net

from ..contract import rectifies

# Stands in a diff until Caffe writes there, and is lost in any sum if it only adds.
UNTOUCHED = np.float32(1e-30)


class Wiring:
    """The layers that Caffe built, Split layers included: the blobs each reads and writes.

    Parameters
    ----------
    net : caffe.Net
    """

    def __init__(self, net: Any) -> None:
        names = list(net._blob_names)
        count = len(net.layers)
        self.bottoms = [[names[blob] for blob in net._bottom_ids(i)] for i in range(count)]
        self.tops = [[names[blob] for blob in net._top_ids(i)] for i in range(count)]

    def writers(self, blob: str) -> List[int]:
        """Indices of the layers that write a blob, in-place layers too."""
        return [index for index, tops in enumerate(self.tops) if blob in tops]

    def end(self, blob: str, in_place: bool) -> int:
        """The lowest layer whose backward the diff of a blob needs.

        That is the first one to read its final value; with `in_place` the first one after its
        maker, so that the backward of its in-place layers has run too.
        """
        return self.reader(blob, self.writers(blob)[0 if in_place else -1])

    def reader(self, blob: str, writer: int) -> int:
        """The lowest layer behind one that writes a blob that reads it."""
        return min(index for index in range(writer + 1, len(self.bottoms))
                   if blob in self.bottoms[index])

    def loose_tops(self, start: int, end: int) -> List[str]:
        """Tops of the layers from `end` to `start` into which no layer up to `start` propagates.

        Their diffs are left from other calls, or are ones that ``loss_weight`` put there.
        """
        loose: List[str] = []
        read: Set[str] = set()
        for index in range(start, end - 1, -1):
            loose += [top for top in self.tops[index] if top not in read]
            read.update(self.bottoms[index])
        return loose


def rectifiers(net: Any, definition: Net) -> Set[int]:
    """Indices of the layers that Caffe built to which the rules of ``backward`` apply."""
    names = {layer.name for layer in definition.layers if rectifies(layer)}
    return {index for index, name in enumerate(net._layer_names)
            if name in names and layers.of(net.layers[index].type).role == "rectifier"}


def multiplying(net: Any, definition: Net) -> Set[int]:
    """Indices of the layers that Caffe built that multiply each cell by one matrix.

    InnerProduct along axis 1, and Convolution with windows of 1 x 1.
    """
    indices = set()
    for index, name in enumerate(net._layer_names):
        layer = definition.layer(name)
        if layer is None or len(layer.bottoms) != 1 or net.layers[index].type != layer.type:
            continue
        if layer.type == "InnerProduct":
            inner = layer.message.inner_product_param
            is_product = inner.axis == 1 and not inner.transpose
        else:
            is_product = layer.type == "Convolution" and _is_pointwise(
                layer.message.convolution_param, net.blobs[layer.bottoms[0]].shape)
        if is_product:
            indices.add(index)
    return indices


def _is_pointwise(param: Any, bottom: Iterable[int]) -> bool:
    """Whether a convolution looks at one cell of N x C x H x W at a time, and all its channels."""
    if not param.group == param.axis == 1 or len(list(bottom)) != 4:
        return False
    kernel, stride, pad, _ = convolution_windows(param, 2)
    return set(kernel) == set(stride) == {1} and not any(pad)
