"""Layers that join, cut, move or drop axes. Caffe: their files in ``src/caffe/layers``."""

from prototxt_tools.layers.sizes import Message, Shapes, Tops, axis_of, check, volume


def split(message: Message, bottoms: Shapes, count: int) -> Tops:
    return bottoms[:1] * count


def silence(message: Message, bottoms: Shapes, count: int) -> Tops:
    return []


def concat(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, first = message.concat_param, bottoms[0]
    _check_one_axis(parameters, "concat_dim")
    legacy = parameters.HasField("concat_dim")
    axis = axis_of(parameters.concat_dim if legacy else parameters.axis, first)
    for shape in bottoms[1:]:
        check(
            len(shape) == len(first)
            and shape[:axis] + shape[axis + 1 :] == first[:axis] + first[axis + 1 :],
            f"they differ in more than axis {axis}",
        )
    return [first[:axis] + (sum(shape[axis] for shape in bottoms),) + first[axis + 1 :]]


def _check_one_axis(parameters: Message, old: str) -> None:
    both = parameters.HasField("axis") and parameters.HasField(old)
    check(not both, f"it has both axis and {old}")


def slice_axis(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.slice_param, bottoms[0]
    _check_one_axis(parameters, "slice_dim")
    legacy = parameters.HasField("slice_dim")
    axis = axis_of(parameters.slice_dim if legacy else parameters.axis, shape)
    points = list(parameters.slice_point)
    if points:
        check(len(points) == count - 1, f"{len(points)} slice points for {count} tops")
        check(count <= shape[axis], f"{count} tops of {shape[axis]}")
    else:
        check(
            count and shape[axis] % count == 0,
            f"{shape[axis]} channels into {count} equal slices",
        )
        points = [shape[axis] // count * index for index in range(1, count)]
    edges = [0] + points + [shape[axis]]
    check(
        all(a < b for a, b in zip(edges, edges[1:-1])) and edges[-2] <= edges[-1],
        f"its slice points {points} do not rise within {shape[axis]}",
    )
    return [shape[:axis] + (b - a,) + shape[axis + 1 :] for a, b in zip(edges, edges[1:])]


def eltwise(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.eltwise_param
    check(all(shape == bottoms[0] for shape in bottoms), "the shapes differ")
    check(
        len(parameters.coeff) in (0, len(bottoms)),
        f"{len(parameters.coeff)} coefficients for {len(bottoms)} bottoms",
    )
    check(not parameters.coeff or parameters.operation != 0, "a product takes no coefficients")
    return bottoms[:1]


def axpy(message: Message, bottoms: Shapes, count: int) -> Tops:
    return bottoms[1:2]


def shuffle_channel(message: Message, bottoms: Shapes, count: int) -> Tops:
    """ShuffleNet's ``shuffle_channel_layer.cpp``."""
    groups, shape = message.shuffle_channel_param.group, bottoms[0]
    check(len(shape) >= 2 and groups and shape[1] % groups == 0,
          f"its channels do not divide into {groups} groups")
    return bottoms[:1]


def flatten(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.flatten_param, bottoms[0]
    start, end = axis_of(parameters.axis, shape), axis_of(parameters.end_axis, shape)
    check(start <= end + 1, f"its axis {start} is behind its end_axis {end}")
    return [shape[:start] + (volume(shape[start : end + 1]),) + shape[end + 1 :]]


def reshape(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.reshape_param, bottoms[0]
    start = parameters.axis if parameters.axis >= 0 else len(shape) + parameters.axis + 1
    axes = parameters.num_axes
    end = len(shape) if axes == -1 else start + axes
    check(0 <= start <= end <= len(shape), f"axes {start} to {end} of {len(shape)}")
    dims = []
    for index, size in enumerate(parameters.shape.dim):
        check(size or start + index < len(shape), f"there is no axis {start + index}")
        dims.append(size or shape[start + index])
    check(dims.count(-1) <= 1 and min(dims or [1]) >= -1, "more than one size is open")
    if -1 in dims:
        fixed = volume(size for size in dims if size != -1)
        check(fixed, "the open size cannot be known")
        dims[dims.index(-1)] = volume(shape[start:end]) // fixed
    result = shape[:start] + tuple(dims) + shape[end:]
    check(volume(result) == volume(shape), f"{result} has a different count from {shape}")
    return [result]


def permute(message: Message, bottoms: Shapes, count: int) -> Tops:
    order = list(message.permute_param.order)
    order += [axis for axis in range(len(bottoms[0])) if axis not in order]
    return [tuple(bottoms[0][axis] for axis in order)]


def crop(message: Message, bottoms: Shapes, count: int) -> Tops:
    (shape, like), parameters = bottoms, message.crop_param
    axis = axis_of(parameters.axis, shape)
    cut = len(shape) - axis
    check(len(parameters.offset) in (0, 1, cut), f"its offset needs 1 or {cut} values")
    check(len(like) >= len(shape), "its second bottom has fewer axes")
    offsets = list(parameters.offset) or [0]
    offsets = offsets * cut if len(offsets) == 1 else offsets
    for size, cropped, offset in zip(shape[axis:], like[axis:], offsets):
        check(offset + cropped <= size, f"{cropped} from {offset} do not fit {size}")
    return [shape[:axis] + like[axis : len(shape)]]


def reduction(message: Message, bottoms: Shapes, count: int) -> Tops:
    return [bottoms[0][: axis_of(message.reduction_param.axis, bottoms[0])]]


def argmax(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.argmax_param, bottoms[0]
    check(parameters.top_k, "its top_k is 0")
    if parameters.HasField("axis"):
        axis = axis_of(parameters.axis, shape)
        check(parameters.top_k <= shape[axis], f"top_k {parameters.top_k} of {shape}")
        return [shape[:axis] + (parameters.top_k,) + shape[axis + 1 :]]
    check(parameters.top_k <= volume(shape[1:]), f"top_k {parameters.top_k} of {shape}")
    size = (shape[0], 2 if parameters.out_max_val else 1, parameters.top_k)
    return [size + (1,) * (len(shape) - 3)]


def tile(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(message.tile_param.tiles > 0, "its tiles are 0")
    axis = axis_of(message.tile_param.axis, bottoms[0])
    tiled = bottoms[0][axis] * message.tile_param.tiles
    return [bottoms[0][:axis] + (tiled,) + bottoms[0][axis + 1 :]]


def batch_reindex(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(len(bottoms[1]) == 1, "its second bottom needs 1 axis")
    return [bottoms[1] + bottoms[0][1:]]


def filter_items(message: Message, bottoms: Shapes, count: int) -> Tops:
    """As Caffe builds it, with every item; how many pass depends on the selector's values."""
    selector = bottoms[-1]
    check(volume(selector[1:]) == 1, "its selector needs one value per item")
    check(all(shape[0] == selector[0] for shape in bottoms), "its batches differ in size")
    check(len(bottoms) == count + 1, f"{len(bottoms)} bottoms for {count} tops")
    return bottoms[:-1]
