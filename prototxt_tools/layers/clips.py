"""Layers of clips: convolution and pooling over time, rows and columns, as two forks write them.

``Convolution3D`` and ``Pooling3D`` are those of C3D (facebookarchive/C3D,
``convolution3d_layer.cpp`` and ``pool3d_layer.cpp``): version 1.1 has messages of its own for
them, version 1.0 adds fields to those of stock Caffe. ``NdConvolution`` and ``NdPooling`` are those
of video-caffe (``cudnn_ndconv_layer.cpp`` and ``cudnn_ndpooling_layer.cpp``).
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

from prototxt_tools.layers import spans
from prototxt_tools.layers.sizes import Message, Shape, Shapes, Tops, check
from prototxt_tools.layers.spans import Span
from prototxt_tools.layers.windows import convolved_size, pooled_size


class Windows(NamedTuple):
    """Windows along each axis behind the channels: time, rows and columns."""

    kernel: List[int]
    stride: List[int]
    pad: List[int]


def convolution_parameters(message: Message) -> Message:
    """The message with the parameters of a convolution, ``num_output`` and ``bias_term`` too."""
    if message.type == "Convolution3D" and message.HasField("convolution3d_param"):
        return message.convolution3d_param
    return message.convolution_param


def pooling_parameters(message: Message) -> Message:
    """The message with the parameters of a pooling layer, ``pool`` too."""
    if message.type == "Pooling3D" and message.HasField("pooling3d_param"):
        return message.pooling3d_param
    return message.pooling_param


def groups(message: Message) -> int:
    """How many groups of channels a convolution has; C3D's layer ignores ``group``, and its
    ``filter_group`` saves memory and changes no number."""
    return 1 if message.type == "Convolution3D" else int(message.convolution_param.group)


def convolution_windows(message: Message) -> Windows:
    """The windows of a convolution; ValueError where they are incomplete."""
    return _windows(convolution_parameters(message), message.type)


def pooling_windows(message: Message, size: Sequence[int]) -> Windows:
    """The windows of a pooling layer over axes of this size; ValueError as above."""
    parameters = pooling_parameters(message)
    if message.type == "NdPooling" and parameters.global_pooling:
        return Windows(list(size), [1] * len(size), [0] * len(size))
    return _windows(parameters, message.type)


def _windows(parameters: Message, layer_type: str) -> Windows:
    if layer_type.startswith("Nd"):
        check(parameters.HasField("kernel_shape"), "it has no kernel_shape")
        axes = len(parameters.kernel_shape.dim)
        windows = Windows(*(_sizes(parameters, name, default, axes) for name, default in (
            ("kernel_shape", 1), ("stride_shape", 1), ("pad_shape", 0))))
    else:
        windows = Windows(*(
            [_number(parameters, name, default) for name in names] for names, default in (
                (("kernel_depth", "kernel_size", "kernel_size"), 0),
                (("temporal_stride", "stride", "stride"), 1),
                (("temporal_pad", "pad", "pad"), 0))))
        for size, name in zip(windows.kernel, ("kernel_depth", "kernel_size")):
            check(size, f"it has no {name}")
    check(min(windows.kernel, default=1) > 0, "a size of its kernel is 0")
    check(min(windows.stride, default=1) > 0, "its stride is 0")
    check(min(windows.pad, default=0) >= 0, "its pad is negative")
    return windows


def _sizes(parameters: Message, name: str, default: int, axes: int) -> List[int]:
    """A ``BlobShape`` of video-caffe, or the default along each axis."""
    if not parameters.HasField(name):
        return [default] * axes
    sizes = list(getattr(parameters, name).dim)
    check(len(sizes) == axes, f"its kernel_shape has {axes} axes and its {name} {len(sizes)}")
    return sizes


def _number(parameters: Message, name: str, default: int) -> int:
    """A number of C3D, which in the messages of stock Caffe may be a list."""
    value = getattr(parameters, name, default)
    values = [value] if isinstance(value, int) else list(value)
    check(len(values) <= 1, f"it takes one {name}")
    return int(values[0]) if values else default


def convolution(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = convolution_parameters(message), bottoms[0]
    check(parameters.num_output, "it has no num_output")
    check(getattr(parameters, "axis", 1) == 1, "its axis must be 1")
    check(all(other == shape for other in bottoms), "the shapes of its bottoms differ")
    windows = convolution_windows(message)
    _check_axes(shape, windows)
    group = groups(message)
    check(group and shape[1] % group == 0 and parameters.num_output % group == 0,
          f"{shape[1]} channels to {parameters.num_output} do not divide into {group} groups")
    sizes = [convolved_size(size, kernel, stride, pad, 1)
             for size, kernel, stride, pad in zip(shape[2:], *windows)]
    check(all(sizes), f"its output {sizes} is empty")
    return [(shape[0], parameters.num_output) + kept_axes(message, sizes)] * len(bottoms)


def convolution_blobs(message: Message, bottoms: Shapes) -> Tops:
    parameters = convolution_parameters(message)
    outputs, channels = parameters.num_output, bottoms[0][1] // (groups(message) or 1)
    bias = (outputs,) if message.type == "NdConvolution" else (1, 1, 1, 1, outputs)
    kernel = tuple(convolution_windows(message).kernel)
    return [(outputs, channels) + kernel, bias if parameters.bias_term else None]


def pooling(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, shape = pooling_parameters(message), bottoms[0]
    windows = pooling_windows(message, shape[2:])
    _check_axes(shape, windows)
    check(parameters.pool in (parameters.MAX, parameters.AVE), "its pooling is neither MAX nor AVE")
    is_c3d = message.type == "Pooling3D"
    check(not (is_c3d and any(windows.pad)) or parameters.pool == parameters.AVE,
          "only its AVE pooling takes a pad")
    sizes = pooled_sizes(message, shape[2:])
    check(all(size > 0 for size in sizes), f"its output {sizes} is empty")
    for size, cells, stride, pad in zip(shape[2:], sizes, windows.stride, windows.pad):
        check((cells - 1) * stride < size + pad, "its last window lies outside its bottom")
    return [shape[:2] + kept_axes(message, sizes)]


def pooled_sizes(message: Message, size: Sequence[int]) -> List[int]:
    """How many windows a pooling layer has along each axis: C3D rounds up, video-caffe down."""
    is_c3d = message.type == "Pooling3D"
    return [pooled_size(*axis, ceil=is_c3d, clip=False if is_c3d else None)
            for axis in zip(size, *pooling_windows(message, size))]


def kept_axes(message: Message, sizes: Sequence[int]) -> Shape:
    """The axes of a top behind its channels; video-caffe leaves out those with one cell."""
    is_c3d = message.type in ("Convolution3D", "Pooling3D")
    return tuple(size for size in sizes if is_c3d or size > 1)


def _check_axes(shape: Shape, windows: Windows) -> None:
    axes = len(windows.kernel)
    check(len(shape) == axes + 2, f"its windows have {axes} axes and its bottom {len(shape) - 2} "
                                  "behind the channels")


def convolution_receptive(message: Message, bottoms: List[List[Span]], shapes: Shapes
                          ) -> Optional[List[Span]]:
    """A window, if no axis is left out."""
    return _seen(convolution_windows(message), bottoms, shapes)


def pooling_receptive(message: Message, bottoms: List[List[Span]], shapes: Shapes
                      ) -> Optional[List[Span]]:
    """A window, if no axis is left out."""
    return _seen(pooling_windows(message, shapes[0][2:]), bottoms, shapes)


def _seen(windows: Windows, bottoms: List[List[Span]], shapes: Shapes) -> Optional[List[Span]]:
    if len(shapes[-1]) != len(shapes[0]) or len(bottoms[0]) != len(windows.kernel):
        return None
    axes: List[Tuple[Span, int, int, int]] = list(zip(bottoms[0], *windows))
    return [spans.windowed(span, kernel, stride, pad) for span, kernel, stride, pad in axes]
