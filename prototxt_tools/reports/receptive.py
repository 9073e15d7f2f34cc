"""Which pixels of the input a cell of a blob sees.

The arithmetic is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019, along each axis; the field is not cut at the border of the picture.
"""

from typing import NamedTuple, Tuple

from prototxt_tools.errors import PrototxtError
from prototxt_tools.shapes import axis_of, convolution_windows, pooling_windows

# Layers whose cells see just their own place in the bottoms.
_POINTWISE = set(
    """AbsVal BNLL BN BatchNorm BatchReindex Bias Clip Concat Dropout ELU Eltwise Exp Filter LRN Log
    Normalize PReLU Power ReLU ReLU6 Scale ShuffleChannel Sigmoid Slice Softmax Split Swish TanH
    Threshold Axpy""".split()
)
_UNBUILDABLE = (PrototxtError, ValueError, IndexError, ZeroDivisionError)
# Layers that mix all cells of what they read.
_MIXING = {"Flatten", "InnerProduct", "MVN", "Reduction", "Reshape", "SPP"}


class Field(NamedTuple):
    """A receptive field along the spatial axes, in pixels of the input.

    Cell i of an axis sees ``size`` pixels around ``offset + i * stride``; pixel 0 has its centre
    at 0, and a stride of 0 says that every cell sees the same. Where cells see more and fewer
    pixels in turn, as behind a Deconvolution, the field holds what any of them sees.
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
    net : prototxt_tools.net.net.Net
        At one phase.
    shapes : dict
        See ``shapes.infer``.

    Returns
    -------
    dict
        Blob name to Field. Absent are blobs that see no blob with spatial axes, those behind
        layers whose spatial axes are others than those of what they read, or of unknown type,
        or that cannot be built, and those whose parts differ in stride.
    """
    spans = {entry.blob: _pixels(shapes.get(entry.blob, ())) for entry in net.inputs}
    for layer in net.layers:
        for top in layer.tops if layer.type != "Input" else ():
            if not layer.bottoms:
                spans[top] = _pixels(shapes.get(top, ()))
                continue
            try:
                spans[top] = _seen(layer, spans, shapes, top)
            except _UNBUILDABLE:
                spans[top] = None
    return {blob: _field(span) for blob, span in spans.items() if span}


def _pixels(shape):
    return [_Span(0, 0, 1)] * (len(shape) - 2)


def _field(spans):
    return Field(
        tuple(span.high - span.low + 1 for span in spans),
        tuple(span.stride for span in spans),
        tuple((span.low + span.high) / 2 for span in spans),
    )


def _seen(layer, spans, shapes, top):
    """The spans of a top; None where they cannot be told."""
    reads = [bottom for bottom in layer.bottoms if spans.get(bottom)]
    if not reads or top not in shapes or any(bottom not in shapes for bottom in reads):
        return None
    first = spans[reads[0]]
    cells = [_cells(shapes[blob], len(first)) for blob in reads + [top]]
    if None in cells:
        return None
    if layer.type in ("Convolution", "Deconvolution", "Im2col") or "epthwise" in layer.type:
        return _convolved(layer, first)
    if layer.type == "Pooling":
        windows = zip(*pooling_windows(layer.message.pooling_param, list(cells[0])))
        return [_windowed(span, *window) for span, window in zip(first, windows)]
    if layer.type == "LRN" and layer.message.lrn_param.norm_region == 1:
        size = layer.message.lrn_param.local_size
        return [_windowed(span, size, 1, (size - 1) // 2) for span in first]
    if layer.type == "Crop":
        return _cropped(layer, first, len(shapes[reads[0]]))
    if layer.type == "Reshape" and cells[0] == cells[-1] or layer.type in _POINTWISE:
        same = layer.type in ("Filter", "BatchReindex") or cells[-1] == tuple(map(max, *cells))
        return _joined([spans[bottom] for bottom in reads], cells) if same else None
    if layer.type in _MIXING and (max(cells[-1]) == 1 or layer.type == "MVN"):
        return [_whole(span, count) for span, count in zip(first, cells[0])]
    return None


def _cells(shape, axes):
    """Cells along each of so many spatial axes, 1 where the shape has less; None if it has more."""
    return (shape[2:] + (1,) * axes)[:axes] if len(shape) <= axes + 2 else None


def _convolved(layer, spans):
    parameters = layer.message.convolution_param
    if parameters.axis != 1:
        return None
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
    """Cell o of a deconvolution sees the cells i with o = i * stride - pad + t, 0 <= t < extent.

    How many there are depends on o; these bounds hold them for every o.
    """
    low = span.low + (pad - extent + 1) / stride * span.stride
    return _Span(low, span.high + pad / stride * span.stride, span.stride / stride)


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


def _whole(span, count):
    """What so many cells see together."""
    return _Span(span.low, span.high + (count - 1) * span.stride, 0)


def _joined(parts, cells):
    """What a cell sees through several bottoms; None if they differ in stride.

    A bottom with one cell where the top has more counts for all of its cells.
    """
    found = []
    for axis, counts in zip(zip(*parts), zip(*cells)):
        strides = {span.stride for span, count in zip(axis, counts) if count == counts[-1]}
        if min(counts) < counts[-1] or strides == {0} or 0 in strides:
            axis, strides = [_whole(span, n) for span, n in zip(axis, counts)], {0}
        if len(strides) > 1:
            return None
        low, high = min(span.low for span in axis), max(span.high for span in axis)
        found.append(_Span(low, high, strides.pop()))
    return found
