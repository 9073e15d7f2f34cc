"""Layers that combine or reduce numbers: Eltwise, Softmax, Reduction, ArgMax."""

from functools import reduce
from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.layers.activations import scaled_and_shifted
from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import FLOAT


@translation("Eltwise")
def eltwise(step: Step) -> List[str]:
    param = step.message.eltwise_param
    values = [bottom.name for bottom in step.bottoms]
    if param.operation == param.SUM:
        factors = list(param.coeff) or [1] * len(values)
        values = [scaled_and_shifted(step, value, factor, 0)
                  for value, factor in zip(values, factors)]
    operator = {param.PROD: "Mul", param.SUM: "Add", param.MAX: "Max"}[param.operation]
    return [reduce(lambda left, right: step.op(operator, left, right), values)]


@translation("Softmax")
def softmax(step: Step) -> List[str]:
    return [step.op("Softmax", step.bottoms[0], axis=step.message.softmax_param.axis)]


@translation("Reduction")
def reduction(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.reduction_param
    axes = list(range(param.axis % len(x.shape), len(x.shape)))
    if param.operation == param.MEAN:
        top = step.op("ReduceMean", x, axes=axes, keepdims=0)
    else:
        # ReduceL1 would do for ASUM, but gives another shape in OpenVINO 2026.
        terms = {param.SUM: lambda: x.name, param.ASUM: lambda: step.op("Abs", x),
                 param.SUMSQ: lambda: step.op("Mul", x, x)}[param.operation]()
        top = step.op("ReduceSum", terms, np.array(axes, np.int64), keepdims=0)
    return [scaled_and_shifted(step, top, param.coeff, 0)]


@translation("ArgMax")
def argmax(step: Step) -> List[str]:
    """Of equal values Caffe takes the one with the larger index, ONNX that with the smaller: so
    the axis is reversed first."""
    x, param = step.bottoms[0], step.message.argmax_param
    has_axis = param.HasField("axis")
    axis = param.axis % len(x.shape) if has_axis else 1
    rows, count = x.name, x.size(axis)
    if not has_axis:
        rows, count = step.op("Flatten", x, axis=1), int(np.prod(x.sizes(1)))
    backwards = np.arange(count - 1, -1, -1, dtype=np.int64)
    reversed_rows = step.op("Gather", rows, backwards, axis=axis)
    best, index = step.ops("TopK", 2, reversed_rows, np.array([param.top_k], np.int64), axis=axis)
    index = step.op("Sub", np.float32(count - 1), step.op("Cast", index, to=FLOAT))
    if has_axis:
        return [best if param.out_max_val else index]
    if not param.out_max_val:
        return [step.reshape(index, step.tops[0])]
    pair = [step.op("Unsqueeze", value, np.array([1], np.int64)) for value in (index, best)]
    return [step.reshape(step.op("Concat", *pair, axis=1), step.tops[0])]
