"""What Caffe puts into the blobs of a layer that a weights file has nothing for."""

from typing import List, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools.errors import WeightsError
from prototxt_tools.net.net import Layer

Shape = Tuple[int, ...]


def fill(layer: Layer, shapes: Sequence[Shape]) -> List[np.ndarray]:
    """The blobs of a layer as its fillers make them.

    Caffe: ``include/caffe/filler.hpp`` and the set-up of each layer.

    Parameters
    ----------
    layer : prototxt_tools.net.net.Layer
    shapes : list of tuple

    Returns
    -------
    list of numpy.ndarray

    Raises
    ------
    WeightsError
        A filler draws random numbers, or it is not known how the type fills its blobs.
    """
    layer_type = layers.of(layer.type)
    if layer_type.fillers is None:
        raise WeightsError(f"no weights for layer {layer.name}, and how {layer.type} fills its "
                           "blobs is not known here; give its weights", layer.name)
    return [_filled(layer, layer_type.parameters, filler, shape)
            for filler, shape in zip(layer_type.fillers, shapes)]


def _filled(layer: Layer, parameters: str, filler_field: Optional[Tuple[str, float]],
            shape: Shape) -> np.ndarray:
    if filler_field is None:
        return np.zeros(shape, np.float32)
    name, default = filler_field
    param = getattr(layer.message, parameters)
    if not param.HasField(name):
        return np.full(shape, default, np.float32)
    filler = getattr(param, name)
    if filler.type == "constant":
        return np.full(shape, filler.value, np.float32)
    if filler.type == "bilinear":
        return _bilinear(shape)
    raise WeightsError(f"no weights for layer {layer.name}, and its filler {filler.type!r} draws "
                       "random numbers; give its weights, or run it in Caffe", layer.name)


def _bilinear(shape: Shape) -> np.ndarray:
    """Kernels that resize bilinearly, one like the other."""
    size = shape[-1]
    factor = (size + 1) // 2
    centre = (2 * factor - 1 - factor % 2) / (2.0 * factor)
    line = 1 - abs(np.arange(size) / float(factor) - centre)
    return np.broadcast_to(np.outer(line, line), shape).astype(np.float32)
