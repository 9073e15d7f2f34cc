"""Which axis of a score blob holds the classes, and what its other axes are."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

Shape = Tuple[int, ...]
Shapes = Mapping[str, Shape]

# Axes along which a question picks one index; of maps of scores it takes the mean over places.
INDEXED = ("step", "prior", "roi", "cell")
PLACES = ("row", "column")
CLASSES, OUTPUTS = "classes", "outputs"
_USUAL: Dict[int, Tuple[str, ...]] = {
    1: ("item",), 2: ("item", "class"), 3: ("item", "class", "step"),
    4: ("item", "class") + PLACES,
}
_DETECTIONS = ("DetectionOutput", "PriorBox", "PriorBoxClustered")
_ROI_POOLINGS = ("ROIPooling", "PSROIPooling", "ROIAlign")
_REGRESSION_LOSSES = ("EuclideanLoss", "SmoothL1Loss", "L1Loss")


@dataclass(frozen=True)
class ScoreLayout:
    """What the axes of a score blob are.

    Attributes
    ----------
    axes : tuple of str
        A word for each axis of the blob as Caffe holds it: "item" for the images of a batch,
        "class", "row" and "column" of a map of scores, "step" of a sequence, "prior" of a
        detector, "roi" for regions of interest, "cell" for anything else, and "unit" for an axis
        of size 1 that means nothing. Empty: the usual ones for the number of axes.
    kind : str
        "classes", or "outputs" where the numbers are no scores of classes: regressions,
        landmarks, the channels of YOLO.
    background : int or None
        The class that stands for nothing, which ``Top`` leaves out.
    origin : str
        How it was found, for reports.
    """

    axes: Tuple[str, ...] = ()
    kind: str = CLASSES
    background: Optional[int] = None
    origin: str = "assumed: the usual axes"

    @property
    def positions(self) -> Tuple[str, ...]:
        """The axes beside items and classes, in order."""
        return tuple(axis for axis in self.axes if axis not in ("item", "class", "unit"))

    @property
    def indexed(self) -> Tuple[str, ...]:
        """Those of the positions of which a question picks one index."""
        return tuple(axis for axis in self.positions if axis in INDEXED)

    @property
    def noun(self) -> str:
        """What one of the numbers is called: "class" or "output"."""
        return "output" if self.kind == OUTPUTS else "class"

    def rows(self, blob: np.ndarray) -> np.ndarray:
        """A score blob as the rest of the package sees it.

        Parameters
        ----------
        blob : numpy.ndarray
            As Caffe holds it.

        Returns
        -------
        numpy.ndarray
            N x K [x positions], of the same type; a view where that is possible. Of blobs without
            an axis of items N is 1, of those without an axis of classes K is 1.
        """
        order, kept = self._order(blob.ndim)
        turned = blob.transpose(order)
        sizes = [turned.shape[index] for index in kept]
        heads = [blob.shape[self._axes(blob.ndim).index(word)]
                 if word in self._axes(blob.ndim) else 1 for word in ("item", "class")]
        return turned.reshape(heads + sizes)

    def to_blob(self, rows: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The reverse of :meth:`rows`, for gradients.

        Parameters
        ----------
        rows : numpy.ndarray
            N x K [x positions].
        shape : sequence of int
            Of the blob.
        """
        order, _ = self._order(len(shape))
        turned = rows.reshape([shape[axis] for axis in order])
        return np.ascontiguousarray(turned.transpose(np.argsort(order)))

    def blob_shape(self, rows: Sequence[int], like: Sequence[int]) -> Tuple[int, ...]:
        """The shape of the blob whose :meth:`rows` have this shape, given that of another batch."""
        axes = self._axes(len(like))
        return tuple(rows[0] if axis == "item" else size for axis, size in zip(axes, like))

    def count(self, shape: Optional[Sequence[int]]) -> Optional[int]:
        """The number of classes in a blob of this shape."""
        if shape is None:
            return None
        axes = self._axes(len(shape))
        return shape[axes.index("class")] if "class" in axes else 1

    def sizes(self, shape: Optional[Sequence[int]]) -> Dict[str, int]:
        """Position axis -> size, in a blob of this shape."""
        if shape is None:
            return {}
        axes = self._axes(len(shape))
        return {axis: size for axis, size in zip(axes, shape)
                if axis not in ("item", "class", "unit")}

    def _axes(self, count: int) -> Tuple[str, ...]:
        if len(self.axes) == count:
            return self.axes
        return _USUAL.get(count, ("item", "class") + ("cell",) * (count - 2))

    def _order(self, count: int) -> Tuple[List[int], List[int]]:
        """The axes in the order item, class, others; and where the positions stand in it."""
        axes = self._axes(count)
        first = [axes.index(word) for word in ("item", "class") if word in axes]
        others = [index for index in range(count) if index not in first]
        order = first + others
        return order, [index for index, axis in enumerate(order)
                       if axes[axis] not in ("item", "class", "unit")]


