"""The methods that need a layer's blob and gradients, as operators; see ``methods.gradients``."""

from typing import Callable, Dict, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import FLOAT, Value

# A channel whose sum is a smaller part of its absolute sum than this has cancelled to nothing.
_CANCELLED = 1e-6
_CELLS = np.array([2, 3], np.int64)
_CHANNELS = np.array([1], np.int64)

# (step, activations, gradients) -> map, N x h x w.
MapOf = Callable[[Step, Value, str], str]


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


def heatmap(step: Step, cam: str, shape: Value, matrices: Tuple[np.ndarray, np.ndarray]) -> str:
    """The positive part of a map at the input's size, divided by its maximum.

    Parameters
    ----------
    cam : str
        Rows x h x w.
    shape : Value
        Of the map.
    matrices : (numpy.ndarray, numpy.ndarray)
        H x h and W x w: they resize, as two products cost less than an operator that resizes.
    """
    down, across = matrices
    axes = np.array([len(shape.shape) - 2, len(shape.shape) - 1], np.int64)
    highest = step.op("ReduceMax", cam, axes=axes.tolist(), keepdims=1)
    lowest = step.op("ReduceMin", cam, axes=axes.tolist(), keepdims=1)
    shows = step.op("Greater", highest, step.op("Relu", lowest))
    positive = step.op("MatMul", np.float32(down), step.op("Relu", cam))
    laid = step.op("MatMul", positive, np.ascontiguousarray(across.T, np.float32))
    largest = step.op("ReduceMax", laid, axes=axes.tolist(), keepdims=1)
    divisor = step.op("Where", step.op("Greater", largest, np.float32(0)), largest, np.float32(1))
    return step.op("Mul", step.op("Div", laid, divisor), step.op("Cast", shows, to=FLOAT))
