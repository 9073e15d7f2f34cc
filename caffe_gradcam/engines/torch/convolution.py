"""Convolution and its kin (caffe/layers/base_conv_layer.cpp)."""

import torch.nn.functional as F

from ..base import EngineError
from .registry import layer

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
DECONVOLUTIONS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def per_axis(param, name, axes, default):
    """One number for each spatial axis, from `name`, repeated or not, or ``name_h``, ``name_w``."""
    pair = name.replace("kernel_size", "kernel")
    pair = (pair + "_h", pair + "_w")
    if name != "dilation" and any(param.HasField(field) for field in pair):
        return tuple(getattr(param, field) for field in pair)
    values = tuple(getattr(param, name)) or (default,)
    return values * axes if len(values) == 1 else values


def convolve(message, bottoms, weights, functions, groups=None):
    """Apply one filter bank to every bottom; all axes after the channel axis are spatial."""
    param = message.convolution_param
    kernels = weights[0]
    bias = weights[1].reshape(-1) if param.bias_term else None
    tops = []
    for bottom in bottoms:
        channel = param.axis % bottom.dim()
        lead, axes = bottom.shape[:channel], bottom.dim() - channel - 1
        if axes not in functions:
            raise EngineError("layer {!r}: the torch engine convolves over 1 to 3 axes, not {}"
                              .format(message.name, axes))
        top = functions[axes](
            bottom.reshape((-1,) + bottom.shape[channel:]), kernels, bias,
            stride=per_axis(param, "stride", axes, 1), padding=per_axis(param, "pad", axes, 0),
            dilation=per_axis(param, "dilation", axes, 1), groups=groups or param.group)
        tops.append(top.reshape(lead + top.shape[1:]))
    return tops


@layer("Convolution")
def convolution(message, bottoms, weights):
    return convolve(message, bottoms, weights, CONVOLUTIONS)


@layer("DepthwiseConvolution", "ConvolutionDepthwise")
def depthwise_convolution(message, bottoms, weights):
    channels = bottoms[0].shape[message.convolution_param.axis]
    return convolve(message, bottoms, weights, CONVOLUTIONS, groups=channels)


@layer("Deconvolution")
def deconvolution(message, bottoms, weights):
    return convolve(message, bottoms, weights, DECONVOLUTIONS)


@layer("Im2col")
def im2col(message, bottoms, weights):
    param = message.convolution_param
    kernel, stride = per_axis(param, "kernel_size", 2, None), per_axis(param, "stride", 2, 1)
    pad, dilation = per_axis(param, "pad", 2, 0), per_axis(param, "dilation", 2, 1)
    tops = []
    for bottom in bottoms:
        columns = F.unfold(bottom, kernel, dilation=dilation, padding=pad, stride=stride)
        height, width = (
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, s, p, d in zip(bottom.shape[2:], kernel, stride, pad, dilation))
        tops.append(columns.reshape(bottom.shape[0], -1, height, width))
    return tops