def cells_at(axes: Sequence[str], sizes: Sequence[int], position: Sequence[Tuple[str, int]]
             ) -> Optional[np.ndarray]:
    """Weights with sum 1 over positions of these axes and sizes, at an index of some of them; None
    where there is none."""
    if not position:
        return None
    cells = np.zeros(tuple(sizes), np.float32)
    indices = dict(position)
    cells[tuple(indices.get(axis, slice(None)) for axis in axes)] = 1
    weights: np.ndarray = cells / cells.sum()
    return weights


def item_axes(graph: Graph, inputs: Shapes, axes: Mapping[str, Optional[int]]
              ) -> Dict[str, Optional[int]]:
    """Along which axis each blob holds the images of a batch.

    The shapes for two images are compared with those for one.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    inputs : dict
        Input blob -> its shape for one image.
    axes : dict
        Input blob -> the axis of its items, or None where it cannot hold several.

    Returns
    -------
    dict
        Blob -> axis; None where images cannot share the blob. Blobs of unknown shape are absent.
    """
    doubled = {blob: tuple(size * (1 + (index == axes.get(blob, 0)))
                           for index, size in enumerate(shape)) for blob, shape in inputs.items()}
    one = blob_shapes.infer(graph.net, dict(inputs))
    problems: List[PrototxtError] = []
    two = blob_shapes.infer(graph.net, doubled, problems)
    found: Dict[str, Optional[int]] = {}
    for blob, shape in one.items():
        other = two.get(blob)
        if other is None and not problems:
            continue
        changed = [] if other is None or len(other) != len(shape) else [
            index for index, sizes in enumerate(zip(shape, other)) if sizes[0] != sizes[1]]
        is_items = len(changed) == 1 and shape[changed[0]] == 1
        found[blob] = changed[0] if is_items else None
    return found


def find(graph: Graph, score: str, shapes: Shapes, link: str,
         items: Mapping[str, Optional[int]]) -> ScoreLayout:
    """The layout of a score blob, read from the net.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    score : str
    shapes : dict
        Blob -> shape, of one image.
    link : str
        What makes probabilities of the scores.
    items : dict
        See :func:`item_axes`.
    """
    shape = shapes.get(score)
    kind = OUTPUTS if link == "none" and _is_regression(graph, score) else CLASSES
    if shape is None:
        return ScoreLayout(kind=kind)
    class_axis, origin = _class_axis(graph, score, shapes)
    item_axis = items.get(score, 0)
    if item_axis == class_axis and len(shape) > 1:
        item_axis = None
    if item_axis is None:
        singles = [index for index, size in enumerate(shape) if size == 1 and index != class_axis]
        item_axis = singles[0] if singles else None
    words = [""] * len(shape)
    if item_axis is not None:
        words[item_axis] = "item"
    if class_axis is not None and not words[class_axis]:
        words[class_axis] = "class"
    _name_positions(words, shape, graph, score)
    background = _background(graph, words, shapes, score) if kind == CLASSES else None
    return ScoreLayout(tuple(words), kind, background, origin)


def _name_positions(words: List[str], shape: Shape, graph: Graph, score: str) -> None:
    """Fill in what the axes beside items and classes are."""
    others = [index for index, word in enumerate(words) if not word]
    before = [graph.net.layers[index] for index in graph.ancestors([score])]
    is_map = len(shape) == 4 and len(others) == 2 and _is_spatial(graph, score)
    if is_map or (len(shape) == 4 and all(shape[index] == 1 for index in others[-2:])
                  and len(others) == 2):
        for index, word in zip(others, PLACES):
            words[index] = word
        return
    if "item" not in words and any(layer.type in _ROI_POOLINGS for layer in before):
        first = "roi"
    elif any(layer.type in _DETECTIONS for layer in graph.net.layers):
        first = "prior"
    else:
        first = "step"
    for index in others:
        if shape[index] == 1 and len(others) > 1:
            words[index] = "unit"
        else:
            words[index], first = first, "cell"


