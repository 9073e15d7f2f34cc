"""The last layers of single-shot detectors."""

from typing import Any, List, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.detection import priors, ssd
from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import Value

_FIRST, _SECOND = np.array([0], np.int64), np.array([1], np.int64)


@translation("PriorBox", "PriorBoxClustered")
def prior_box(step: Step) -> List[str]:
    """The boxes depend on sizes alone, so they are constants."""
    features, image = step.bottoms
    boxes = priors.prior_boxes(step.message, features.sizes(2), image.sizes(2))
    return [step.name_of(np.ascontiguousarray(boxes, np.float32))]


@translation("DetectionOutput")
def detection_output(step: Step) -> List[str]:
    """Decoding, non-maximum suppression for each class, and the best of all classes."""
    param = step.message.detection_output_param
    if param.nms_param.eta != 1:
        raise step.refuse("its threshold shrinks from box to box (eta), which NonMaxSuppression "
                          "cannot")
    images, confidences, boxes = _decoded(step, param)
    tables = [_of_image(step, param, image, (confidences, boxes)) for image in range(images)]
    return [listed(step, tables)]


def listed(step: Step, tables: Sequence[str]) -> str:
    """The rows of all images as a blob; without any, those that say so."""
    images = len(tables)
    table = step.op("Concat", *tables, axis=0) if images > 1 else tables[0]
    empty = ssd.no_detections(images)
    is_empty = step.op("Equal", count_of(step, table), np.array([0], np.int64))
    added = step.op("Where", is_empty, np.array([images], np.int64), np.array([0], np.int64))
    rest = step.op("Slice", empty, np.array([0], np.int64), added, np.array([0], np.int64))
    table = step.op("Concat", table, rest, axis=0)
    return step.op("Unsqueeze", table, np.array([0, 1], np.int64))


def _decoded(step: Step, param: Any) -> Tuple[int, str, str]:
    """The number of images, the confidences (N x P x C) and the boxes (N x P x L x 4)."""
    locations, confidences, prior = step.bottoms
    images, count = locations.size(0), int(np.prod(prior.sizes())) // 8
    per_prior = 1 if param.share_location else param.num_classes
    both = step.reshape(prior.name, Value("", (2, count, 1, 4)))
    boxes, variances = (step.op("Squeeze", part, _FIRST) for part in step.ops(
        "Split", 2, both, np.array([1, 1], np.int64), axis=0))
    shifts = step.reshape(locations.name, Value("", (images, count, per_prior, 4)))
    if not param.variance_encoded_in_target:
        shifts = step.op("Mul", shifts, variances)
    return (images, step.reshape(confidences.name, Value("", (images, count, param.num_classes))),
            _boxes(step, param, shifts, boxes))


def _boxes(step: Step, param: Any, shifts: str, boxes: str) -> str:
    """What locations mean by the code type; see ``ssd.decoded``."""
    if param.code_type == ssd.CORNER:
        return step.op("Add", boxes, shifts)
    halves = np.array([2, 2], np.int64)
    low, high = step.ops("Split", 2, boxes, halves, axis=2)
    sizes = step.op("Sub", high, low)
    if param.code_type == ssd.CORNER_SIZE:
        both = step.op("Concat", sizes, sizes, axis=2)
        return step.op("Add", boxes, step.op("Mul", both, shifts))
    middles = step.op("Mul", step.op("Add", low, high), np.float32(0.5))
    moves, growths = step.ops("Split", 2, shifts, halves, axis=3)
    centres = step.op("Add", middles, step.op("Mul", moves, sizes))
    half = step.op("Mul", step.op("Mul", step.op("Exp", growths), sizes), np.float32(0.5))
    return step.op("Concat", step.op("Sub", centres, half), step.op("Add", centres, half), axis=3)


def _of_image(step: Step, param: Any, image: int, values: Tuple[str, str]) -> str:
    """The rows of one image: image, class, confidence, box; by class, the most confident first."""
    confidences, boxes = (step.op("Gather", value, np.array(image, np.int64), axis=0)
                          for value in values)
    rows = [_of_class(step, param, (image, label), (confidences, boxes))
            for label in range(param.num_classes) if label != param.background_label_id]
    table = step.op("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]
    if param.keep_top_k < 0:
        return table
    kept = step.op("Min", count_of(step, table), np.array([param.keep_top_k], np.int64))
    by_row = step.op("Gather", table, np.array(2, np.int64), axis=1)
    _, best = step.ops("TopK", 2, by_row, kept, axis=0)
    in_order, _ = step.ops("TopK", 2, best, kept, axis=0, largest=0)
    return step.op("Gather", table, in_order, axis=0)


def _of_class(step: Step, param: Any, position: Tuple[int, int], values: Tuple[str, str]) -> str:
    image, label = position
    nms, (confidences, boxes) = param.nms_param, values
    count = int(np.prod(step.bottoms[2].sizes())) // 8
    most = min(nms.top_k, count) if nms.HasField("top_k") and nms.top_k > -1 else count
    of_class = step.op("Gather", confidences, np.array(label, np.int64), axis=1)
    location = 0 if param.share_location else label
    places = step.op("Gather", boxes, np.array(location, np.int64), axis=1)
    best, index = step.ops("TopK", 2, of_class, np.array([most], np.int64), axis=0)
    candidates = step.op("Gather", places, index, axis=0)
    limits: List[Any] = [np.array([most], np.int64), np.array([nms.nms_threshold], np.float32)]
    if param.HasField("confidence_threshold"):
        limits.append(np.array([param.confidence_threshold], np.float32))
    chosen = step.op(
        "NonMaxSuppression", step.op("Unsqueeze", candidates, _FIRST),
        step.op("Unsqueeze", best, np.array([0, 1], np.int64)), *limits)
    kept = step.op("Gather", chosen, np.array(2, np.int64), axis=1)
    scores = step.op("Unsqueeze", step.op("Gather", best, kept, axis=0), _SECOND)
    names = step.op("Expand", np.array([[image, label]], np.float32), step.op(
        "Concat", count_of(step, kept), np.array([2], np.int64), axis=0))
    return step.op("Concat", names, scores, step.op("Gather", candidates, kept, axis=0), axis=1)


def count_of(step: Step, value: str) -> str:
    """How many rows a value has."""
    return step.op("Slice", step.op("Shape", value), np.array([0], np.int64),
                   np.array([1], np.int64))
