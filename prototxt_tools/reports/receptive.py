"""Which pixels of the input a cell of a blob sees.

The arithmetic is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019, along each axis; the field is not cut at the border of the image.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from prototxt_tools import layers
from prototxt_tools.errors import PrototxtError
from prototxt_tools.layers.sizes import Shape
from prototxt_tools.layers.spans import Span, cells_of
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.shapes import Shapes

_UNBUILDABLE = (PrototxtError, ValueError, IndexError, ZeroDivisionError)


@dataclass(frozen=True)
class Field:
    """A receptive field along the spatial axes, in pixels of the input.

    Cell i of an axis sees ``size`` pixels around ``offset + i * stride``; pixel 0 has its centre
    at 0, and with stride 0 every cell sees the same. Where cells see more and fewer pixels in
    turn, as behind a Deconvolution, the field holds what any of them sees.
    """

    size: Tuple[float, ...]
    stride: Tuple[float, ...]
    offset: Tuple[float, ...]


def fields(net: Net, shapes: Shapes) -> Dict[str, Field]:
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
    spans: Dict[str, Optional[List[Span]]] = {
        entry.blob: _pixels(shapes.get(entry.blob, ())) for entry in net.inputs
    }
    for layer in net.layers:
        for top in layer.tops if layer.type != "Input" else ():
            if not layer.bottoms:
                spans[top] = _pixels(shapes.get(top, ()))
                continue
            try:
                spans[top] = _seen(layer, spans, shapes, top)
            except _UNBUILDABLE:
                spans[top] = None
    return {blob: _field(seen) for blob, seen in spans.items() if seen}


def _pixels(shape: Shape) -> List[Span]:
    return [Span(0, 0, 1)] * (len(shape) - 2)


def _field(spans: Sequence[Span]) -> Field:
    return Field(
        tuple(span.high - span.low + 1 for span in spans),
        tuple(span.stride for span in spans),
        tuple((span.low + span.high) / 2 for span in spans),
    )


def _seen(layer: Layer, spans: Dict[str, Optional[List[Span]]], shapes: Shapes,
          top: str) -> Optional[List[Span]]:
    """The spans of a top; None if they are not known."""
    rule = layers.of(layer.type).receptive
    blobs = [bottom for bottom in layer.bottoms if spans.get(bottom)]
    if rule is None or not blobs or any(blob not in shapes for blob in blobs + [top]):
        return None
    bottom_spans = [seen for seen in map(spans.get, blobs) if seen]
    blob_shapes = [shapes[blob] for blob in blobs + [top]]
    axes = len(bottom_spans[0])
    if any(cells_of(shape, axes) is None for shape in blob_shapes):
        return None
    return rule(layer.message, bottom_spans, blob_shapes)
