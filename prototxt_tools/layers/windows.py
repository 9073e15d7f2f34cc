"""Layers that slide a window: convolution, pooling and their kin.

Caffe: ``base_conv_layer.cpp``, ``conv_layer.cpp``, ``deconv_layer.cpp``, ``im2col_layer.cpp``,
``pooling_layer.cpp``, ``spp_layer.cpp``.
"""

from typing import List, Optional, Sequence, Tuple

from prototxt_tools.layers.sizes import Message, Shape, Shapes, Tops, axis_of, check, volume

# From here on Caffe's int is negative.
_TOO_LARGE = 1 << 31


def window(parameters: Message, prefix: str, spatial: int, default: Optional[int]) -> List[int]:
    """Kernel, stride, pad or dilation along each spatial axis (``base_conv_layer.cpp``).

    Parameters
    ----------
    parameters : ConvolutionParameter or PoolingParameter
    prefix : str
        "kernel", "stride", "pad" or "dilation".
    spatial : int
        Number of spatial axes.
    default : int or None

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If there is neither a value nor a default, if the values are not one or ``spatial`` many,
        or if one is zero that must not be.
    """
    whole = "kernel_size" if prefix == "kernel" else prefix
    values = getattr(parameters, whole)
    if isinstance(values, int):  # a PoolingParameter holds one
        values = [values] if parameters.HasField(whole) else []
    halves = [prefix + "_h", prefix + "_w"] if prefix != "dilation" else []
    if not values and any(parameters.HasField(half) for half in halves):
        check(spatial == 2, f"{prefix}_h and {prefix}_w for {spatial} axes")
        values = [getattr(parameters, half) for half in halves]
    values = list(values) or [default]
    check(
        len(values) in (1, spatial),
        f"{len(values)} values of {prefix} for {spatial} axes",
    )
    if not spatial:
        return []
    check(values != [None], "it has no kernel_size")
    check(prefix in ("pad", "dilation") or min(values) > 0, f"its {whole} is 0")
    check(max(values) < _TOO_LARGE, f"its {whole} is {max(values)}")
    return values * spatial if len(values) == 1 else values


def convolution_windows(
    parameters: Message, spatial: int
) -> Tuple[List[int], List[int], List[int], List[int]]:
    """(kernel, stride, pad, dilation), each a list of ``spatial`` int."""
    _check_no_windows_of_clips(parameters)
    for prefix, whole in (("kernel", "kernel_size"), ("stride", "stride"), ("pad", "pad")):
        halves = any(parameters.HasField(prefix + end) for end in ("_h", "_w"))
        check(not (halves and getattr(parameters, whole)), f"it gives its {whole} twice")
    return (
        window(parameters, "kernel", spatial, None),
        window(parameters, "stride", spatial, 1),
        window(parameters, "pad", spatial, 0),
        dilations(parameters, spatial),
    )


# What C3D and video-caffe add for their own layer types: see ``prototxt_tools.layers.clips``.
_WINDOWS_OF_CLIPS = ("kernel_depth", "temporal_stride", "temporal_pad", "kernel_shape",
                     "stride_shape", "pad_shape")


def _check_no_windows_of_clips(parameters: Message) -> None:
    given = [field.name for field, _ in parameters.ListFields() if field.name in _WINDOWS_OF_CLIPS]
    check(not given, f"its type takes no {given[0] if given else ''}; Convolution3D and Pooling3D "
                     "or NdConvolution and NdPooling do")


def dilations(parameters: Message, spatial: int) -> List[int]:
    """``dilation``; DeepLab has ``hole``, or ``hole_h`` and ``hole_w``, in its place."""
    halves = [parameters.HasField(name) for name in ("hole_h", "hole_w")]
    if not parameters.HasField("hole") and not any(halves):
        return window(parameters, "dilation", spatial, 1)
    check(not parameters.dilation, "it has both dilation and hole")
    check(not (parameters.HasField("hole") and any(halves)), "it gives its hole twice")
    check(spatial == 2, f"a hole for {spatial} axes")
    holes = [parameters.hole] * 2
    if any(halves):
        holes = [parameters.hole_h if halves[0] else 1, parameters.hole_w if halves[1] else 1]
    check(all(holes), "its hole is 0")
    return holes


