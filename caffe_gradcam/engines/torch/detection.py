"""Layers of single-shot detectors; none of them has a gradient (see ``engines/detection``)."""

from typing import List

import numpy as np
import torch

from ..detection import priors, ssd
from .registry import Message, Tensors, built_in


@built_in("PriorBox", "PriorBoxClustered")
def prior_box(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SSD, OpenVINO: the boxes that each cell of the first bottom proposes."""
    features, image = bottoms
    boxes = priors.prior_boxes(message, features.shape[2:], image.shape[2:])
    return [torch.from_numpy(boxes).to(features.device)]


@built_in("DetectionOutput")
def detection_output(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """SSD: the boxes that non-maximum suppression leaves."""
    param = message.detection_output_param
    locations, confidences, boxes = ssd.shaped(param, *(
        bottom.detach().cpu().numpy() for bottom in bottoms))
    rows: List[np.ndarray] = []
    for image, confident in enumerate(confidences):
        decoded = ssd.decoded(param, locations[image], boxes)
        kept = ssd.detections(param, decoded, confident)
        rows.append(ssd.rows(image, kept, decoded, confident))
    table = np.concatenate(rows)
    if not len(table):
        table = ssd.no_detections(len(confidences))
    return [torch.from_numpy(table[np.newaxis, np.newaxis]).to(bottoms[0].device)]
