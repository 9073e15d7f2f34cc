"""Layers of Faster R-CNN and R-FCN, and of YOLO.

Boxes are computed in double precision, as the engines do, since one that is nearly the same may be
suppressed where the other is not.
"""

from typing import Any, List, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.detection import grids, regions
from caffe_gradcam.engines.onnx.layers.detection import count_of, listed
from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import DOUBLE, FLOAT, Value

_ALL = -1


@translation("Proposal")
def proposal(step: Step) -> List[str]:
    """py-faster-rcnn, PVANET: the regions where an object is likely."""
    param = step.message.proposal_param
    scores, deltas, info = step.bottoms
    grid = regions.anchor_grid(param, scores.sizes(2))
    boxes = _clipped(step, _moved(step, grid, _by_cell(step, deltas, 4)), info)
    objects = step.op("Slice", scores, [scores.size(1) // 2], [scores.size(1)], [1])
    likely = step.op("Reshape", _by_cell(step, objects, 1), [_ALL])
    boxes, likely = _large(step, boxes, likely, info)
    if param.pre_nms_topn:
        most = step.op("Min", count_of(step, likely), np.array([param.pre_nms_topn], np.int64))
    else:
        most = count_of(step, likely)
    likely, order = step.ops("TopK", 2, likely, most, axis=0)
    boxes = step.op("Gather", boxes, order, axis=0)
    # A box from 3 to 5 is 3 wide.
    edges = step.op("Add", boxes, step.constant(np.array([0, 0, 1, 1], np.float64)))
    kept = _suppressed(step, edges, likely, [
        np.array([param.post_nms_topn], np.int64) if param.post_nms_topn else most,
        np.array([param.nms_thresh], np.float32)])
    rows = step.op("Gather", step.op("Cast", boxes, to=FLOAT), kept, axis=0)
    tops = [step.op("Pad", rows, [0, 1, 0, 0]),
            step.op("Reshape", step.op("Gather", likely, kept, axis=0), [_ALL, 1])]
    return tops[:len(step.tops)]


@translation("PSROIPooling")
def psroi_pooling(step: Step) -> List[str]:
    """R-FCN: each cell of a region's grid is the mean of a channel of its own."""
    x, rois = step.bottoms
    param = step.message.psroi_pooling_param
    group, scale = param.group_size, param.spatial_scale
    height, width = x.sizes(2)
    by_cell = step.reshape(x, Value("", (x.size(0), param.output_dim, group, group, height, width)))
    places = step.op("Reshape", rois, [_ALL, 5])
    image, left, top, right, bottom = step.ops(
        "Split", 5, step.op("Cast", places, to=DOUBLE), [1, 1, 1, 1, 1], axis=1)
    shares = [_shares(step, low, high, (scale, group, length))
              for low, high, length in ((top, bottom, height), (left, right, width))]
    of_images = []
    for index in range(x.size(0)):
        cells = step.op("Gather", by_cell, np.array(index, np.int64), axis=0)
        pooled = step.op("Einsum", cells, *shares, equation="cpqhw,rph,rqw->rcpq")
        if x.size(0) > 1:
            is_here = step.op("Equal", image, step.constant(np.array(index, np.float64)))
            factor = step.op("Reshape", step.op("Cast", is_here, to=FLOAT), [_ALL, 1, 1, 1])
            pooled = step.op("Mul", pooled, factor)
        of_images.append(pooled)
    return [step.op("Sum", *of_images) if len(of_images) > 1 else of_images[0]]


@translation("YoloDetectionOutput", "Yolov3DetectionOutput")
def yolo_detection_output(step: Step) -> List[str]:
    """MobileNet-YOLO: the boxes that non-maximum suppression leaves, whatever their class."""
    sizes = [bottom.sizes(2) for bottom in step.bottoms]
    of_bottoms = grids.grids(step.message, sizes)
    images = step.bottoms[0].size(0)
    numbers = [_by_anchor(step, grid, bottom)
               for grid, bottom in zip(of_bottoms, step.bottoms)]
    parts = [_decoded(step, grid, of_grid, size)
             for grid, of_grid, size in zip(of_bottoms, numbers, sizes)]
    boxes, confidences = (step.op("Concat", *part, axis=1) for part in zip(*parts))
    tables = [_of_image(step, image, boxes, confidences) for image in range(images)]
    return [listed(step, tables)]


def _by_cell(step: Step, blob: Any, numbers: int) -> str:
    """1 x A B x h x w to h w A x B, in B numbers for each anchor."""
    first = step.op("Gather", blob, np.array(0, np.int64), axis=0)
    return step.op("Reshape", step.op("Transpose", first, perm=[1, 2, 0]), [_ALL, numbers])


def _moved(step: Step, boxes: np.ndarray, deltas: str) -> str:
    """What deltas make of constant boxes; see ``regions.moved``."""
    sizes = boxes[:, 2:] - boxes[:, :2] + 1
    moves, growths = step.ops("Split", 2, deltas, [2, 2], axis=1)
    shifts = step.op("Mul", step.op("Cast", moves, to=DOUBLE), step.constant(sizes))
    centres = step.op("Add", shifts, step.constant(boxes[:, :2] + sizes / 2))
    factors = step.op("Cast", step.op("Exp", growths), to=DOUBLE)
    halves = step.op("Mul", factors, step.constant(sizes / 2))
    return step.op("Concat", step.op("Sub", centres, halves), step.op("Add", centres, halves),
                   axis=1)


def _clipped(step: Step, boxes: str, info: Value) -> str:
    """Boxes cut off at the edges of the image."""
    flat = step.op("Cast", step.op("Reshape", info, [_ALL]), to=DOUBLE)
    limits = step.op("Gather", flat, np.array([1, 0, 1, 0], np.int64), axis=0)
    limits = step.op("Sub", limits, step.constant(np.array(1, np.float64)))
    above = step.op("Max", boxes, step.constant(np.array(0, np.float64)))
    return step.op("Min", above, limits)


def _large(step: Step, boxes: str, likely: str, info: Value) -> Tuple[str, str]:
    """The boxes that are large enough, and how likely they are."""
    scale = step.op("Slice", step.op("Reshape", info, [_ALL]), [2], [3])
    least = step.op("Mul", scale, np.float32(step.message.proposal_param.min_size))
    low, high = step.ops("Split", 2, boxes, [2, 2], axis=1)
    sides = step.op("Add", step.op("Sub", high, low), step.constant(np.array(1, np.float64)))
    shorter = step.op("ReduceMin", sides, axes=[1], keepdims=0)
    is_large = step.op("GreaterOrEqual", shorter, step.op("Cast", least, to=DOUBLE))
    return (step.op("Compress", boxes, is_large, axis=0),
            step.op("Compress", likely, is_large, axis=0))


def _suppressed(step: Step, boxes: str, scores: str, limits: Sequence[Any]) -> str:
    """The indices of the boxes that remain, the best first; boxes are M x 4, scores M."""
    chosen = step.op(
        "NonMaxSuppression",
        step.op("Unsqueeze", step.op("Cast", boxes, to=FLOAT), [0]),
        step.op("Unsqueeze", scores, [0, 1]), *limits)
    return step.op("Gather", chosen, np.array(2, np.int64), axis=1)


def _shares(step: Step, low: str, high: str, sizes: Tuple[float, int, int]) -> str:
    """How much of each bin comes from each cell along an axis: regions x bins x cells."""
    scale, group, length = sizes

    def constant(value: Any) -> str:
        return step.constant(np.array(value, np.float64))

    start = step.op("Mul", _rounded(step, low), constant(scale))
    end = step.op("Mul", step.op("Add", _rounded(step, high), constant(1)), constant(scale))
    longest = step.op("Max", step.op("Sub", end, start), constant(0.1))
    size = step.op("Div", longest, constant(group))
    edges = []
    for operator, shift in (("Floor", 0), ("Ceil", 1)):
        edge = step.op("Add", step.op("Mul", size, constant([np.arange(group) + shift])), start)
        inside = step.op("Max", step.op(operator, edge), constant(0))
        edges.append(step.op("Unsqueeze", step.op("Min", inside, constant(length)), [2]))
    cells = constant(np.arange(length)[np.newaxis, np.newaxis])
    is_in = step.op("And", step.op("GreaterOrEqual", cells, edges[0]),
                    step.op("Less", cells, edges[1]))
    count = step.op("Max", step.op("Sub", edges[1], edges[0]), constant(1))
    return step.op("Cast", step.op("Div", step.op("Cast", is_in, to=DOUBLE), count), to=FLOAT)


def _rounded(step: Step, edge: str) -> str:
    """Halves away from zero, as C rounds."""
    half = step.constant(np.array(0.5, np.float64))
    size = step.op("Floor", step.op("Add", step.op("Abs", edge), half))
    return step.op("Mul", size, step.op("Sign", edge))


def _by_anchor(step: Step, grid: grids.Grid, blob: Value) -> str:
    """N x A (5 + C) x h x w to N x h w A x (5 + C)."""
    images, channels, height, width = blob.sizes()
    anchors, numbers = len(grid.anchors), grids.OBJECT + grid.classes
    if channels != anchors * numbers:
        raise step.refuse(f"it has {channels} channels; {anchors} anchors and {grid.classes} "
                          f"classes need {anchors * numbers}")
    grouped = step.op("Reshape", blob, [images, anchors, numbers, height, width])
    return step.op("Reshape", step.op("Transpose", grouped, perm=[0, 3, 4, 1, 2]),
                   [images, _ALL, numbers])


def _decoded(step: Step, grid: grids.Grid, numbers: str, cells: Sequence[int]
             ) -> Tuple[str, str]:
    """Boxes (N x M x 4, double) and confidences (N x M x C); see ``grids.Grid``."""
    moves, growths, objects, scores = step.ops(
        "Split", 4, numbers, [2, 2, 1, grid.classes], axis=2)
    height, width = cells
    corners = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    corners = np.repeat(corners.reshape(-1, 2), len(grid.anchors), axis=0).astype(np.float64)
    sizes = np.tile(grid.anchors, (height * width, 1))
    centres = step.op("Div", step.op(
        "Add", step.op("Cast", step.op("Sigmoid", moves), to=DOUBLE), step.constant(corners)),
        step.constant(np.array([width, height], np.float64)))
    halves = step.op("Mul", step.op("Cast", step.op("Exp", growths), to=DOUBLE),
                     step.constant(sizes / 2))
    boxes = step.op("Concat", step.op("Sub", centres, halves), step.op("Add", centres, halves),
                    axis=2)
    likely = (step.op("Softmax", scores, axis=2) if grid.is_softmax
              else step.op("Sigmoid", scores))
    return boxes, step.op("Mul", likely, step.op("Sigmoid", objects))


def _of_image(step: Step, image: int, boxes: str, confidences: str) -> str:
    """The rows of one image: image, class, confidence, box; the most confident first."""
    boxes, confidences = (step.op("Gather", value, np.array(image, np.int64), axis=0)
                          for value in (boxes, confidences))
    anchors, labels, scores, threshold = _pairs(step, confidences)
    candidates = step.op("Gather", boxes, anchors, axis=0)
    # A box is dropped if its overlap reaches the threshold.
    overlap = np.nextafter(np.float32(_param(step).nms_threshold), np.float32(0))
    kept = _suppressed(step, candidates, scores, [
        count_of(step, scores), np.array([overlap], np.float32),
        np.array([threshold], np.float32)])
    columns = [step.op("Cast", step.op("Add", step.op("Gather", labels, kept, axis=0), [1]),
                       to=FLOAT), step.op("Gather", scores, kept, axis=0)]
    columns = [step.op("Unsqueeze", column, [1]) for column in columns]
    zeros = step.op("Mul", columns[1], np.float32(0))
    rows = step.op("Cast", step.op("Gather", candidates, kept, axis=0), to=FLOAT)
    return step.op("Concat", step.op("Add", zeros, np.float32(image)), *columns, rows, axis=1)


def _pairs(step: Step, confidences: str) -> Tuple[str, str, str, float]:
    """Anchor, class and confidence of the boxes to choose from, and what they have to exceed."""
    param = _param(step)
    if step.message.type == "YoloDetectionOutput":
        labels = step.op("ArgMax", confidences, axis=1, keepdims=0)
        scores = step.op("ReduceMax", confidences, axes=[1], keepdims=0)
        anchors = step.op("NonZero", step.op("GreaterOrEqual", scores, np.float32(0)))
        below = np.nextafter(np.float32(param.confidence_threshold), np.float32(-1))
        return step.op("Reshape", anchors, [_ALL]), labels, scores, float(below)
    threshold = np.float32(param.confidence_threshold)
    places = step.op("NonZero", step.op("Greater", confidences, threshold))
    anchors, labels = (step.op("Reshape", part, [_ALL])
                       for part in step.ops("Split", 2, places, [1, 1], axis=0))
    scores = step.op("GatherND", confidences, step.op("Transpose", places, perm=[1, 0]))
    return anchors, labels, scores, float(threshold)


def _param(step: Step) -> Any:
    if step.message.type == "YoloDetectionOutput":
        return step.message.yolo_detection_output_param
    return step.message.yolov3_detection_output_param
