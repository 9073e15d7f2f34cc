"""Which pixels of the input a cell of a blob sees.

The arithmetic is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019, along each axis; the field is not cut at the border of the picture.
"""

from typing import NamedTuple, Tuple

from prototxt_tools.shapes import axis_of, convolution_windows, pooling_windows

# Layers that let each cell see just its own place in the bottoms, or in all of them.
_POINTWISE = set(
    """AbsVal BNLL BatchNorm Bias Clip Concat Dropout ELU Eltwise Exp Log Power PReLU ReLU ReLU6
    Scale Sigmoid Softmax Split Swish TanH Threshold Axpy BN Normalize ShuffleChannel ArgMax
    Silence Tile Slice BatchReindex Filter Permute LRN""".split()
)
# Layers that mix all cells of what they read.
_MIXING = {"InnerProduct", "Flatten", "Reshape", "Reduction", "SPP", "MVN"}


class Field(NamedTuple):
    """A receptive field along the spatial axes, in pixels of the input.

    Cell i of an axis sees ``size`` pixels around ``offset + i * stride``; pixel 0 has its centre
    at 0. Where cells differ in size, as behind a Deconvolution, it is the largest.
    """

    size: Tuple[float, ...]
    stride: Tuple[float, ...]
    offset: Tuple[float, ...]


class _Span(NamedTuple):
    """One axis; the field of cell 0 is from ``low`` to ``high``, both centres of pixels."""

    low: float
    high: float
    stride: float


def fields(net, shapes):
    """The receptive field of every blob, as it is when the forward pass is over.

    Parameters
    ----------
    net : prototxt_tools.net.Net
        At one phase.
    shapes : dict
        See ``shapes.infer``.

    Returns
    -------
    dict
        Blob name to Field. Absent are blobs that see no blob with spatial axes, those behind
        layers of unknown type, and those whose parts differ in stride.

    Raises
    ------
    PrototxtError
        At a layer that cannot be built.
    """
    spans = {}
    for entry in net.inputs:
        if len(entry.shape or ()) > 2:
            spans[entry.blob] = [_Span(0, 0, 1)] * (len(entry.shape) - 2)
    for layer in net.layers:
        if layer.type == "Input":
            continue
        if not layer.bottoms:
            tops = [_pixels(shapes.get(top, ())) for top in layer.tops]
        else:
            try:
                tops = [_seen(layer, spans, shapes, top) for top in layer.tops]
            except (ValueError, IndexError, ZeroDivisionError) as error:
                raise layer.field.error("layer {}: {}".format(layer.name, error)) from error
        spans.update(zip(layer.tops, tops))
    return {blob: _field(span) for blob, span in spans.items() if span}


def _pixels(shape):
    return [_Span(0, 0, 1)] * (len(shape) - 2) if len(shape) > 2 else None


def _field(spans):
    return Field(
        tuple(span.high - span.low + 1 for span in spans),
        tuple(span.stride for span in spans),
        tuple((span.low + span.high) / 2 for span in spans),
    )


def _seen(layer, spans, shapes, top):
    """The spans of a top, or None."""
    reads = [bottom for bottom in layer.bottoms if spans.get(bottom)]
    if not reads or any(bottom not in shapes for bottom in reads):
        return None
    first, sizes = spans[reads[0]], shapes[reads[0]][2:]
    if layer.type in ("Convolution", "Deconvolution", "Im2col") or "epthwise" in layer.type:
        return _convolved(layer, first)
    if layer.type == "Pooling":
        windows = zip(*pooling_windows(layer.message.pooling_param, list(sizes)))
        return [_windowed(span, *window) for span, window in zip(first, windows)]
    if layer.type == "LRN" and layer.message.lrn_param.norm_region == 1:
        size = layer.message.lrn_param.local_size
        return [_windowed(span, size, 1, (size - 1) // 2) for span in first]
    if layer.type == "Crop":
        return _cropped(layer, first, len(sizes) + 2)
    if layer.type in _MIXING:
        return [_whole(span, size) for span, size in zip(first, sizes)]
    if layer.type in _POINTWISE:
        return _joined([_at_scale_of(bottom, spans, shapes, top) for bottom in reads])
    return None


def _convolved(layer, spans):
    parameters = layer.message.convolution_param
    if parameters.axis != 1:
        raise ValueError("receptive fields are known for convolutions along axis 1 only")
    windows = zip(*convolution_windows(parameters, len(spans)))
    found = []
    for span, (kernel, stride, pad, dilation) in zip(spans, windows):
        extent = dilation * (kernel - 1) + 1
        if layer.type == "Deconvolution":
            found.append(_spread(span, extent, stride, pad))
        else:
            found.append(_windowed(span, extent, stride, pad))
    return found


def _windowed(span, extent, stride, pad):
    low = span.low - pad * span.stride
    return _Span(low, span.high + (extent - 1 - pad) * span.stride, span.stride * stride)


def _spread(span, extent, stride, pad):
    """Cell o of a deconvolution sees the cells i with o = i * stride - pad + t, 0 <= t < extent."""
    reach = (-(-extent // stride) - 1) * span.stride / 2
    middle = (pad - (extent - 1) / 2) / stride * span.stride
    return _Span(span.low + middle - reach, span.high + middle + reach, span.stride / stride)


def _cropped(layer, spans, axes):
    parameters = layer.message.crop_param
    first = axis_of(parameters.axis, (0,) * axes)
    offsets = list(parameters.offset) or [0]
    offsets = offsets * (axes - first) if len(offsets) == 1 else offsets
    found = []
    for axis, span in enumerate(spans, 2):
        shift = offsets[axis - first] * span.stride if axis >= first else 0
        found.append(_Span(span.low + shift, span.high + shift, span.stride))
    return found


def _whole(span, size):
    """What all cells see together; one cell is left, or each sees everything."""
    return _Span(span.low, span.high + (size - 1) * span.stride, span.stride)


def _at_scale_of(bottom, spans, shapes, top):
    """The spans of a bottom; if it has one cell and the top has more, each cell sees it all."""
    return spans[bottom] if len(shapes.get(top, ())) > 2 else spans[bottom]


def _joined(parts):
    """What a cell sees through several bottoms; None if they differ in stride."""
    found = []
    for axis in zip(*parts):
        if len({span.stride for span in axis}) > 1:
            return None
        low, high = min(span.low for span in axis), max(span.high for span in axis)
        found.append(_Span(low, high, axis[0].stride))
    return found
