"""The methods that need a layer's blob and gradients, as operators.

The formulas are those of ``caffe_gradcam.explaining.methods.gradients``.
"""

from typing import Callable, Dict

import numpy as np

from caffe_gradcam.engines.onnx.backward.gradients import Gradients
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import FLOAT, Value

# A channel whose sum is a smaller part of its absolute sum than this has cancelled to nothing.
_CANCELLED = 1e-6
_CELLS = np.array([2, 3], np.int64)
_CHANNELS = np.array([1], np.int64)

# (step, activations, gradients) -> map, N x h x w.
MapOf = Callable[[Step, Value, str], str]


def seed(step: Step, classes: str, score: Value) -> str:
    """The gradient at a score blob of one class for each row (N x 1, int64)."""
    count = int(np.prod(score.shape[1:]))
    everything = np.arange(count, dtype=np.int64)[np.newaxis]
    one_hot = step.op("Cast", step.op("Equal", classes, everything), to=FLOAT)
    result = one_hot if len(score.shape) == 2 else step.reshape(one_hot, score)
    step.writer.one_hot.update({one_hot: classes, result: classes})
    return result


def of_rank(step: Step, classes: str, rank: int) -> str:
    """One column, N x 1, of several classes for each row (N x R)."""
    return step.op("Slice", classes, *(np.array([edge], np.int64) for edge in (rank, rank + 1, 1)))


def weighted(step: Step, activations: Value, weights: str) -> str:
    """The sum of the channels, each by its weight (N x C)."""
    height, width = activations.sizes(2)
    channels = activations.size(1)
    flat = step.reshape(activations, Value(
        "", (activations.shape[0], channels, height * width), activations.open_axes & {0}))
    rows = step.op("Unsqueeze", weights, _CHANNELS)
    product = step.op("MatMul", rows, flat)
    return step.reshape(product, Value(
        "", (activations.shape[0], height, width), activations.open_axes & {0}))


def _hires_cam(step: Step, activations: Value, gradients: str) -> str:
    product = step.op("Mul", activations, gradients)
    return step.op("ReduceSum", product, _CHANNELS, keepdims=0)


def _element_wise(step: Step, activations: Value, gradients: str) -> str:
    product = step.op("Relu", step.op("Mul", activations, gradients))
    return step.op("ReduceSum", product, _CHANNELS, keepdims=0)


def _layer_cam(step: Step, activations: Value, gradients: str) -> str:
    return _hires_cam(step, activations, step.op("Relu", gradients))


def _xgrad_cam(step: Step, activations: Value, gradients: str) -> str:
    sums = step.op("ReduceSum", activations, _CELLS, keepdims=0)
    sizes = step.op("ReduceSum", step.op("Abs", activations), _CELLS, keepdims=0)
    holds = step.op("Greater", step.op("Abs", sums),
                    step.op("Mul", sizes, np.float32(_CANCELLED)))
    product = step.op("ReduceSum", step.op("Mul", activations, gradients), _CELLS, keepdims=0)
    divisor = step.op("Where", holds, sums, np.float32(1))
    weights = step.op("Where", holds, step.op("Div", product, divisor), np.float32(0))
    return weighted(step, activations, weights)


def _grad_cam_plus_plus(step: Step, activations: Value, gradients: str) -> str:
    sums = step.op("Relu", step.op("ReduceSum", activations, _CELLS, keepdims=1))
    positive = step.op("Relu", gradients)
    divisor = step.op("Add", step.op("Mul", sums, positive), np.float32(2))
    weights = step.op("ReduceSum", step.op("Div", positive, divisor), _CELLS, keepdims=0)
    return weighted(step, activations, weights)


METHODS: Dict[str, MapOf] = {
    "hirescam": _hires_cam, "element-wise": _element_wise, "layer-cam": _layer_cam,
    "xgrad-cam": _xgrad_cam, "grad-cam++": _grad_cam_plus_plus,
}


def of_layer(method: str, step: Step, layer: str, gradients: Gradients,
             only_positive: bool = False) -> str:
    """The map of a class at a layer, N x h x w.

    Parameters
    ----------
    method : str
        "grad-cam" or a key of ``METHODS``.
    step : Step
        Whose name the nodes get.
    layer : str
        A blob of four axes.
    gradients : Gradients
        Of the class.
    only_positive : bool
        Whether negative gradients count as 0.
    """
    activations = gradients.translated.values[layer]
    if method == "grad-cam" and not only_positive:
        return weighted(step, activations, gradients.mean_at(layer))
    gradient = gradients.at(activations)
    if only_positive:
        gradient = step.op("Relu", gradient)
    if method == "grad-cam":
        return weighted(step, activations, step.op(
            "ReduceMean", gradient, axes=_CELLS.tolist(), keepdims=0))
    return METHODS[method](step, activations, gradient)
