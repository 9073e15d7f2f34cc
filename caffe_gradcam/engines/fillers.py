"""What Caffe puts into the blobs of a layer that a weights file has nothing for."""

import numpy as np

from prototxt_tools.errors import EngineError

# Layer type -> its message of parameters and, for each blob, the filler's field and the value
# where there is none; None for a blob that holds zeros, whatever the definition says.
_WEIGHT, _BIAS = ("weight_filler", 0), ("bias_filler", 0)
_FILLERS = {
    "BatchNorm": ("batch_norm_param", [None, None, None]),
    "Bias": ("bias_param", [("filler", 0)]),
    "Convolution": ("convolution_param", [_WEIGHT, _BIAS]),
    "Deconvolution": ("convolution_param", [_WEIGHT, _BIAS]),
    "DepthwiseConvolution": ("convolution_param", [_WEIGHT, _BIAS]),
    "Embed": ("embed_param", [_WEIGHT, _BIAS]),
    "InnerProduct": ("inner_product_param", [_WEIGHT, _BIAS]),
    "PReLU": ("prelu_param", [("filler", 0.25)]),
    "Parameter": ("parameter_param", [None]),
    "Scale": ("scale_param", [("filler", 1), _BIAS]),
}


def fill(layer, shapes):
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
    EngineError
        A filler draws random numbers, or nobody knows how the type fills its blobs.
    """
    if layer.type not in _FILLERS:
        raise EngineError(f"no weights for layer {layer.name}, and how {layer.type} fills its blobs is not known here; "
                          "give its weights")
    field, rules = _FILLERS[layer.type]
    return [_filled(layer, field, rule, shape) for rule, shape in zip(rules, shapes)]


def _filled(layer, field, rule, shape):
    if rule is None:
        return np.zeros(shape, np.float32)
    name, default = rule
    param = getattr(layer.message, field)
    if not param.HasField(name):
        return np.full(shape, default, np.float32)
    filler = getattr(param, name)
    if filler.type == "constant":
        return np.full(shape, filler.value, np.float32)
    if filler.type == "bilinear":
        return _bilinear(shape)
    raise EngineError(f"no weights for layer {layer.name}, and its filler {filler.type!r} draws random numbers; give its "
                      "weights, or run it in Caffe")


def _bilinear(shape):
    """Kernels that resize bilinearly, one like the other."""
    size = shape[-1]
    factor = (size + 1) // 2
    centre = (2 * factor - 1 - factor % 2) / (2.0 * factor)
    line = 1 - abs(np.arange(size) / float(factor) - centre)
    return np.broadcast_to(np.outer(line, line), shape).astype(np.float32)
