"""Faster R-CNN's regions: anchors, what deltas make of them, and the best of them.

py-faster-rcnn: ``generate_anchors.py``, ``bbox_transform.py``, ``proposal_layer.py``; PVANET's
Proposal layer. Boxes are left, top, right and bottom in pixels of the net's input, and a box from 3
to 5 is 3 wide.
"""

from typing import Any, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.layers.detection import RATIOS, SCALES

from .suppression import ranked, suppress

# The overlap from which on boxes of one class are one object, in the test scripts.
NMS_THRESHOLD = 0.3


def anchors(param: Any) -> np.ndarray:
    """A x 4: the boxes around a cell, by ratio, then by scale."""
    ratios = np.array(param.ratio or RATIOS, np.float64)
    scales = np.array(param.scale or SCALES, np.float64)
    base = float(param.base_size)
    widths = np.round(np.sqrt(base * base / ratios))
    heights = np.round(widths * ratios)
    sizes = np.stack([np.outer(widths, scales).ravel(), np.outer(heights, scales).ravel()], axis=1)
    centre = (base - 1) / 2
    return np.concatenate([centre - (sizes - 1) / 2, centre + (sizes - 1) / 2], axis=1)


def anchor_grid(param: Any, cells: Sequence[int]) -> np.ndarray:
    """The boxes around each of h x w cells: h w A x 4, by row, column and anchor."""
    height, width = cells
    shifts = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    shifts = np.tile(shifts.reshape(-1, 1, 2) * param.feat_stride, (1, 1, 2))
    boxes: np.ndarray = (anchors(param) + shifts).reshape(-1, 4)
    return boxes


def moved(boxes: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """What deltas (dx, dy, log width, log height) make of boxes.

    Parameters
    ----------
    boxes : numpy.ndarray
        N x 4.
    deltas : numpy.ndarray
        N x 4 K.

    Returns
    -------
    numpy.ndarray
        N x K x 4.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2] + 1)[:, np.newaxis]
    centres = boxes[:, np.newaxis, :2] + sizes / 2
    steps = deltas.reshape(len(boxes), -1, 4)
    new_centres = steps[..., :2] * sizes + centres
    with np.errstate(over="ignore"):
        halves = np.exp(steps[..., 2:]) * sizes / 2
    return np.concatenate([new_centres - halves, new_centres + halves], axis=-1)


def clipped(boxes: np.ndarray, size: Union[Sequence[float], np.ndarray]) -> np.ndarray:
    """Boxes cut off at the edges of an image of this height and width."""
    height, width = size
    limits = np.array([width - 1, height - 1, width - 1, height - 1])
    result: np.ndarray = np.clip(boxes, 0, limits)
    return result


def proposals(param: Any, scores: np.ndarray, deltas: np.ndarray, info: np.ndarray
              ) -> Tuple[np.ndarray, np.ndarray]:
    """The regions that a Proposal layer proposes.

    Parameters
    ----------
    param : ProposalParameter
    scores : numpy.ndarray
        1 x 2 A x h x w: for each anchor the background's probability, then the object's.
    deltas : numpy.ndarray
        1 x 4 A x h x w.
    info : numpy.ndarray
        Height, width and scale of the image.

    Returns
    -------
    regions : numpy.ndarray
        R x 5 float32: 0 for the only image, then the box.
    scores : numpy.ndarray
        R float32.
    """
    boxes = anchor_grid(param, scores.shape[2:])
    flat = scores[0, scores.shape[1] // 2:].transpose(1, 2, 0).ravel()
    boxes = clipped(moved(boxes, deltas[0].transpose(1, 2, 0).reshape(-1, 4))[:, 0], info[:2])
    large = (boxes[:, 2:] - boxes[:, :2] + 1 >= param.min_size * info[2]).all(axis=1)
    boxes, flat = boxes[large], flat[large]
    order = ranked(flat, count=param.pre_nms_topn or None)
    kept = suppress(boxes, order, param.nms_thresh, edge=1)[:param.post_nms_topn or None]
    regions = np.concatenate([np.zeros((len(kept), 1)), boxes[kept]], axis=1)
    return regions.astype(np.float32), flat[kept].astype(np.float32)
