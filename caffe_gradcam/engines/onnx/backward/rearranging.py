"""Gradients of layers that move numbers, and of those that multiply by a matrix."""

from typing import List, Optional

import numpy as np

from caffe_gradcam.engines.onnx.backward.products import times
from caffe_gradcam.engines.onnx.backward.registry import Gradients, backward, single
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import Value
from prototxt_tools.layers.sizes import axis_of


@backward("Split")
def split(step: Step, gradients: List[Optional[str]]) -> Gradients:
    given = [gradient for gradient in gradients if gradient is not None]
    return [given[0] if len(given) == 1 else step.op("Sum", *given)]


@single("Flatten", "Reshape")
def reshaped(step: Step, gradient: str) -> str:
    return step.reshape(gradient, step.bottoms[0])


@single("Permute")
def permute(step: Step, gradient: str) -> str:
    order = list(step.message.permute_param.order)
    order += [axis for axis in range(len(step.bottoms[0].shape)) if axis not in order]
    return step.op("Transpose", gradient, perm=[int(axis) for axis in np.argsort(order)])


@backward("Concat")
def concat(step: Step, gradients: List[Optional[str]]) -> Gradients:
    gradient, param = gradients[0], step.message.concat_param
    assert gradient is not None
    axis = axis_of(param.concat_dim if param.HasField("concat_dim") else param.axis,
                   step.bottoms[0].shape)
    sizes = [bottom.size(axis) for bottom in step.bottoms]
    if len(sizes) == 1:
        return [gradient]
    return step.ops("Split", len(sizes), gradient, np.array(sizes, np.int64), axis=axis)


@backward("Slice")
def slices(step: Step, gradients: List[Optional[str]]) -> Gradients:
    param, x = step.message.slice_param, step.bottoms[0]
    axis = axis_of(param.slice_dim if param.HasField("slice_dim") else param.axis, x.shape)
    parts = [step.op("Mul", top, np.float32(0)) if gradient is None else gradient
             for top, gradient in zip(step.tops, gradients)]
    return [step.op("Concat", *parts, axis=axis)]


@single("ShuffleChannel")
def shuffle_channel(step: Step, gradient: str) -> str:
    x, groups = step.bottoms[0], step.message.shuffle_channel_param.group
    shape = (x.shape[0], x.size(1) // groups, groups) + x.shape[2:]
    axes = frozenset(axis if axis == 0 else axis + 1 for axis in x.open_axes)
    grouped = step.reshape(gradient, Value("", shape, axes))
    order = [0, 2, 1] + list(range(3, len(shape)))
    return step.reshape(step.op("Transpose", grouped, perm=order), x)


@single("InnerProduct")
def inner_product(step: Step, gradient: str) -> str:
    x, param = step.bottoms[0], step.message.inner_product_param
    axis = axis_of(param.axis, x.shape)
    rows = gradient if axis == 1 else step.op("Flatten", gradient, axis=axis)
    if param.transpose:
        product = step.op("Gemm", rows, step.weights[0], transB=1)
    else:
        product = times(step, rows, step.weights[0])
    return product if axis == 1 and len(x.shape) == 2 else step.reshape(product, x)
