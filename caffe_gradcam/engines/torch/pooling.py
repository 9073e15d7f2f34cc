"""Pooling with Caffe's window arithmetic (caffe/layers/pooling_layer.cpp, spp_layer.cpp)."""

from typing import Any, Sequence, Tuple

import torch
import torch.nn.functional as F

from prototxt_tools.errors import EngineError
from prototxt_tools.layers.windows import pooled_size, pooling_windows, rounds_up

from .registry import Message, Tensors, built_in

Pair = Sequence[int]
# Along both axes: how many windows there are, their size, their distance and the padding.
Window = Tuple[Pair, Pair, Pair, Pair]


def fill(x: torch.Tensor, window: Window, value: float) -> torch.Tensor:
    """Surround `x` with `value` so that exactly these windows fit."""
    windows, kernel, stride, pad = window
    (top, left), (height, width) = pad, x.shape[2:]
    bottom = (windows[0] - 1) * stride[0] + kernel[0] - height - top
    right = (windows[1] - 1) * stride[1] + kernel[1] - width - left
    return F.pad(x, (left, right, top, bottom), value=value)


def torch_agrees(sizes: Sequence[int], window: Window) -> bool:
    """Whether torch's own rounding up gives these windows: it always drops what starts outside."""
    return all(2 * p <= k and (count - 1) * s < size + p and (count - 1) * s + k >= size + 2 * p
               for size, count, k, s, p in zip(sizes, *window))


def max_pool(x: torch.Tensor, window: Window) -> Tuple[torch.Tensor, torch.Tensor]:
    """Largest element of each window and its index in the plane; the first one where several are.

    Where a window holds nothing, Caffe leaves -FLT_MAX.
    """
    _, kernel, stride, pad = window
    if torch_agrees(x.shape[2:], window):
        return F.max_pool2d(x, kernel, stride, pad, ceil_mode=True, return_indices=True)
    padded = fill(x, window, torch.finfo(x.dtype).min)
    top, index = F.max_pool2d(padded, kernel, stride, return_indices=True)
    width = padded.shape[3]
    row, column = index // width - pad[0], index % width - pad[1]
    return top, row * x.shape[3] + column


def ave_pool(x: torch.Tensor, window: Window) -> torch.Tensor:
    """Sum of each window divided by its area, which counts padding but ends where that ends."""
    windows, kernel, stride, pad = window
    if tuple(kernel) == tuple(x.shape[2:]) and not any(pad):
        return GlobalMean.apply(x) if x.requires_grad else x.mean((2, 3), keepdim=True)
    if torch_agrees(x.shape[2:], window):
        return F.avg_pool2d(x, kernel, stride, pad, ceil_mode=True)
    padded = fill(x, window, 0)
    sums = F.avg_pool2d(padded, kernel, stride, divisor_override=1)
    height, width = (
        torch.tensor([float(min(i * s - p + k, size + p) - (i * s - p)) for i in range(count)],
                     dtype=x.dtype, device=x.device)
        for size, count, k, s, p in zip(x.shape[2:], windows, kernel, stride, pad))
    return sums / (height[:, None] * width)


class GlobalMean(torch.autograd.Function):
    """The mean of each plane, with a backward pass that only copies: torch's takes 30 times that,
    and the one of ``mean`` gives a gradient of no layout that the next layer is fast in."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        ctx.shape = x.shape
        is_last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if is_last else torch.contiguous_format
        return x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any,  # type: ignore[override]
                 gradient: torch.Tensor) -> torch.Tensor:
        mean = gradient / (ctx.shape[2] * ctx.shape[3])
        return mean.expand(ctx.shape).contiguous(memory_format=ctx.layout)


def windows_of(message: Message, x: torch.Tensor) -> Window:
    """(windows, kernel, stride, pad) of a Pooling layer on this bottom."""
    param = message.pooling_param
    kernel, stride, pad = pooling_windows(param, x.shape[2:])
    windows = [pooled_size(*axis, ceil=rounds_up(param), clip=any(pad))
               for axis in zip(x.shape[2:], kernel, stride, pad)]
    return windows, kernel, stride, pad


@built_in("Pooling")
def pooling(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    window = windows_of(message, x)
    if message.pooling_param.pool == message.pooling_param.AVE:
        return [ave_pool(x, window)]
    if message.pooling_param.pool == message.pooling_param.MAX:
        top, index = max_pool(x, window)
        return [top, index.to(x.dtype)] if len(message.top) > 1 else [top]
    raise _stochastic(message)


def _stochastic(message: Message) -> EngineError:
    return EngineError(f"layer {message.name!r}: stochastic pooling runs only in Caffe on a GPU; "
                       "set pool to MAX or AVE", message.name)


@built_in("SPP")
def spatial_pyramid(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.spp_param
    if param.pool not in (param.MAX, param.AVE):
        raise _stochastic(message)
    levels = []
    for level in range(param.pyramid_height):
        bins = 2 ** level
        kernel = tuple(-(-size // bins) for size in x.shape[2:])
        pad = tuple((k * bins - size + 1) // 2 for size, k in zip(x.shape[2:], kernel))
        windows = [pooled_size(*axis, clip=any(pad))
                   for axis in zip(x.shape[2:], kernel, kernel, pad)]
        window = (windows, kernel, kernel, pad)
        levels.append(max_pool(x, window)[0] if param.pool == param.MAX else ave_pool(x, window))
    if len(levels) == 1:
        return levels
    return [torch.cat([level.flatten(1) for level in levels], 1)]
