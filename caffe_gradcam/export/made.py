"""Numbers for a net's inputs where no picture is given: the same ones each time."""

from typing import Any, Dict, Iterable, Mapping, Sequence, Tuple

import numpy as np

from prototxt_tools import shapes as net_shapes
from prototxt_tools.net.net import Layer, Net

Shape = Tuple[int, ...]

# As pixels are after their mean was subtracted.
_LOWEST, _HIGHEST = -60, 60
# (type of layer, position of the bottom): what the numbers there mean.
_MEANINGS = {
    ("Embed", 0): "indices", ("BatchReindex", 1): "rows", ("LSTM", 1): "flags",
    ("RNN", 1): "flags", ("ROIPooling", 1): "regions", ("PSROIPooling", 1): "regions",
    ("Upsample", 1): "cells", ("Proposal", 2): "image",
}


def made_inputs(net: Net, shapes: Mapping[str, Sequence[int]], seed: int = 0
                ) -> Dict[str, np.ndarray]:
    """Arrays for the inputs of a net.

    Parameters
    ----------
    net : Net
    shapes : dict
        Input blob -> shape.
    seed : int

    Returns
    -------
    dict
        Input blob -> float32 array: like pixels, or what the layer that reads it expects.
    """
    random = np.random.RandomState(seed)
    readers = {bottom: (layer, position) for layer in net.layers
               for position, bottom in enumerate(layer.bottoms)}
    arrays = {}
    for blob, shape in shapes.items():
        layer, position = readers.get(blob, (None, 0))
        meaning = _MEANINGS.get((layer.type, position), "") if layer is not None else ""
        message = None if layer is None else layer.message
        if meaning == "image":
            values = _image_info(shapes.values())
        elif meaning == "regions" and layer is not None:
            values = _regions(_extent(net, layer, shapes), tuple(shape), random)
        else:
            values = _values(meaning, message, tuple(shape), random)
        arrays[blob] = np.ascontiguousarray(np.resize(values, shape), np.float32)
    return arrays


def _image_info(shapes: Iterable[Sequence[int]]) -> np.ndarray:
    """Height and width of the net's image, and a scale of 1."""
    sizes = [tuple(shape[2:]) for shape in shapes if len(shape) == 4]
    return np.array((max(sizes) if sizes else (1, 1)) + (1,))


def _values(meaning: str, message: Any, shape: Shape, random: Any) -> np.ndarray:
    if meaning == "indices":
        indices: np.ndarray = random.randint(0, message.embed_param.input_dim, shape)
        return indices
    if meaning in ("rows", "cells"):
        return np.zeros(shape)
    if meaning == "flags":
        return np.concatenate([np.zeros((1,) + shape[1:]), np.ones((shape[0] - 1,) + shape[1:])])
    values: np.ndarray = random.uniform(_LOWEST, _HIGHEST, shape)
    return values


def _extent(net: Net, layer: Layer, shapes: Mapping[str, Sequence[int]]) -> Tuple[float, float]:
    """The width and height of what a layer pools regions of, in the units of the regions."""
    given = {blob: tuple(shape) for blob, shape in shapes.items()}
    pooled = net_shapes.infer(net, given, [])[layer.bottoms[0]]
    param = (layer.message.roi_pooling_param if layer.type == "ROIPooling"
             else layer.message.psroi_pooling_param)
    return pooled[3] / param.spatial_scale, pooled[2] / param.spatial_scale


def _regions(extent: Tuple[float, float], shape: Shape, random: Any) -> np.ndarray:
    """Regions of the first image: its number, then left, top, right and bottom."""
    corners = np.sort(random.uniform(0, 1, (shape[0], 2, 2)), axis=1) * (np.array(extent) - 1)
    return np.hstack([np.zeros((shape[0], 1)), corners.reshape(shape[0], 4)]).reshape(shape)
