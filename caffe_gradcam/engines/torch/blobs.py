"""Layers that rearrange blobs without arithmetic."""

import torch

from ..errors import EngineError
from .registry import layer


def indices(message, blob, count):
    """A blob's values as indices below a count; raises EngineError where one of them is not.

    On CUDA such an index would break every later call of the process.
    """
    index = blob.long()
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < count:
        raise EngineError("layer {!r}: its indices go from {} to {}, and {} is the end".format(
            message.name, int(index.min()), int(index.max()), count - 1))
    return index


@layer("Split")
def split(message, bottoms, weights):
    return bottoms * len(message.top)


@layer("Silence")
def silence(message, bottoms, weights):
    return []


@layer("Parameter")
def parameter(message, bottoms, weights):
    return [weights[0].reshape(tuple(message.parameter_param.shape.dim))]


@layer("Concat")
def concat(message, bottoms, weights):
    param = message.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return [torch.cat(bottoms, axis)]


@layer("Slice")
def slices(message, bottoms, weights):
    x, = bottoms
    param = message.slice_param
    axis = (param.slice_dim if param.HasField("slice_dim") else param.axis) % x.dim()
    size, count = x.shape[axis], len(message.top)
    points = [0] + list(param.slice_point) + [size]
    if not param.slice_point:
        points = [size * i // count for i in range(count + 1)]
    return [x.narrow(axis, begin, end - begin) for begin, end in zip(points, points[1:])]


@layer("Flatten")
def flatten(message, bottoms, weights):
    param = message.flatten_param
    return [bottoms[0].flatten(param.axis, param.end_axis)]


@layer("Reshape")
def reshape(message, bottoms, weights):
    x, = bottoms
    param = message.reshape_param
    shape = tuple(x.shape)
    # -1 stands for the place after the last axis.
    start = param.axis if param.axis >= 0 else len(shape) + param.axis + 1
    end = len(shape) if param.num_axes == -1 else start + param.num_axes
    middle = tuple(shape[start + i] if dim == 0 else dim
                   for i, dim in enumerate(param.shape.dim))
    return [x.reshape(shape[:start] + middle + shape[end:])]


@layer("Crop")
def crop(message, bottoms, weights):
    x, reference = bottoms
    param = message.crop_param
    first = param.axis % x.dim()
    offsets = list(param.offset) or [0]
    offsets = offsets * (x.dim() - first) if len(offsets) == 1 else offsets
    for axis, offset in enumerate(offsets, first):
        x = x.narrow(axis, offset, reference.shape[axis])
    return [x]


@layer("Tile")
def tile(message, bottoms, weights):
    x, = bottoms
    param = message.tile_param
    return [torch.cat([x] * param.tiles, param.axis)]


@layer("BatchReindex")
def batch_reindex(message, bottoms, weights):
    x, index = bottoms
    return [x[indices(message, index.reshape(-1), x.shape[0])]]


@layer("DummyData")
def dummy_data(message, bottoms, weights):
    param = message.dummy_data_param
    shapes = [tuple(shape.dim) for shape in param.shape] or list(
        zip(param.num, param.channels, param.height, param.width))
    fillers = list(param.data_filler) or [None]
    tops = []
    for index in range(len(message.top)):
        filler = fillers[index % len(fillers)]
        if filler is not None and filler.type != "constant":
            raise EngineError("layer {}: its {} numbers are random; feed the blob from outside"
                              .format(message.name, filler.type))
        tops.append(torch.full(shapes[index % len(shapes)], filler.value if filler else 0.0))
    return tops
