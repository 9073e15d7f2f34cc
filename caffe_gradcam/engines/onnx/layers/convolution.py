"""Convolution and its kin."""

from typing import List, Optional

import numpy as np

from caffe_gradcam.engines.onnx.registry import Operand, Step, translation
from caffe_gradcam.engines.onnx.writer import Value
from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import convolution_windows


@translation("Convolution")
def convolution(step: Step) -> List[str]:
    return convolve(step, "Conv")


@translation("DepthwiseConvolution", "ConvolutionDepthwise")
def depthwise_convolution(step: Step) -> List[str]:
    """MobileNet: one group per channel, whatever ``group`` says."""
    param = step.message.convolution_param
    return convolve(step, "Conv", step.bottoms[0].size(param.axis))


@translation("Deconvolution")
def deconvolution(step: Step) -> List[str]:
    return convolve(step, "ConvTranspose")


def convolve(step: Step, operator: str, groups: Optional[int] = None) -> List[str]:
    """One filter bank on every bottom; all axes after the channel axis are spatial."""
    param = step.message.convolution_param
    tops = []
    for bottom, top in zip(step.bottoms, step.tops):
        channel = axis_of(param.axis, bottom.shape)
        spatial = len(bottom.shape) - channel - 1
        kernels, value = step.weights[0], _batched(step, bottom, channel)
        kernel, stride, pad, dilation = convolution_windows(param, spatial)
        if not spatial:  # A product of the channels, for which Conv needs one axis.
            kernels, value = kernels[..., np.newaxis], step.op(
                "Unsqueeze", value, np.array([2], np.int64))
            kernel, stride, pad, dilation = [1], [1], [0], [1]
        operands: List[Operand] = [value, kernels]
        operands += [step.weights[1].reshape(-1)] if param.bias_term else []
        convolved = step.op(operator, *operands, kernel_shape=kernel, strides=stride,
                            pads=pad + pad, dilations=dilation, group=groups or param.group)
        tops.append(convolved if channel == 1 and spatial else step.reshape(convolved, top))
    return tops


def _batched(step: Step, bottom: Value, channel: int) -> str:
    """The bottom with one axis before the channels."""
    if channel == 1:
        return bottom.name
    is_open = any(axis < channel for axis in bottom.open_axes)
    batch = int(np.prod(bottom.shape[:channel]))
    axes = [0] if is_open else []
    axes += [axis - channel + 1 for axis in bottom.open_axes if axis >= channel]
    return step.reshape(bottom.name, Value("", (batch,) + bottom.shape[channel:], frozenset(axes)))


@translation("Im2col")
def im2col(step: Step) -> List[str]:
    """A convolution whose kernels each pick one number of the window."""
    param = step.message.convolution_param
    tops = []
    for bottom, top in zip(step.bottoms, step.tops):
        channel = axis_of(param.axis, bottom.shape)
        spatial = len(bottom.shape) - channel - 1
        kernel, stride, pad, dilation = convolution_windows(param, spatial)
        channels, cells = bottom.size(channel), int(np.prod(kernel))
        picks = np.eye(cells, dtype=np.float32).reshape([cells, 1] + kernel)
        picked = step.op("Conv", _batched(step, bottom, channel),
                         np.tile(picks, (channels,) + (1,) * (spatial + 1)), kernel_shape=kernel,
                         strides=stride, pads=pad + pad, dilations=dilation, group=channels)
        tops.append(picked if channel == 1 else step.reshape(picked, top))
    return tops