def convolved_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Output size of a convolution along one axis, as C++ divides: towards zero."""
    span = size + 2 * pad - (dilation * (kernel - 1) + 1)
    sized = (span // stride if span >= 0 else -(-span // stride)) + 1
    check(sized >= 0, f"its kernel of {kernel} does not fit into {size}")
    return sized


def convolution(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.convolution_param, bottoms[0]
    axis = axis_of(parameters.axis, shape)
    check(all(other == shape for other in bottoms), "the shapes of its bottoms differ")
    _check_groups(parameters, shape[axis], message.type)
    windows = convolution_windows(parameters, len(shape) - axis - 1)
    sizes = []
    for size, kernel, stride, pad, dilation in zip(shape[axis + 1 :], *windows):
        if message.type == "Deconvolution":
            sizes.append(stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad)
        else:
            sizes.append(convolved_size(size, kernel, stride, pad, dilation))
    check(all(sizes) or not parameters.bias_term, f"its output {sizes} is empty")
    return [shape[:axis] + (parameters.num_output,) + tuple(sizes)] * len(bottoms)


def _check_groups(parameters: Message, channels: int, layer_type: str) -> None:
    outputs, group = parameters.num_output, parameters.group
    check(outputs, "it has no num_output")
    check(group, "its group is 0")
    if layer_type in ("Convolution", "Deconvolution"):
        check(
            channels % group == 0 and outputs % group == 0,
            f"{channels} channels to {outputs} do not divide into {group} groups",
        )


def convolution_blobs(message: Message, bottoms: Shapes) -> Tops:
    parameters = message.convolution_param
    axis = axis_of(parameters.axis, bottoms[0])
    channels, outputs = bottoms[0][axis], parameters.num_output
    if message.type == "Deconvolution":
        channels, outputs = outputs, channels
    group = channels if "epthwise" in message.type else parameters.group
    kernel = tuple(window(parameters, "kernel", len(bottoms[0]) - axis - 1, None))
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [(outputs, channels // group) + kernel, bias]


def im2col(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.convolution_param, bottoms[0]
    axis = axis_of(parameters.axis, shape)
    check(axis + 1 < len(shape), "its input has no spatial axes")
    windows = convolution_windows(parameters, len(shape) - axis - 1)
    channels, sizes = shape[axis], []
    for size, kernel, stride, pad, dilation in zip(shape[axis + 1 :], *windows):
        channels *= kernel
        sizes.append(convolved_size(size, kernel, stride, pad, dilation))
    return [shape[:axis] + (channels,) + tuple(sizes)]


def pooling_windows(
    parameters: Message, size: Sequence[int]
) -> Tuple[List[int], List[int], List[int]]:
    """(kernel, stride, pad), each (h, w); ``size`` is the input's (h, w), for global pooling."""
    _check_no_windows_of_clips(parameters)
    if parameters.global_pooling:
        return list(size), [1, 1], [0, 0]
    return (
        window(parameters, "kernel", 2, None),
        window(parameters, "stride", 2, 1),
        window(parameters, "pad", 2, 0),
    )


