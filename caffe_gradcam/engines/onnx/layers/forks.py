"""Layers of forks of Caffe that public models need; each names where it comes from."""

from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.layers.normalization import align
from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import Value


@translation("Axpy")
def axpy(step: Step) -> List[str]:
    """SENet: a x + y, with one factor a for each image and channel."""
    factors, x, y = step.bottoms
    return [step.op("Add", step.op("Mul", x, per_channel(step, factors, x)), y)]


@translation("BroadcastMul")
def broadcast_multiply(step: Step) -> List[str]:
    """EfficientNet: x a, with one factor a for each image and channel."""
    x, factors = step.bottoms
    return [step.op("Mul", x, per_channel(step, factors, x))]


def per_channel(step: Step, factors: Value, x: Value) -> str:
    """Factors for each image and channel over the axes of ``x``."""
    if len(factors.shape) == len(x.shape):
        return factors.name
    return align(step, factors, 0, len(x.shape))


@translation("ShuffleChannel")
def shuffle_channel(step: Step) -> List[str]:
    """ShuffleNet: channel c of group g becomes channel g of group c."""
    x, groups = step.bottoms[0], step.message.shuffle_channel_param.group
    channels = x.size(1)
    shape = (x.shape[0], groups, channels // groups) + x.shape[2:]
    axes = frozenset(axis if axis == 0 else axis + 1 for axis in x.open_axes)
    grouped = step.reshape(x, Value("", shape, axes))
    order = [0, 2, 1] + list(range(3, len(shape)))
    return [step.reshape(step.op("Transpose", grouped, perm=order), step.tops[0])]


@translation("Normalize")
def normalize(step: Step) -> List[str]:
    """SSD: divide by the L2 norm over channels, or the whole image, then scale by channel."""
    x, param = step.bottoms[0], step.message.norm_param
    axes = [1, 2, 3] if param.across_spatial else [1]
    squares = step.op("ReduceSum", step.op("Mul", x, x), np.array(axes, np.int64), keepdims=1)
    norm = step.op("Sqrt", step.op("Add", squares, np.float32(param.eps)))
    return [step.op("Mul", step.op("Div", x, norm), step.weights[0].reshape(1, -1, 1, 1))]


@translation("ROIPooling")
def roi_pooling(step: Step) -> List[str]:
    """Fast R-CNN: max pooling of each region (image, x1, y1, x2, y2) into a fixed grid."""
    x, regions = step.bottoms
    param = step.message.roi_pooling_param
    rows = Value("", (int(np.prod(regions.shape)) // 5, 5), regions.open_axes & {0})
    boxes = regions.name if len(regions.shape) == 2 else step.reshape(regions.name, rows)
    return [step.op("MaxRoiPool", x, boxes, pooled_shape=[param.pooled_h, param.pooled_w],
                    spatial_scale=param.spatial_scale)]


@translation("GRN")
def global_response_normalization(step: Step) -> List[str]:
    """OpenVINO's fork: divide each cell by the L2 norm over its channels."""
    x, param = step.bottoms[0], step.message.grn_param
    squares = step.op("ReduceSum", step.op("Mul", x, x), np.array([1], np.int64), keepdims=1)
    norm = step.op("Sqrt", step.op("Add", squares, np.float32(param.bias)))
    return [step.op("Div", x, norm)]
