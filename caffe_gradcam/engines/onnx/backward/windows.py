"""Gradients of layers that slide a window, and of LRN."""

from typing import List, Sequence

import numpy as np

from caffe_gradcam.engines.onnx.backward.registry import single
from caffe_gradcam.engines.onnx.layers.pooling import Windows
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import Value
from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import convolution_windows


@single("Convolution")
def convolution(step: Step, gradient: str) -> str:
    return _unconvolved(step, gradient, step.message.convolution_param.group)


@single("DepthwiseConvolution", "ConvolutionDepthwise")
def depthwise_convolution(step: Step, gradient: str) -> str:
    return _unconvolved(step, gradient, step.bottoms[0].size(1))


def _unconvolved(step: Step, gradient: str, groups: int) -> str:
    """The transposed convolution, of exactly the bottom's size."""
    x, param = step.bottoms[0], step.message.convolution_param
    _check_bottom(step)
    kernel, stride, pad, dilation = convolution_windows(param, len(x.shape) - 2)
    sizes = zip(x.sizes(2), step.tops[0].sizes(2), kernel, stride, pad, dilation)
    rest = [size - ((count - 1) * s - 2 * p + d * (k - 1) + 1)
            for size, count, k, s, p, d in sizes]
    return step.op("ConvTranspose", gradient, step.weights[0], kernel_shape=kernel,
                   strides=stride, pads=pad + pad, dilations=dilation, group=groups,
                   output_padding=rest)


def _check_bottom(step: Step) -> None:
    """Refuse a convolution or deconvolution over other axes than those behind axis 1."""
    x = step.bottoms[0]
    is_usual = axis_of(step.message.convolution_param.axis, x.shape) == 1 and len(x.shape) > 2
    if len(step.bottoms) > 1 or not is_usual:
        raise step.refuse("its gradient is known only for one bottom that has its channels in "
                          "axis 1 and spatial axes behind it")


@single("Deconvolution")
def deconvolution(step: Step, gradient: str) -> str:
    x, param = step.bottoms[0], step.message.convolution_param
    _check_bottom(step)
    kernel, stride, pad, dilation = convolution_windows(param, len(x.shape) - 2)
    return step.op("Conv", gradient, step.weights[0], kernel_shape=kernel, strides=stride,
                   pads=pad + pad, dilations=dilation, group=param.group)


@single("Pooling")
def pooling(step: Step, gradient: str) -> str:
    param, windows = step.message.pooling_param, Windows.of(step)
    if param.pool == param.AVE:
        return _spread(step, gradient, windows)
    return _returned(step, gradient, windows)


def _spread(step: Step, gradient: str, windows: Windows) -> str:
    """Equal parts for all cells of each window."""
    area = float(np.prod(windows.kernel))
    if windows.is_global:
        return step.op("Mul", gradient, np.full([1, 1] + windows.kernel, 1 / area, np.float32))
    areas = windows.areas()
    shares = step.op("Mul", gradient, np.float32(1 / area) if areas is None
                     else (1 / areas).astype(np.float32))
    channels = step.bottoms[0].size(1)
    ends = [p + size for p, size in zip(windows.pad, windows.sizes)]
    rest = [max(0, end - ((count - 1) * s + k)) for end, count, s, k
            in zip(ends, windows.counts, windows.stride, windows.kernel)]
    spread = step.op(
        "ConvTranspose", shares, np.ones([channels, 1] + windows.kernel, np.float32),
        kernel_shape=windows.kernel, strides=windows.stride, group=channels, output_padding=rest)
    return _cut(step, spread, windows.pad, ends)


def _cut(step: Step, value: str, begins: Sequence[int], ends: Sequence[int]) -> str:
    return step.op("Slice", value, np.array(begins, np.int64), np.array(ends, np.int64),
                   np.array([2, 3], np.int64))


def _returned(step: Step, gradient: str, windows: Windows) -> str:
    """All of it for the cell that was the largest; where windows overlap, the sum."""
    x = step.bottoms[0]
    if not windows.pads_fit:
        raise step.refuse("it has windows that lie in the padding, whose gradient leads nowhere")
    _, index = step.ops("MaxPool", 2, x, kernel_shape=windows.kernel, strides=windows.stride,
                        pads=windows.pad + windows.ends)
    last = np.array([-1], np.int64)
    total = step.op("ReduceProd", step.op("Shape", x), axes=[0], keepdims=1)
    zeros = step.op("Expand", np.zeros(1, np.float32), total)
    flat = step.op("ScatterElements", zeros, step.op("Reshape", index, last),
                   step.op("Reshape", gradient, last), axis=0, reduction="add")
    return step.reshape(flat, Value("", x.shape, x.open_axes))


@single("LRN")
def lrn(step: Step, gradient: str) -> str:
    """y = x s^-b with s = k + a M(x^2), where M sums or averages over a symmetric window: so
    the gradient is g s^-b - 2 a b x M(g y / s)."""
    x, top, param = step.bottoms[0], step.tops[0], step.message.lrn_param
    across = param.norm_region == param.ACROSS_CHANNELS
    alpha = param.alpha / param.local_size if across else param.alpha
    base = param.k if across else 1
    squares = _window_sums(step, step.op("Mul", x, x))
    scale = step.op("Add", step.op("Mul", squares, np.float32(alpha)), np.float32(base))
    direct = step.op("Mul", gradient, step.op("Pow", scale, np.float32(-param.beta)))
    ratio = step.op("Div", step.op("Mul", gradient, top), scale)
    others = step.op("Mul", x, _window_sums(step, ratio))
    return step.op("Sub", direct, step.op("Mul", others, np.float32(2 * alpha * param.beta)))


def _window_sums(step: Step, value: str) -> str:
    """Sums over neighbouring channels, or means over neighbouring cells, of an LRN layer."""
    param, size = step.message.lrn_param, step.message.lrn_param.local_size
    if param.norm_region != param.ACROSS_CHANNELS:
        pads: List[int] = [(size - 1) // 2] * 4
        return step.op("AveragePool", value, kernel_shape=[size, size], pads=pads,
                       strides=[1, 1], count_include_pad=1)
    channels = np.arange(step.bottoms[0].size(1))
    near = np.abs(channels[:, np.newaxis] - channels) <= (size - 1) // 2
    band = near.astype(np.float32)[:, :, np.newaxis, np.newaxis]
    return step.op("Conv", value, band, kernel_shape=[1, 1])
