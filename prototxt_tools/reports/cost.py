"""What a net costs: learned parameters and multiply-adds, layer by layer."""

from dataclasses import dataclass
from typing import List, Optional, Set

from prototxt_tools import layers
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import PrototxtError
from prototxt_tools.layers.sizes import volume
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.shapes import Shapes


@dataclass(frozen=True)
class Cost:
    """None where the shapes of the layer's blobs are not known, or it cannot be built."""

    parameters: Optional[int]
    multiply_adds: Optional[int]


def costs(net: Net, shapes: Shapes) -> List[Cost]:
    """The cost of each layer.

    Multiply-adds are those of matrix products (Convolution, Deconvolution, InnerProduct, LSTM,
    RNN), for all items of the batch. What other layers do, a few operations for each value, is
    left out, as papers do.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        At one phase.
    shapes : dict
        See ``shapes.infer``.

    Returns
    -------
    list of Cost
        In the order of ``net.layers``. The parameters of BatchNorm are its statistics.
    """
    return [_cost(layer, shapes) for layer in net.layers]


def total(net: Net, shapes: Shapes) -> Cost:
    """The cost of the net; weights that layers share by name count once. See ``costs``.

    Layers of unknown cost count nothing.
    """
    seen: Set[str] = set()
    parameters = multiply_adds = 0
    for layer, cost in zip(net.layers, costs(net, shapes)):
        multiply_adds += cost.multiply_adds or 0
        if cost.parameters:
            blobs = blob_shapes.parameters_of(layer, shapes)
            names = [spec.name for spec in layer.message.param]
            names += [""] * (len(blobs) - len(names))
            for name, shape in zip(names, blobs):
                parameters += 0 if name in seen else volume(shape)
                seen.update([name] if name else [])
    return Cost(parameters, multiply_adds)


def _cost(layer: Layer, shapes: Shapes) -> Cost:
    layer_type = layers.of(layer.type)
    if layer_type.shape is None and layer_type.role != "constant":
        return Cost(None, None)
    if layer_type.blobs is None:
        return Cost(0, 0)
    bottoms = [shapes[bottom] for bottom in layer.bottoms if bottom in shapes]
    if len(bottoms) < len(layer.bottoms):
        return Cost(None, None)
    try:
        blobs = blob_shapes.parameters_of(layer, shapes)
    except PrototxtError:
        return Cost(None, None)
    products = 0
    if layer_type.multiply_adds is not None:
        tops = [shapes[top] for top in layer.tops if top in shapes]
        products = layer_type.multiply_adds(layer.message, bottoms, tops, blobs)
    return Cost(sum(map(volume, blobs)), products)
