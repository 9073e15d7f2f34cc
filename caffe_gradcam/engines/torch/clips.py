"""Convolution and pooling of clips, of C3D and video-caffe (``prototxt_tools.layers.clips``)."""

import itertools
from typing import Any, Callable, List, Sequence, Tuple

import torch
import torch.nn.functional as F

from prototxt_tools.errors import EngineError
from prototxt_tools.layers import clips

from . import products
from .convolution import CONVOLUTIONS
from .registry import Message, Tensors, built_in

Pool = Callable[..., torch.Tensor]

_LARGEST: Sequence[Pool] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_MEANS: Sequence[Pool] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


@built_in("Convolution3D", "NdConvolution")
def convolution(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    kernel, stride, pad = clips.convolution_windows(message)
    _check_axes(message, len(kernel))
    has_bias = clips.convolution_parameters(message).bias_term
    tops = []
    for bottom in bottoms:
        top = products.convolve(
            CONVOLUTIONS[len(kernel)], bottom, weights[0],
            weights[1].reshape(-1) if has_bias else None, stride=stride, padding=pad,
            dilation=[1] * len(kernel), groups=clips.groups(message))
        tops.append(_without_dropped_axes(message, top))
    return tops


@built_in("Pooling3D", "NdPooling")
def pooling(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    windows = clips.pooling_windows(message, x.shape[2:])
    _check_axes(message, len(windows.kernel))
    counts = clips.pooled_sizes(message, x.shape[2:])
    parameters = clips.pooling_parameters(message)
    if parameters.pool == parameters.MAX:
        top = _largest(message, x, counts, windows)
    else:
        top = _means(message, x, counts, windows)
    return [_without_dropped_axes(message, top)]


def _largest(message: Message, x: torch.Tensor, counts: List[int],
             windows: clips.Windows) -> torch.Tensor:
    padded = _surrounded(x, counts, windows, torch.finfo(x.dtype).min)
    if message.type == "Pooling3D":
        top: torch.Tensor = Largest.apply(padded, windows.kernel, windows.stride)
        return top
    return _LARGEST[len(counts) - 1](padded, windows.kernel, windows.stride)


class Largest(torch.autograd.Function):
    """The largest number of each window of a clip; in C3D the gradient of a window goes to every
    cell that holds it, not to one of them only."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: List[int],  # type: ignore[override]
                stride: List[int]) -> torch.Tensor:
        top = F.max_pool3d(x, kernel, stride)
        ctx.kernel, ctx.stride = kernel, stride
        ctx.save_for_backward(x, top)
        return top

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor  # type: ignore[override]
                 ) -> Tuple[torch.Tensor, None, None]:
        x, top = ctx.saved_tensors
        result = torch.zeros_like(x)
        for offsets in itertools.product(*map(range, ctx.kernel)):
            cells = (...,) + tuple(
                slice(offset, offset + (count - 1) * stride + 1, stride)
                for offset, count, stride in zip(offsets, top.shape[2:], ctx.stride))
            result[cells] += gradient * (x[cells] == top)
        return result, None, None


def _means(message: Message, x: torch.Tensor, counts: List[int],
           windows: clips.Windows) -> torch.Tensor:
    """C3D divides by the cells of a window, padding included, that are not beyond the padding."""
    if message.type == "NdPooling" and any(windows.pad):
        raise EngineError(f"layer {message.name!r}: whether the means of NdPooling count its "
                          "padding is not known; set its pad_shape to 0", message.name)
    means = _MEANS[len(counts) - 1](
        _surrounded(x, counts, windows, 0), windows.kernel, windows.stride)
    for axis, (size, count, k, s, p) in enumerate(zip(x.shape[2:], counts, *windows), 2):
        cells = [min(index * s - p + k, size + p) - (index * s - p) for index in range(count)]
        factors = torch.tensor([k / length for length in cells], dtype=x.dtype, device=x.device)
        means = means * factors.reshape((-1,) + (1,) * (x.dim() - axis - 1))
    return means


def _surrounded(x: torch.Tensor, counts: List[int], windows: clips.Windows,
                value: float) -> torch.Tensor:
    """The clip with so much around it that exactly these windows fit."""
    around: List[int] = []
    for size, count, k, s, p in reversed(list(zip(x.shape[2:], counts, *windows))):
        around += [p, (count - 1) * s + k - size - p]
    return F.pad(x, around, value=value) if any(around) else x


def _without_dropped_axes(message: Message, top: torch.Tensor) -> torch.Tensor:
    return top.reshape(tuple(top.shape[:2]) + clips.kept_axes(message, top.shape[2:]))


def _check_axes(message: Message, axes: int) -> None:
    if axes not in CONVOLUTIONS:
        raise EngineError(f"layer {message.name!r}: the torch engine slides windows over 1 to 3 "
                          f"axes, not {axes}", message.name)
