"""What a net costs: learned parameters and multiply-adds, layer by layer."""

from typing import NamedTuple, Optional

from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import PrototxtError
from prototxt_tools.shapes import rules, volume


class Cost(NamedTuple):
    """None where the shapes of the layer's blobs are not known, or it cannot be built."""

    parameters: Optional[int]
    multiply_adds: Optional[int]


def costs(net, shapes):
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


def total(net, shapes):
    """The cost of the net; weights that layers share by name count once. See ``costs``.

    Layers of unknown cost count nothing.
    """
    seen, parameters, multiply_adds = set(), 0, 0
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


def _cost(layer, shapes):
    bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
    if layer.type not in rules.TOPS and layer.type != "Input":
        return Cost(None, None)
    if layer.type not in rules.PARAMETERS:
        return Cost(0, 0)
    if None in bottoms:
        return Cost(None, None)
    try:
        blobs = blob_shapes.parameters_of(layer, shapes)
    except PrototxtError:
        return Cost(None, None)
    return Cost(sum(map(volume, blobs)), _multiply_adds(layer, bottoms, blobs, shapes))


def _multiply_adds(layer, bottoms, blobs, shapes):
    """How often each weight of a matrix is used, times the weights."""
    if layer.type == "Deconvolution":
        # Each weight meets each cell of the input once, with the channels of its group.
        axis = blob_shapes.axis_of(layer.message.convolution_param.axis, bottoms[0])
        return _uses(bottoms[0], axis) * volume(blobs[0]) * len(bottoms)
    if layer.type.startswith(("Convolution", "DepthwiseConvolution")):
        axis = blob_shapes.axis_of(layer.message.convolution_param.axis, bottoms[0])
        tops = [shapes[top] for top in layer.tops if top in shapes]
        return sum(_uses(top, axis) for top in tops) * volume(blobs[0])
    if layer.type == "InnerProduct":
        axis = blob_shapes.axis_of(layer.message.inner_product_param.axis, bottoms[0])
        return volume(bottoms[0][:axis]) * volume(blobs[0])
    if layer.type in ("LSTM", "RNN"):
        return volume(bottoms[0][:2]) * sum(volume(blob) for blob in blobs if len(blob) > 1)
    return 0


def _uses(shape, axis):
    return volume(shape[:axis] + shape[axis + 1 :])
