"""Convolution and its kin (caffe/layers/base_conv_layer.cpp)."""

from typing import Any, Callable, Dict, Optional

import torch.nn.functional as F

from prototxt_tools.errors import EngineError
from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import convolution_windows

from . import products
from .registry import Message, Tensors, built_in

Functions = Dict[int, Callable[..., Any]]

CONVOLUTIONS: Functions = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
DECONVOLUTIONS: Functions = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def convolve(message: Message, bottoms: Tensors, weights: Tensors, functions: Functions,
             groups: Optional[int] = None) -> Tensors:
    """Apply one filter bank to every bottom; all axes after the channel axis are spatial."""
    param = message.convolution_param
    kernels = weights[0]
    bias = weights[1].reshape(-1) if param.bias_term else None
    tops = []
    for bottom in bottoms:
        channel = param.axis % bottom.dim()
        lead, axes = bottom.shape[:channel], bottom.dim() - channel - 1
        if axes > max(functions):
            raise EngineError(f"layer {message.name!r}: the torch engine convolves over at most "
                              f"{max(functions)} axes, not {axes}", message.name)
        _, stride, pad, dilation = convolution_windows(param, axes)
        # Over no axes it is a product of the channels, for which torch needs one axis.
        added = () if axes else (1,)
        top = products.convolve(
            functions[axes or 1], bottom.reshape((-1,) + bottom.shape[channel:] + added),
            kernels.reshape(kernels.shape + added), bias, stride=stride or 1, padding=pad or 0,
            dilation=dilation or 1, groups=groups or param.group)
        tops.append(top.reshape(lead + top.shape[1:][:1 + axes]))
    return tops


@built_in("Convolution")
def convolution(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return convolve(message, bottoms, weights, CONVOLUTIONS)


@built_in("Deconvolution")
def deconvolution(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return convolve(message, bottoms, weights, DECONVOLUTIONS)


@built_in("Im2col")
def im2col(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    param = message.convolution_param
    tops = []
    for bottom in bottoms:
        channel = axis_of(param.axis, bottom.shape)
        spatial = bottom.dim() - channel - 1
        kernel, stride, pad, dilation = convolution_windows(param, spatial)
        windows = F.pad(bottom, [size for size in reversed(pad) for _ in range(2)])
        for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation), channel + 1):
            windows = windows.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
        # The places within the windows come last, and belong behind the channels.
        ends = list(range(windows.dim()))
        order = ends[:channel + 1] + ends[channel + 1 + spatial:] + ends[
            channel + 1:channel + 1 + spatial]
        moved = windows.permute(order)
        tops.append(moved.reshape(bottom.shape[:channel] + (-1,) + moved.shape[-spatial:]))
    return tops
