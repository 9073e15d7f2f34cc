"""Layers of Faster R-CNN and R-FCN, and of YOLO."""

from typing import List, Tuple

import numpy as np
import torch
import torch.nn.functional as F

from prototxt_tools.errors import EngineError

from ..detection import grids, regions, ssd
from .registry import Message, Tensors, built_in

# How many times the size of the image a region may reach beyond it.
_FARTHEST = 8


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


@built_in("ROIPooling")
def roi_pooling(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """Fast R-CNN: max pooling of each region (image, x1, y1, x2, y2) into a fixed grid."""
    x, rois = bottoms
    param = message.roi_pooling_param
    height, width = x.shape[2:]
    grid = (param.pooled_h, param.pooled_w)
    lowest = torch.finfo(x.dtype).min
    tops = []
    for image, edges in _regions(message, rois, x, param.spatial_scale):
        x1, y1, x2, y2 = (int(_rounded(edge * param.spatial_scale)) for edge in edges)
        x2, y2 = max(x1, x2), max(y1, y2)
        margin = (max(0, -x1), max(0, x2 + 1 - width), max(0, -y1), max(0, y2 + 1 - height))
        padded = F.pad(x[image], margin, value=lowest)
        window = padded[:, y1 + margin[2]:y2 + margin[2] + 1, x1 + margin[0]:x2 + margin[0] + 1]
        top = F.adaptive_max_pool2d(window[None], grid)
        tops.append(torch.where(top == lowest, torch.zeros_like(top), top))
    return [torch.cat(tops)]


@built_in("PSROIPooling")
def psroi_pooling(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """R-FCN: each cell of a region's grid is the mean of a channel of its own."""
    x, rois = bottoms
    param = message.psroi_pooling_param
    group = param.group_size
    height, width = x.shape[2:]
    by_cell = x.reshape((len(x), param.output_dim, group, group, height, width))
    tops = []
    for number, edges in _regions(message, rois, x, param.spatial_scale):
        left, top = (_rounded(edge) * param.spatial_scale for edge in edges[:2])
        right, bottom = ((_rounded(edge) + 1) * param.spatial_scale for edge in edges[2:])
        rows = _shares(top, max(bottom - top, 0.1) / group, group, height).to(x)
        columns = _shares(left, max(right - left, 0.1) / group, group, width).to(x)
        tops.append(torch.einsum("cpqhw,ph,qw->cpq", by_cell[number], rows, columns))
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


def _regions(message: Message, rois: torch.Tensor, x: torch.Tensor, scale: float
             ) -> List[Tuple[int, List[float]]]:
    """The image of each region, and its left, top, right and bottom edge in pixels.

    Raises
    ------
    EngineError
        A region belongs to no image of the batch, or reaches far beyond the image.
    """
    most = _FARTHEST * max(x.shape[2:]) / scale
    regions: List[Tuple[int, List[float]]] = []
    for row, (image, *edges) in enumerate(rois.detach().reshape(-1, 5).tolist()):
        if image not in range(len(x)):
            raise EngineError(
                f"layer {message.name}: region {row} in {message.bottom[1]} belongs to image "
                f"{image:g}, and the batch has {len(x)}, counted from 0; a region is image, left, "
                "top, right, bottom", message.name)
        if not all(abs(edge) <= most for edge in edges):
            raise EngineError(
                f"layer {message.name}: region {row} in {message.bottom[1]} reaches far beyond "
                "the image: {:g}, {:g}, {:g}, {:g}".format(*edges), message.name)
        regions.append((int(image), edges))
    return regions


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
