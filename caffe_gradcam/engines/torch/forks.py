"""Layers of forks of Caffe that public models need; each names where it comes from."""

import torch.nn.functional as F

from prototxt_tools.errors import EngineError
from prototxt_tools.layers.windows import upsampled_size

from .convolution import CONVOLUTIONS, convolve
from .normalization import align
from .registry import Message, Tensors, built_in


@built_in("ReLU6")
def relu6(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """MobileNet: the ReLU clipped at 6."""
    return [F.relu6(bottoms[0])]


@built_in("DepthwiseConvolution", "ConvolutionDepthwise")
def depthwise_convolution(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """MobileNet: a convolution with one group per channel, whatever ``group`` says."""
    channels = bottoms[0].shape[message.convolution_param.axis]
    return convolve(message, bottoms, weights, CONVOLUTIONS, groups=channels)


@built_in("Axpy")
def axpy(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SENet: a x + y, with one factor a for each image and channel."""
    factor, x, y = bottoms
    return [align(factor.flatten(1), x, 0) * x + y]


@built_in("BroadcastMul")
def broadcast_multiply(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """EfficientNet: x a, with one factor a for each image and channel."""
    x, factor = bottoms
    return [x * align(factor.flatten(1), x, 0)]


@built_in("Permute")
def permute(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SSD: the axes in a new order; those not named follow in theirs."""
    x, = bottoms
    order = list(message.permute_param.order)
    return [x.permute(order + [axis for axis in range(x.dim()) if axis not in order])]


@built_in("ShuffleChannel")
def shuffle_channel(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """ShuffleNet: channel c of group g becomes channel g of group c."""
    x, = bottoms
    groups = message.shuffle_channel_param.group
    shape = tuple(x.shape)
    grouped = x.reshape((shape[0], groups, shape[1] // groups) + shape[2:])
    return [grouped.transpose(1, 2).reshape(shape)]


@built_in("Normalize")
def normalize(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SSD: divide by the L2 norm over channels, or the whole image, then scale by channel."""
    x, = bottoms
    param = message.norm_param
    axes = (1, 2, 3) if param.across_spatial else 1
    norm = ((x * x).sum(axes, keepdim=True) + param.eps).sqrt()
    return [x / norm * weights[0].reshape(1, -1, 1, 1)]


@built_in("GRN")
def global_response(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """Divide by the root of the sum of squares over channels, to which a bias is added."""
    x, = bottoms
    if not message.grn_param.HasField("bias"):
        raise EngineError("GRN adds a bias to the squares in some forks and none in others; write "
                          "grn_param { bias: 0 }, or the fork's own default", message.name)
    return [x / ((x * x).sum(1, keepdim=True) + message.grn_param.bias).sqrt()]


@built_in("BN")
def batch_normalization(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """PSPNet: slope, bias, mean, variance. SegNet for inference: slope and bias alone."""
    x, = bottoms
    param = message.bn_param
    slope, shift = weights[0].reshape(-1), weights[1].reshape(-1)
    if len(weights) == 4:
        mean, variance = weights[2].reshape(-1), weights[3].reshape(-1)
        return [F.batch_norm(x, mean, variance, slope, shift, eps=param.eps)]
    if param.bn_mode == param.LEARN:
        return [F.batch_norm(x, None, None, slope, shift, training=True, eps=1e-9)]
    return [x * align(slope, x, 1) + align(shift, x, 1)]


@built_in("Interp")
def interp(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """DeepLab: bilinear resizing that keeps the corners where they are; negative pads crop."""
    x = bottoms[0]
    param = message.interp_param
    if min(param.pad_beg, param.pad_end) < 0:
        x = F.pad(x, (param.pad_beg, param.pad_end) * 2)
    size = list(x.shape[2:])
    if len(bottoms) == 2:
        size = list(bottoms[1].shape[2:])
    elif param.HasField("height"):
        size = [param.height, param.width]
    else:
        size = [(length - 1) // param.shrink_factor + 1 for length in size]
        size = [length + (length - 1) * (param.zoom_factor - 1) for length in size]
    return [F.interpolate(x, size, mode="bilinear", align_corners=True)]


@built_in("Upsample")
def upsample(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SegNet: each value goes where the max pooling took it from. YOLO: each value is repeated."""
    x = bottoms[0]
    height, width = upsampled_size(message, [tuple(bottom.shape) for bottom in bottoms])
    if len(bottoms) == 1:
        return [x.repeat_interleave(height // x.shape[2], 2).repeat_interleave(
            width // x.shape[3], 3)]
    index = bottoms[1].flatten(2).long()
    if not 0 <= int(index.min()) <= int(index.max()) < height * width:
        raise EngineError(f"layer {message.name}: its mask points outside {height} x {width}; it "
                          "must come from a pooling layer with a bottom of that size",
                          message.name)
    top = x.new_zeros(tuple(x.shape[:2]) + (height * width,)).scatter(2, index, x.flatten(2))
    return [top.reshape(tuple(x.shape[:2]) + (height, width))]
