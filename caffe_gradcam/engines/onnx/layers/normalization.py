"""Layers that shift and scale: LRN, BatchNorm, MVN, Scale, Bias."""

from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, aligned, translation
from caffe_gradcam.engines.onnx.writer import Value


@translation("LRN")
def lrn(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.lrn_param
    size = param.local_size
    if param.norm_region == param.ACROSS_CHANNELS:
        return [step.op("LRN", x, size=size, alpha=param.alpha, beta=param.beta, bias=param.k)]
    pad = [(size - 1) // 2] * 4
    means = step.op("AveragePool", step.op("Mul", x, x), kernel_shape=[size, size], pads=pad,
                    strides=[1, 1], count_include_pad=1)
    scale = step.op("Add", step.op("Mul", means, np.float32(param.alpha)), np.float32(1))
    return [step.op("Mul", x, step.op("Pow", scale, np.float32(-param.beta)))]


@translation("BatchNorm")
def batch_norm(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.batch_norm_param
    if param.HasField("use_global_stats") and not param.use_global_stats:
        axes = [axis for axis in range(len(x.shape)) if axis != 1]
        return [_standardized(step, x.name, axes, param.eps, inside_root=True)]
    factor = step.weights[2].reshape(-1)[0]
    mean, variance = (array.reshape(-1) * (1 / factor if factor else factor)
                      for array in step.weights[:2])
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    return [step.op("BatchNormalization", x, ones, zeros, mean, variance, epsilon=param.eps)]


@translation("BN")
def batch_normalization(step: Step) -> List[str]:
    """PSPNet: slope, bias, mean, variance. SegNet for inference: slope and bias alone."""
    x, param = step.bottoms[0], step.message.bn_param
    slope, shift = (array.reshape(-1) for array in step.weights[:2])
    if len(step.weights) == 4:
        mean, variance = (array.reshape(-1) for array in step.weights[2:])
        return [step.op("BatchNormalization", x, slope, shift, mean, variance, epsilon=param.eps)]
    top = x.name
    if param.bn_mode == param.LEARN:
        axes = [axis for axis in range(len(x.shape)) if axis != 1]
        top = _standardized(step, top, axes, 1e-9, inside_root=True)
    shape = aligned(slope.shape, 1, len(x.shape))
    return [step.op("Add", step.op("Mul", top, slope.reshape(shape)), shift.reshape(shape))]


@translation("MVN")
def mean_variance(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.mvn_param
    value = x.name if len(x.shape) == 4 else step.reshape(x.name, step.tops[0])
    axes = [1, 2, 3] if param.across_channels else [2, 3]
    if param.normalize_variance:
        return [_standardized(step, value, axes, param.eps, inside_root=False)]
    return [step.op("Sub", value, step.op("ReduceMean", value, axes=axes, keepdims=1))]


def _standardized(step: Step, value: str, axes: List[int], eps: float, inside_root: bool) -> str:
    """A value without its mean over some axes, divided by its deviation there."""
    centred = step.op("Sub", value, step.op("ReduceMean", value, axes=axes, keepdims=1))
    variance = step.op("ReduceMean", step.op("Mul", centred, centred), axes=axes, keepdims=1)
    if inside_root:
        deviation = step.op("Sqrt", step.op("Add", variance, np.float32(eps)))
    else:
        deviation = step.op("Add", step.op("Sqrt", variance), np.float32(eps))
    return step.op("Div", centred, deviation)


@translation("Scale")
def scale(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.scale_param
    top = step.op("Mul", x, factors_of(step))
    if param.bias_term:
        top = step.op("Add", top, _learned(step, step.weights[-1], param.axis % len(x.shape)))
    return [top]


def factors_of(step: Step) -> str:
    """What a Scale layer multiplies by, over the axes of its first bottom."""
    axis = step.message.scale_param.axis % len(step.bottoms[0].shape)
    if len(step.bottoms) == 2:
        return _aligned_bottom(step, axis)
    return _learned(step, step.weights[0], axis)


@translation("Bias")
def bias(step: Step) -> List[str]:
    x = step.bottoms[0]
    axis = step.message.bias_param.axis % len(x.shape)
    if len(step.bottoms) == 2:
        return [step.op("Add", x, _aligned_bottom(step, axis))]
    return [step.op("Add", x, _learned(step, step.weights[0], axis))]


def _learned(step: Step, array: np.ndarray, axis: int) -> str:
    """A learned blob over the axes of the first bottom from ``axis`` on."""
    axes = len(step.bottoms[0].shape)
    return step.name_of(array.reshape(aligned(array.shape, axis, axes) if array.ndim else (1,)))


def _aligned_bottom(step: Step, axis: int) -> str:
    x, factors = step.bottoms
    if not factors.shape:
        return factors.name
    return align(step, factors, axis, len(x.shape))


def align(step: Step, value: Value, axis: int, axes: int) -> str:
    """A value over the axes from ``axis`` on of one with ``axes`` axes."""
    shape = aligned(value.shape, axis, axes)
    if shape == value.shape:
        return value.name
    new = list(range(axis)) + list(range(axis + len(value.shape), axes))
    return step.op("Unsqueeze", value, np.array(new, np.int64))
