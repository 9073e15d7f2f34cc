"""Receptive fields along one axis.

The arithmetic is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

Cells = Tuple[int, ...]


class Span(NamedTuple):
    """What the cells along one axis see: cell 0 sees from ``low`` to ``high``, both the centres
    of input pixels, and each further cell ``stride`` pixels further on. With stride 0 all cells
    see the same."""

    low: float
    high: float
    stride: float


def cells_of(shape: Sequence[int], axes: int) -> Optional[Cells]:
    """Cells along each of so many spatial axes, 1 where the shape has fewer axes; None where it
    has more."""
    return (tuple(shape[2:]) + (1,) * axes)[:axes] if len(shape) <= axes + 2 else None


def windowed(span: Span, extent: float, stride: float, pad: float) -> Span:
    """What cells see through a window of so many cells."""
    low = span.low - pad * span.stride
    return Span(low, span.high + (extent - 1 - pad) * span.stride, span.stride * stride)


def spread(span: Span, extent: float, stride: float, pad: float) -> Span:
    """Cell o of a deconvolution sees the cells i with o = i * stride - pad + t, 0 <= t < extent.

    How many there are depends on o; these bounds hold them for every o.
    """
    low = span.low + (pad - extent + 1) / stride * span.stride
    return Span(low, span.high + pad / stride * span.stride, span.stride / stride)


def shifted(span: Span, cells: float) -> Span:
    """What the cells see that are so many cells further on."""
    return Span(span.low + cells * span.stride, span.high + cells * span.stride, span.stride)


def together(span: Span, count: int) -> Span:
    """What so many cells see together."""
    return Span(span.low, span.high + (count - 1) * span.stride, 0)


def joined(parts: Sequence[Sequence[Span]], cells: Sequence[Cells]) -> Optional[List[Span]]:
    """What a cell sees through several bottoms; None if they differ in stride.

    ``cells`` holds the counts of the bottoms, then the top's. A bottom with one cell where the
    top has more counts for all of its cells.
    """
    result = []
    for axis, counts in zip(zip(*parts), zip(*cells)):
        strides = {span.stride for span, count in zip(axis, counts) if count == counts[-1]}
        if min(counts) < counts[-1] or strides == {0} or 0 in strides:
            axis = tuple(together(span, count) for span, count in zip(axis, counts))
            strides = {0}
        if len(strides) > 1:
            return None
        low, high = min(span.low for span in axis), max(span.high for span in axis)
        result.append(Span(low, high, strides.pop()))
    return result
