"""Layers that join, cut, move or drop axes. Caffe: their files in ``src/caffe/layers``."""

from prototxt_tools.shapes.rules import axis_of, check, tops_of, volume


@tops_of("Split")
def _split(message, bottoms, count):
    return bottoms[:1] * count


@tops_of("Silence")
def _silence(message, bottoms, count):
    return []


@tops_of("Concat")
def _concat(message, bottoms, count):
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


def _check_one_axis(parameters, old):
    both = parameters.HasField("axis") and parameters.HasField(old)
    check(not both, f"it has both axis and {old}")


@tops_of("Slice")
def _slice(message, bottoms, count):
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


@tops_of("Eltwise")
def _eltwise(message, bottoms, count):
    parameters = message.eltwise_param
    check(all(shape == bottoms[0] for shape in bottoms), "the shapes differ")
    check(
        len(parameters.coeff) in (0, len(bottoms)),
        f"{len(parameters.coeff)} coefficients for {len(bottoms)} bottoms",
    )
    check(not parameters.coeff or parameters.operation != 0, "a product takes no coefficients")
    return bottoms[:1]


@tops_of("Axpy")
def _axpy(message, bottoms, count):
    return bottoms[1:2]


@tops_of("Flatten")
def _flatten(message, bottoms, count):
    parameters, shape = message.flatten_param, bottoms[0]
    start, end = axis_of(parameters.axis, shape), axis_of(parameters.end_axis, shape)
    check(start <= end + 1, f"its axis {start} is behind its end_axis {end}")
    return [shape[:start] + (volume(shape[start : end + 1]),) + shape[end + 1 :]]


@tops_of("Reshape")
def _reshape(message, bottoms, count):
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
        known = volume(size for size in dims if size != -1)
        check(known, "the open size cannot be known")
        dims[dims.index(-1)] = volume(shape[start:end]) // known
    result = shape[:start] + tuple(dims) + shape[end:]
    check(volume(result) == volume(shape), f"{result} has another count than {shape}")
    return [result]


@tops_of("Permute")
def _permute(message, bottoms, count):
    order = list(message.permute_param.order)
    order += [axis for axis in range(len(bottoms[0])) if axis not in order]
    return [tuple(bottoms[0][axis] for axis in order)]


@tops_of("Crop")
def _crop(message, bottoms, count):
    (shape, like), parameters = bottoms, message.crop_param
    axis = axis_of(parameters.axis, shape)
    cut = len(shape) - axis
    check(len(parameters.offset) in (0, 1, cut), f"its offset wants 1 or {cut} values")
    check(len(like) >= len(shape), "its second bottom has fewer axes")
    offsets = list(parameters.offset) or [0]
    offsets = offsets * cut if len(offsets) == 1 else offsets
    for size, wanted, offset in zip(shape[axis:], like[axis:], offsets):
        check(offset + wanted <= size, f"{wanted} from {offset} do not fit {size}")
    return [shape[:axis] + like[axis : len(shape)]]


@tops_of("Reduction")
def _reduction(message, bottoms, count):
    return [bottoms[0][: axis_of(message.reduction_param.axis, bottoms[0])]]


@tops_of("ArgMax")
def _argmax(message, bottoms, count):
    parameters, shape = message.argmax_param, bottoms[0]
    check(parameters.top_k, "its top_k is 0")
    if parameters.HasField("axis"):
        axis = axis_of(parameters.axis, shape)
        check(parameters.top_k <= shape[axis], f"top_k {parameters.top_k} of {shape}")
        return [shape[:axis] + (parameters.top_k,) + shape[axis + 1 :]]
    check(parameters.top_k <= volume(shape[1:]), f"top_k {parameters.top_k} of {shape}")
    size = (shape[0], 2 if parameters.out_max_val else 1, parameters.top_k)
    return [size + (1,) * (len(shape) - 3)]


@tops_of("Tile")
def _tile(message, bottoms, count):
    check(message.tile_param.tiles > 0, "its tiles are 0")
    axis = axis_of(message.tile_param.axis, bottoms[0])
    tiled = bottoms[0][axis] * message.tile_param.tiles
    return [bottoms[0][:axis] + (tiled,) + bottoms[0][axis + 1 :]]


@tops_of("BatchReindex")
def _batch_reindex(message, bottoms, count):
    check(len(bottoms[1]) == 1, "its second bottom wants 1 axis")
    return [bottoms[1] + bottoms[0][1:]]


@tops_of("Filter")
def _filter(message, bottoms, count):
    """As Caffe builds it, with every item; what a forward pass leaves depends on the selector."""
    selector = bottoms[-1]
    check(volume(selector[1:]) == 1, "its selector wants one value per item")
    check(all(shape[0] == selector[0] for shape in bottoms), "its batches differ in size")
    check(len(bottoms) == count + 1, f"{len(bottoms)} bottoms for {count} tops")
    return bottoms[:-1]
