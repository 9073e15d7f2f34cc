"""Layers that rearrange blobs without arithmetic."""

from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import INT64
from prototxt_tools.layers.sizes import axis_of


@translation("Split")
def split(step: Step) -> List[str]:
    return [step.bottoms[0].name] * len(step.tops)


@translation("Silence")
def silence(step: Step) -> List[str]:
    return []


@translation("Parameter")
def parameter(step: Step) -> List[str]:
    return [step.name_of(step.weights[0])]


@translation("Concat")
def concat(step: Step) -> List[str]:
    param = step.message.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return [step.op("Concat", *step.bottoms, axis=axis_of(axis, step.bottoms[0].shape))]


@translation("Slice")
def slices(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.slice_param
    axis = axis_of(param.slice_dim if param.HasField("slice_dim") else param.axis, x.shape)
    sizes = [top.size(axis) for top in step.tops]
    if len(sizes) == 1:
        return [x.name]
    return step.ops("Split", len(sizes), x, np.array(sizes, np.int64), axis=axis)


@translation("Flatten")
def flatten(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.flatten_param
    start, end = axis_of(param.axis, x.shape), axis_of(param.end_axis, x.shape)
    if start == 1 and end == len(x.shape) - 1:
        return [step.op("Flatten", x, axis=1)]
    return [step.reshape(x, step.tops[0])]


@translation("Reshape")
def reshape(step: Step) -> List[str]:
    return [step.reshape(step.bottoms[0], step.tops[0])]


@translation("Permute")
def permute(step: Step) -> List[str]:
    """SSD: the axes in a new order; those not named follow in theirs."""
    x, order = step.bottoms[0], list(step.message.permute_param.order)
    rest = [axis for axis in range(len(x.shape)) if axis not in order]
    return [step.op("Transpose", x, perm=order + rest)]


@translation("Crop")
def crop(step: Step) -> List[str]:
    (x, reference), param = step.bottoms, step.message.crop_param
    first = axis_of(param.axis, x.shape)
    axes = np.arange(first, len(x.shape), dtype=np.int64)
    offsets = np.zeros(len(axes), np.int64) + np.array(list(param.offset) or [0], np.int64)
    if reference.open_axes.intersection(axes.tolist()):
        sizes = step.op("Gather", step.op("Shape", reference), axes)
        ends = step.op("Add", sizes, offsets)
    else:
        ends = step.name_of(offsets + np.array([reference.shape[axis] for axis in axes], np.int64))
    return [step.op("Slice", x, offsets, ends, axes)]


@translation("Tile")
def tile(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.tile_param
    repeats = np.ones(len(x.shape), np.int64)
    repeats[axis_of(param.axis, x.shape)] = param.tiles
    return [step.op("Tile", x, repeats)]


@translation("BatchReindex")
def batch_reindex(step: Step) -> List[str]:
    x, index = step.bottoms
    return [step.op("Gather", x, step.op("Cast", index, to=INT64), axis=0)]


@translation("DummyData")
def dummy_data(step: Step) -> List[str]:
    fillers = list(step.message.dummy_data_param.data_filler)
    constants = []
    for index, top in enumerate(step.tops):
        filler = fillers[index % len(fillers)] if fillers else None
        if filler is not None and filler.type != "constant":
            raise step.refuse(f"its {filler.type} numbers are random; make the blob an input")
        value = filler.value if filler is not None else 0
        constants.append(step.name_of(np.full(top.sizes(), value, np.float32)))
    return constants
