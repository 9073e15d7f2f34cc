"""Rules that lead from the receptive fields of a layer's bottoms to those of its tops.

Each takes the layer's message, the spans of every bottom that sees the input, one per spatial
axis, and the shapes of these bottoms and of the top, in this order. The result
is None where the receptive field is not known.
"""

from typing import Callable, List, Optional

from prototxt_tools.layers import spans
from prototxt_tools.layers.sizes import Message, Shapes, axis_of
from prototxt_tools.layers.spans import Cells, Span
from prototxt_tools.layers.windows import convolution_windows, pooling_windows

Seen = Optional[List[Span]]
Bottoms = List[List[Span]]


def pointwise(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """Each cell sees only the cells at its own position."""
    cells = _cells(bottoms, shapes)
    same = cells[-1] == tuple(map(max, *cells))
    return spans.joined(bottoms, cells) if same else None


def selected(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """As ``pointwise``, for layers that select among the items of a batch."""
    return spans.joined(bottoms, _cells(bottoms, shapes))


def whole(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """The only cell sees all cells of the first bottom."""
    if max(_cells(bottoms, shapes)[-1]) > 1:
        return None
    return everywhere(message, bottoms, shapes)


def everywhere(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """Every cell sees all cells of the first bottom."""
    counts = _cells(bottoms, shapes)[0]
    return [spans.together(span, count) for span, count in zip(bottoms[0], counts)]


def windowed(extent: int, stride: int = 1, pad: int = 0) -> Callable[..., Seen]:
    """The rule of a layer with the same window along each axis.

    Parameters
    ----------
    extent, stride, pad : int
        In cells; ``extent`` is ``dilation * (kernel - 1) + 1`` of a dilated kernel.
    """
    def rule(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
        return [spans.windowed(span, extent, stride, pad) for span in bottoms[0]]

    return rule


def reshape(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """Cells keep their positions if their number stays the same; else a single cell sees all."""
    cells = _cells(bottoms, shapes)
    rule = pointwise if cells[0] == cells[-1] else whole
    return rule(message, bottoms, shapes)


def convolution(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """Also of Deconvolution, whose cells spread over the top."""
    parameters = message.convolution_param
    if parameters.axis != 1:
        return None
    seen = spans.spread if message.type == "Deconvolution" else spans.windowed
    windows = zip(*convolution_windows(parameters, len(bottoms[0])))
    return [
        seen(span, dilation * (kernel - 1) + 1, stride, pad)
        for span, (kernel, stride, pad, dilation) in zip(bottoms[0], windows)
    ]


def pooling(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """A window, or all cells if the pooling is global."""
    size = list(_cells(bottoms, shapes)[0])
    windows = zip(*pooling_windows(message.pooling_param, size))
    return [spans.windowed(span, *window) for span, window in zip(bottoms[0], windows)]


def lrn(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """A window for LRN within channels, only the cell itself for LRN across channels."""
    size = message.lrn_param.local_size
    rule = pointwise if message.lrn_param.norm_region != 1 else windowed(size, 1, (size - 1) // 2)
    return rule(message, bottoms, shapes)


def crop(message: Message, bottoms: Bottoms, shapes: Shapes) -> Seen:
    """The same cells, counted from the offset."""
    parameters, axes = message.crop_param, len(shapes[0])
    first = axis_of(parameters.axis, (0,) * axes)
    offsets = list(parameters.offset) or [0]
    offsets = offsets * (axes - first) if len(offsets) == 1 else offsets
    return [
        spans.shifted(span, offsets[axis - first] if axis >= first else 0)
        for axis, span in enumerate(bottoms[0], 2)
    ]


def _cells(bottoms: Bottoms, shapes: Shapes) -> List[Cells]:
    counts = [spans.cells_of(shape, len(bottoms[0])) for shape in shapes]
    return [count for count in counts if count is not None]