def pooled_size(size: int, kernel: int, stride: int, pad: int, ceil: bool = True,
                clip: Optional[bool] = None) -> int:
    """Output size along one axis: rounded up, without a window beyond the padded input.

    Caffe: ``PoolingLayer::Reshape`` in ``src/caffe/layers/pooling_layer.cpp``. The last window
    is dropped on both axes if either is padded, so ``clip`` says whether one is.
    """
    span = size + 2 * pad - kernel
    pooled = -(-span // stride) + 1 if ceil else span // stride + 1
    if (pad if clip is None else clip) and (pooled - 1) * stride >= size + pad:
        pooled -= 1
    return pooled


def rounds_up(parameters: Message) -> bool:
    """Whether a pooling layer rounds its output size up, as Caffe does by default."""
    return (parameters.round_mode == 0 and parameters.ceil_mode
            and not parameters.torch_pooling and not parameters.round_below)


def pooling(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.pooling_param
    _check_pooling(parameters)
    return [_pooled(bottoms[0], parameters)] * count


def _check_pooling(parameters: Message) -> None:
    if parameters.global_pooling:
        kernels = [parameters.HasField("kernel" + end) for end in ("_size", "_h", "_w")]
        check(not any(kernels), "global pooling takes no kernel")
        windows = window(parameters, "pad", 2, 0) + window(parameters, "stride", 2, 1)
        check(windows == [0, 0, 1, 1], "global pooling takes no pad and no stride")
        return
    for prefix, whole in (("kernel", "kernel_size"), ("pad", "pad"), ("stride", "stride")):
        given = parameters.HasField(whole)
        halves = [parameters.HasField(prefix + end) for end in ("_h", "_w")]
        if prefix == "kernel":
            fits = given != all(halves)
        else:
            fits = all(halves) and not given or not any(halves)
        check(fits, f"it needs {whole}, or both {prefix}_h and {prefix}_w")


def _pooled(shape: Shape, parameters: Message) -> Shape:
    check(len(shape) == 4, "it needs 4 axes")
    kernel, stride, pad = pooling_windows(parameters, shape[2:])
    check(
        all(p < k for p, k in zip(pad, kernel)) or not any(pad),
        f"its pad {pad} is not smaller than its kernel {kernel}",
    )
    check(not any(pad) or parameters.pool in (0, 1), "only MAX and AVE pooling take a pad")
    ceil, clip = rounds_up(parameters), any(pad)
    axes = zip(shape[2:], kernel, stride, pad)
    return shape[:2] + tuple(pooled_size(*axis, ceil=ceil, clip=clip) for axis in axes)


def spp(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = message.spp_param, bottoms[0]
    check(len(shape) == 4, "it needs 4 axes")
    check(parameters.pyramid_height, "its pyramid_height is 0")
    check(min(shape[2:]) > 0, "its input is empty")
    cells = 0
    for level in range(parameters.pyramid_height):
        bins, sizes = 2**level, []
        for size in shape[2:]:
            kernel = -(-size // bins)
            pad = (kernel * bins - size + 1) // 2
            check(pad < kernel, f"{bins} bins are too many for {size} cells")
            sizes.append(pooled_size(size, kernel, kernel, pad))
        cells += sizes[0] * sizes[1]
    if parameters.pyramid_height == 1:
        return [shape[:2] + (1, 1)]
    return [(shape[0], shape[1] * cells)]


def roi_pooling(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.roi_pooling_param
    _check_regions(bottoms, parameters.spatial_scale)
    check(parameters.pooled_h and parameters.pooled_w, "it needs pooled_h and pooled_w above 0")
    size = (parameters.pooled_h, parameters.pooled_w)
    return [bottoms[1][:1] + bottoms[0][1:2] + size]


def psroi_pooling(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.psroi_pooling_param
    outputs, cells = parameters.output_dim, parameters.group_size
    _check_regions(bottoms, parameters.spatial_scale)
    check(outputs > 0 and cells > 0, "it needs an output_dim and a group_size above 0")
    check(bottoms[0][1] == outputs * cells * cells,
          f"for {outputs} outputs of {cells} x {cells} cells, it needs {outputs * cells * cells} "
          "channels")
    return [bottoms[1][:1] + (outputs, cells, cells)]


def _check_regions(bottoms: Shapes, scale: float) -> None:
    check(len(bottoms[0]) == 4, "it needs 4 axes")
    check(bottoms[1] and bottoms[1][0] * 5 == volume(bottoms[1]),
          "a region is image, left, top, right, bottom")
    check(0 < scale < float("inf"), f"its spatial_scale is {scale:g}; it must be above 0")


def upsample(message: Message, bottoms: Shapes, count: int) -> Tops:
    return [bottoms[0][:2] + upsampled_size(message, bottoms)]


def upsampled_size(message: Message, bottoms: Shapes) -> Tuple[int, int]:
    """Height and width of an Upsample layer's top.

    SegNet's reads a mask too, and may give the size itself; that of YOLO's forks repeats values.
    """
    parameters, shape = message.upsample_param, bottoms[0]
    check(len(shape) == 4, "it needs 4 axes")
    has_size = [parameters.HasField(name) for name in ("upsample_h", "upsample_w")]
    check(has_size[0] == has_size[1], "it needs both upsample_h and upsample_w, or neither")
    if has_size[0]:
        check(len(bottoms) == 2, "with upsample_h and upsample_w, it needs a mask")
        return parameters.upsample_h, parameters.upsample_w
    # SegNet's own default.
    scale = parameters.scale if parameters.HasField("scale") or len(bottoms) < 2 else 2
    scales = (parameters.scale_h or scale, parameters.scale_w or scale)
    check(all(by >= 1 and by == int(by) for by in scales), "it needs a whole scale of at least 1")
    pads = (parameters.pad_out_h, parameters.pad_out_w)
    check(len(bottoms) == 2 or not any(pads), "with pad_out_h or pad_out_w, it needs a mask")
    height, width = (size * int(by) - pad for size, by, pad in zip(shape[2:], scales, pads))
    return height, width


def reorg(message: Message, bottoms: Shapes, count: int) -> Tops:
    stride, (batch, channels, height, width) = message.reorg_param.stride, bottoms[0]
    if message.reorg_param.reverse:
        return [(batch, channels // stride**2, height * stride, width * stride)]
    return [(batch, channels * stride**2, height // stride, width // stride)]


def interp(message: Message, bottoms: Shapes, count: int) -> Tops:
    """DeepLab's and PSPNet's ``interp_layer.cpp``."""
    parameters, shape = message.interp_param, bottoms[0]
    sizes: List[int] = []
    for size, fixed in zip(shape[2:], (parameters.height, parameters.width)):
        size += parameters.pad_beg + parameters.pad_end
        if len(bottoms) > 1:
            size = bottoms[1][2 + len(sizes)]
        elif fixed:
            size = fixed
        else:
            size = (size - 1) // parameters.shrink_factor + 1
            size += (size - 1) * (parameters.zoom_factor - 1)
        sizes.append(size)
    return [shape[:2] + tuple(sizes)]
