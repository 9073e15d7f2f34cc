"""Layers that rearrange blobs without arithmetic."""

import torch

from prototxt_tools.errors import EngineError
from prototxt_tools.layers.sizes import axis_of, volume

from .registry import Message, Tensors, built_in


def indices(message: Message, blob: torch.Tensor, count: int) -> torch.Tensor:
    """A blob's values as indices below a count.

    On CUDA an index outside would break every later call of the process.

    Raises
    ------
    EngineError
        A value is negative, or not below the count.
    """
    index = blob.long()
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < count:
        raise EngineError(f"layer {message.name!r}: its indices range from {int(index.min())} to "
                          f"{int(index.max())}; they must lie between 0 and {count - 1}",
                          message.name)
    return index


@built_in("Split")
def split(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return bottoms * len(message.top)


@built_in("Silence")
def silence(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return []


@built_in("Parameter")
def parameter(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return [weights[0].reshape(tuple(message.parameter_param.shape.dim))]


@built_in("Concat")
def concat(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    param = message.concat_param
    axis = param.concat_dim if param.HasField("concat_dim") else param.axis
    return [torch.cat(bottoms, axis)]


@built_in("Slice")
def slices(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.slice_param
    axis = (param.slice_dim if param.HasField("slice_dim") else param.axis) % x.dim()
    size, count = x.shape[axis], len(message.top)
    points = [0] + list(param.slice_point) + [size]
    if not param.slice_point:
        points = [size * i // count for i in range(count + 1)]
    return [x.narrow(axis, begin, end - begin) for begin, end in zip(points, points[1:])]


@built_in("Flatten")
def flatten(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, param = bottoms[0], message.flatten_param
    start, end = axis_of(param.axis, x.shape), axis_of(param.end_axis, x.shape)
    # An end before the start adds an axis of 1, which torch's own flatten refuses.
    joined = volume(x.shape[start:end + 1])
    return [x.reshape(x.shape[:start] + (joined,) + x.shape[end + 1:])]


@built_in("Reshape")
def reshape(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.reshape_param
    shape = tuple(x.shape)
    # -1 stands for the place after the last axis.
    start = param.axis if param.axis >= 0 else len(shape) + param.axis + 1
    end = len(shape) if param.num_axes == -1 else start + param.num_axes
    middle = tuple(shape[start + i] if dim == 0 else dim
                   for i, dim in enumerate(param.shape.dim))
    return [x.reshape(shape[:start] + middle + shape[end:])]


@built_in("Crop")
def crop(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, reference = bottoms
    param = message.crop_param
    first = param.axis % x.dim()
    offsets = list(param.offset) or [0]
    offsets = offsets * (x.dim() - first) if len(offsets) == 1 else offsets
    for axis, offset in enumerate(offsets, first):
        x = x.narrow(axis, offset, reference.shape[axis])
    return [x]


@built_in("Tile")
def tile(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.tile_param
    return [torch.cat([x] * param.tiles, param.axis)]


@built_in("BatchReindex")
def batch_reindex(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, index = bottoms
    return [x[indices(message, index.reshape(-1), x.shape[0])]]


@built_in("DummyData")
def dummy_data(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    param = message.dummy_data_param
    shapes = [tuple(shape.dim) for shape in param.shape] or list(
        zip(param.num, param.channels, param.height, param.width))
    fillers = list(param.data_filler) or [None]
    tops = []
    for index in range(len(message.top)):
        filler = fillers[index % len(fillers)]
        if filler is not None and filler.type != "constant":
            raise EngineError(f"layer {message.name}: its {filler.type} numbers are random; feed "
                              "the blob from outside", message.name)
        tops.append(torch.full(shapes[index % len(shapes)], filler.value if filler else 0.0))
    return tops
