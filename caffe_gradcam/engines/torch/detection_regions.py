"""Layers of Faster R-CNN and R-FCN, and of YOLO."""

from typing import List

import numpy as np
import torch

from prototxt_tools.errors import EngineError

from ..detection import grids, regions, ssd
from .registry import Message, Tensors, built_in


@built_in("Proposal")
def proposal(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """py-faster-rcnn, PVANET: the regions where an object is likely; no gradient."""
    scores, deltas, info = (bottom.detach().cpu().numpy() for bottom in bottoms)
    boxes, likely = regions.proposals(message.proposal_param, scores, deltas, info.ravel()[:3])
    if not len(boxes):
        raise EngineError(f"layer {message.name}: no region is large enough to be proposed; "
                          "im_info may be wrong", message.name)
    tops = [torch.from_numpy(boxes), torch.from_numpy(likely).reshape(-1, 1)]
    return [top.to(bottoms[0].device) for top in tops[:len(message.top)]]


@built_in("PSROIPooling")
def psroi_pooling(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """R-FCN: each cell of a region's grid is the mean of a channel of its own."""
    x, rois = bottoms
    param = message.psroi_pooling_param
    group = param.group_size
    height, width = x.shape[2:]
    by_cell = x.reshape((len(x), param.output_dim, group, group, height, width))
    tops = []
    for region in rois.detach().reshape(-1, 5).tolist():
        left, top = (_rounded(edge) * param.spatial_scale for edge in region[1:3])
        right, bottom = ((_rounded(edge) + 1) * param.spatial_scale for edge in region[3:])
        rows = _shares(top, max(bottom - top, 0.1) / group, group, height).to(x)
        columns = _shares(left, max(right - left, 0.1) / group, group, width).to(x)
        image = by_cell[int(region[0])]
        tops.append(torch.einsum("cpqhw,ph,qw->cpq", image, rows, columns))
    return [torch.stack(tops)]


@built_in("YoloDetectionOutput", "Yolov3DetectionOutput")
def yolo_detection_output(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """MobileNet-YOLO: the boxes that non-maximum suppression leaves; no gradient."""
    blobs = [bottom.detach().cpu().numpy() for bottom in bottoms]
    of_bottoms = grids.grids(message, [blob.shape[2:] for blob in blobs])
    numbers = [grid.by_anchor(blob) for grid, blob in zip(of_bottoms, blobs)]
    rows: List[np.ndarray] = []
    for image in range(len(blobs[0])):
        boxes = np.concatenate([grid.boxes(of_grid[image, :, :4], blob.shape[2:])
                                for grid, of_grid, blob in zip(of_bottoms, numbers, blobs)])
        confidences = np.concatenate([
            grid.probabilities(of_grid[image]) * grids.objectness(of_grid[image])[:, np.newaxis]
            for grid, of_grid in zip(of_bottoms, numbers)])
        kept = grids.chosen(message, boxes, confidences)
        # Class 0 is the background in the fork's lists.
        rows += [np.array([[image, label + 1, confidences[anchor, label], *boxes[anchor]]],
                          np.float32) for label, anchor in kept]
    table = np.concatenate(rows) if rows else ssd.no_detections(len(blobs[0]))
    return [torch.from_numpy(table[np.newaxis, np.newaxis]).to(bottoms[0].device)]


def _rounded(edge: float) -> float:
    """C rounds halves away from zero."""
    return float(np.floor(abs(edge) + 0.5) * np.sign(edge))


def _shares(start: float, size: float, count: int, length: int) -> torch.Tensor:
    """How much of each of some equal bins comes from each cell along an axis: count x length."""
    shares = torch.zeros(count, length)
    for index in range(count):
        low = min(max(int(np.floor(index * size + start)), 0), length)
        high = min(max(int(np.ceil((index + 1) * size + start)), 0), length)
        if high > low:
            shares[index, low:high] = 1.0 / (high - low)
    return shares
