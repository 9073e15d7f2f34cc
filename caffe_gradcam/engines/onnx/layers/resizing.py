"""Layers that resize the planes of a blob."""

from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import INT64, Value


@translation("Interp")
def interp(step: Step) -> List[str]:
    """DeepLab: bilinear resizing that keeps the corners where they are; negative pads crop."""
    x, param, top = step.bottoms[0], step.message.interp_param, step.tops[0]
    value = x.name
    if min(param.pad_beg, param.pad_end) < 0:
        edges = np.array([-param.pad_beg] * 2, np.int64)
        ends = np.array([size + param.pad_end for size in x.sizes(2)], np.int64)
        value = step.op("Slice", x, edges, ends, np.array([2, 3], np.int64))
    if x.open_axes.intersection((2, 3)) and len(step.bottoms) == 1:
        raise step.refuse("its scale depends on the size of its bottom")
    spatial = Value("", top.shape[2:], frozenset(axis - 2 for axis in top.open_axes if axis > 1))
    batch = step.op("Slice", step.op("Shape", value), *(
        np.array([edge], np.int64) for edge in (0, 2)))
    if spatial.open_axes:
        shape = step.op("Shape", step.bottoms[1])
        sizes = step.op("Slice", shape, *(np.array([edge], np.int64) for edge in (2, 4)))
    else:
        sizes = step.name_of(np.array(spatial.shape, np.int64))
    return [step.op("Resize", value, "", "", step.op("Concat", batch, sizes, axis=0),
                    mode="linear", coordinate_transformation_mode="align_corners")]


@translation("Upsample")
def upsample(step: Step) -> List[str]:
    """SegNet: each value goes where the max pooling took it from. YOLO: each value is repeated."""
    x, top = step.bottoms[0], step.tops[0]
    if len(step.bottoms) == 1:
        by = [after / before for before, after in zip(x.shape[2:], top.shape[2:])]
        return [step.op("Resize", x, "", np.array([1, 1] + by, np.float32), mode="nearest",
                        coordinate_transformation_mode="asymmetric", nearest_mode="floor")]
    height, width = top.sizes(2)
    cells = x.size(2) * x.size(3)
    flat = Value("", (x.shape[0], x.size(1), cells), x.open_axes & {0})
    values = step.reshape(x.name, flat)
    index = step.op("Cast", step.reshape(step.bottoms[1].name, flat), to=INT64)
    empty = step.op("Mul", step.op("Slice", values, *(
        np.array([edge], np.int64) for edge in (0, 1, 2))), np.zeros((1, 1, 1), np.float32))
    zeros = step.op("Expand", empty, np.array([1, 1, height * width], np.int64))
    return [step.reshape(step.op("ScatterElements", zeros, index, values, axis=2), top)]
