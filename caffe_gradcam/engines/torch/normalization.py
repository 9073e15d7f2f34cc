"""Layers that shift and scale: LRN, BatchNorm, MVN, Scale, Bias."""

import torch
import torch.nn.functional as F

from .registry import Message, Tensors, built_in


def align(blob: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """Reshape `blob` so that its first axis stands over axis `axis` of `x`."""
    after = x.dim() - axis - blob.dim()
    return blob.reshape((1,) * axis + tuple(blob.shape) + (1,) * after)


def learned(blob: torch.Tensor, x: torch.Tensor, axis: int, num_axes: int) -> torch.Tensor:
    """A learned blob over `num_axes` axes of `x` from `axis` on (-1: all that follow)."""
    end = x.dim() if num_axes == -1 else axis + num_axes
    return align(blob.reshape(x.shape[axis:end]), x, axis)


@built_in("LRN")
def lrn(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.lrn_param
    size = param.local_size
    if param.norm_region == param.ACROSS_CHANNELS:
        # Sums of shifted channels take a fifth of the time of torch's own function.
        half = (size - 1) // 2
        square = F.pad(x * x, (0, 0) * (x.dim() - 2) + (half, half))
        total = square.narrow(1, 0, x.shape[1])
        for shift in range(1, size):
            total = total + square.narrow(1, shift, x.shape[1])
        scale = param.k + param.alpha / size * total
    else:
        scale = 1 + param.alpha * F.avg_pool2d(x * x, size, 1, (size - 1) // 2)
    if param.beta == 0.75:
        root = scale.rsqrt()
        return [x * root * root.sqrt()]
    return [x * scale.pow(-param.beta)]


@built_in("BatchNorm")
def batch_norm(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.batch_norm_param
    if param.use_global_stats or not param.HasField("use_global_stats"):
        factor = weights[2].reshape(-1)[0]
        factor = torch.where(factor == 0, factor, 1 / factor)
        mean, variance = ((blob.reshape(-1) * factor).reshape((-1,) + (1,) * (x.dim() - 2))
                          for blob in weights[:2])
        # torch's own function has wrong gradients for one image laid out channels last, if what
        # comes down to it is laid out otherwise.
        slope = (variance + param.eps).rsqrt()
        return [torch.addcmul(-mean * slope, x, slope)]
    axes = [axis for axis in range(x.dim()) if axis != 1]
    centred = x - x.mean(axes, keepdim=True)
    variance = (centred * centred).mean(axes, keepdim=True)
    return [centred / (variance + param.eps).sqrt()]


@built_in("MVN")
def mean_variance(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    x = x.reshape(tuple(x.shape) + (1,) * (4 - x.dim()))
    param = message.mvn_param
    axes = (1, 2, 3) if param.across_channels else (2, 3)
    top = x - x.mean(axes, keepdim=True)
    if param.normalize_variance:
        deviation = (top * top).mean(axes, keepdim=True).sqrt()
        # Caffe's gradient takes eps for 0 in one of two places: scale this path to match.
        fixed = deviation.detach()
        deviation = fixed + (deviation - fixed) * (fixed / (fixed + param.eps))
        top = top / (deviation + param.eps)
    return [top]


@built_in("Scale")
def scale(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x = bottoms[0]
    param = message.scale_param
    axis = param.axis % x.dim()
    if len(bottoms) == 2:
        factor, num_axes = align(bottoms[1], x, axis if bottoms[1].dim() else 0), bottoms[1].dim()
    else:
        factor, num_axes = learned(weights[0], x, axis, param.num_axes), param.num_axes
    if param.bias_term:
        return [torch.addcmul(learned(weights[-1], x, axis, num_axes), x, factor)]
    return [x * factor]


@built_in("Bias")
def bias(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x = bottoms[0]
    param = message.bias_param
    axis = param.axis % x.dim()
    if len(bottoms) == 2:
        return [x + align(bottoms[1], x, axis if bottoms[1].dim() else 0)]
    return [x + learned(weights[0], x, axis, param.num_axes)]