def _class_axis(graph: Graph, score: str, shapes: Shapes) -> Tuple[Optional[int], str]:
    """The axis of the classes, and how it was found."""
    count = len(shapes[score])
    for index in graph.final_readers(score):
        layer = graph.net.layers[index]
        kind = layers.of(layer.type)
        if kind.link == "softmax":
            axis = layer.message.softmax_param.axis
            return axis % max(count, 1), f"found: {layer.type} {layer.name} works along axis {axis}"
    axis = _made_axis(graph, score, shapes)
    maker = graph.maker(score)
    made_by = f"{maker.type} {maker.name}" if maker is not None else "the net"
    if axis is None or not 0 <= axis < count:
        return (1 if count > 1 else None), "assumed: the usual axes"
    return axis, f"found: {made_by} makes them along axis {axis}"


def _made_axis(graph: Graph, blob: str, shapes: Shapes) -> Optional[int]:
    """The axis along which the layers that make a blob put its features."""
    maker, shape = graph.maker(blob), shapes.get(blob)
    # An input that is changed in place is made by nothing else.
    if maker is None or shape is None or not maker.bottoms or blob in maker.bottoms:
        return 1
    below = maker.bottoms[0]
    kind = layers.of(maker.type)
    if maker.type == "InnerProduct":
        return int(maker.message.inner_product_param.axis) % (len(shapes.get(below) or shape))
    if maker.type in ("LSTM", "RNN", "Embed"):
        return len(shape) - 1
    if maker.type == "Permute":
        axis = _made_axis(graph, below, shapes)
        order = _permute_order(maker, len(shape))
        return order.index(axis) if axis in order else None
    if maker.type in ("Reshape", "Flatten"):
        return _reshaped_axis(maker, shapes.get(below), shape, _made_axis(graph, below, shapes))
    if kind.role == "convolution" or kind.role == "pooling":
        return 1
    if shapes.get(below) == shape:
        return _made_axis(graph, below, shapes)
    return 1


def _permute_order(layer: Layer, count: int) -> List[int]:
    """Permute's order with the axes that it leaves where they are; SSD's ``permute_layer.cpp``."""
    order = [int(axis) for axis in layer.message.permute_param.order]
    return order + [axis for axis in range(count) if axis not in order]


def _reshaped_axis(layer: Layer, before: Optional[Shape], after: Shape, axis: Optional[int]
                   ) -> Optional[int]:
    """Where an axis stands after a layer that keeps the order of all numbers."""
    if before is None or axis is None:
        return None
    if axis == len(before) - 1:
        return len(after) - 1
    start = int(np.prod(before[:axis], dtype=np.int64))
    products = [int(np.prod(after[:index], dtype=np.int64)) for index in range(len(after))]
    return products.index(start) if start in products[1:] else 1


def _is_spatial(graph: Graph, blob: str) -> bool:
    """Whether the cells of a blob of four axes lie as those of a picture do."""
    maker = graph.maker(blob)
    # An input that is changed in place is made by nothing else.
    while maker is not None and maker.bottoms and blob not in maker.bottoms:
        role = layers.of(maker.type).role
        if maker.type in ("Reshape", "Flatten", "InnerProduct"):
            return False
        if role in ("convolution", "pooling", "resize"):
            return True
        blob = maker.bottoms[0]
        maker = graph.maker(blob)
    return True


def _is_regression(graph: Graph, score: str) -> bool:
    readers = [graph.net.layers[index] for index in graph.readers(score)]
    return any(layer.type in _REGRESSION_LOSSES for layer in readers)


def _background(graph: Graph, words: Sequence[str], shapes: Shapes, score: str) -> Optional[int]:
    """The class that a detector takes for the background: what its last layer says, or the first
    one, as in py-faster-rcnn where a second output moves the box of each class."""
    if "roi" in words and "class" in words:
        count = shapes[score][words.index("class")]
        moves = any(tuple(shapes.get(blob, ()))[1:2] in ((4 * count,), (8,))
                    for blob in graph.net.outputs())
        return 0 if moves else None
    if "prior" not in words:
        return None
    for layer in graph.net.layers:
        if layer.type == "DetectionOutput":
            return int(layer.message.detection_output_param.background_label_id)
    return 0
