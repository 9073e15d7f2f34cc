"""DetectNet: a map of how well each cell is covered by an object, and a box for each cell.

NVIDIA's Caffe: ``python/caffe/layers/detectnet/clustering.py``.
"""

import re
from typing import Dict, List, Mapping, Tuple

import numpy as np

from caffe_gradcam.engines.detection.clusters import grouped
from caffe_gradcam.engines.detection.suppression import overlaps
from caffe_gradcam.explaining.detectors.detection import (
    EDGES,
    Candidates,
    Detection,
    Detector,
    Term,
    best_first,
)
from caffe_gradcam.explaining.detectors.wiring import Shape, trace
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

CLUSTER = "ClusterDetections"
_PARAMETERS = 7
# A cell belongs to a cluster if its box overlaps the cluster's by this.
_SAME_BOX = 0.5


class Coverage(Detector):
    """DetectNet's ClusterDetections, which is Python code, run natively.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    shapes : dict
        Of all blobs, for one image.
    layer : Layer
        The ClusterDetections.

    Raises
    ------
    ModelError
        Its ``param_str`` does not hold its parameters, or its bottoms do not fit together.
    """

    def __init__(self, graph: Graph, shapes: Mapping[str, Shape], layer: Layer) -> None:
        numbers = [float(number) for number in re.findall(
            r"[-+\d.eE]+", layer.message.python_param.param_str)]
        if len(numbers) < _PARAMETERS:
            raise ModelError(f"layer {layer.name} ({CLUSTER}): its param_str must hold width, "
                             "height, stride, the least coverage, the least neighbours, their "
                             "tolerance and the least height", layer.name)
        width, height, self._stride, self._least = numbers[:4]
        self._neighbours, self._tolerance, self._lowest = int(numbers[4]), numbers[5], numbers[6]
        self._size = (height, width)
        self._coverage = trace(graph, shapes, layer.bottoms[0])
        self._boxes = trace(graph, shapes, layer.bottoms[1])
        classes, channels = (shapes[blob][1] for blob in layer.bottoms[:2])
        if channels not in (4, 4 * classes):
            raise ModelError(f"layer {layer.name} ({CLUSTER}): its boxes have {channels} channels, "
                             f"but there must be 4, or 4 for each of {classes} classes", layer.name)
        self.score_heads, self.location_heads = self._coverage.heads, self._boxes.heads
        self.note = f"layer {layer.name} (Python, {CLUSTER}) is run natively"

    def find(self, blobs: Mapping[str, np.ndarray], least: float) -> List[List[Detection]]:
        coverage, boxes = self._read(blobs)
        return [best_first([detection for label in range(coverage.shape[1])
                            for detection in self._of_class(row, label, coverage[row], boxes[row])],
                           least) for row in range(len(coverage))]

    def candidates(self, blobs: Mapping[str, np.ndarray]) -> List[Candidates]:
        coverage, boxes = self._read(blobs)
        scale = np.array([self._size[1], self._size[0]] * 2)
        return [Candidates(of_image.transpose(1, 0, 2) / scale,
                           covered.reshape(len(covered), -1).T, covered.reshape(
                               len(covered), -1).max(axis=0))
                for covered, of_image in zip(coverage, boxes)]

    def _read(self, blobs: Mapping[str, np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
        """N x C x h x w coverage, and N x L x h w x 4 boxes in pixels of the input."""
        values = self._coverage.values(blobs)
        coverage = 1 / (1 + np.exp(-values)) if self._coverage.link == "sigmoid" else values
        offsets = self._boxes.values(blobs)
        images, channels, height, width = offsets.shape
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        corners = np.stack([columns, rows, columns, rows]) * self._stride
        moved = offsets.reshape(images, channels // 4, 4, height, width) + corners
        return coverage, moved.reshape(images, channels // 4, 4, -1).transpose(0, 1, 3, 2)

    def _of_class(self, row: int, label: int, coverage: np.ndarray, boxes: np.ndarray
                  ) -> List[Detection]:
        """The clusters of a class's boxes."""
        covered = coverage[label].ravel()
        column = label if len(boxes) > 1 else 0
        cells = np.flatnonzero(covered >= self._least)
        of_cells = boxes[column][cells]
        sizes = np.concatenate([of_cells[:, :2], of_cells[:, 2:] - of_cells[:, :2]], axis=1)
        detections = []
        for x, y, width, height in grouped(sizes.astype(np.int64), self._neighbours,
                                           self._tolerance).tolist():
            box = np.array([x, y, x + width, y + height], float)
            near = cells[overlaps(box, of_cells) >= _SAME_BOX]
            if height < self._lowest or not len(near):
                continue
            cell = int(near[covered[near].argmax()])
            detections.append(self._detection((row, label, column, cell), box,
                                              float(covered[cell]), covered.size))
        return detections

    def _detection(self, place: Tuple[int, int, int, int], box: np.ndarray, score: float, area: int
                   ) -> Detection:
        row, label, column, cell = place
        head, offset = self._coverage.origin(label * area + cell)
        scale = np.array([self._size[1], self._size[0]] * 2)
        terms: Dict[str, Tuple[Term, ...]] = {"confidence": (Term(head, row, offset),)}
        for number, edge in enumerate(EDGES):
            blob, position = self._boxes.origin((column * 4 + number) * area + cell)
            terms[edge] = (Term(blob, row, position, 1 / float(scale[number])),)
        return Detection(label, score, cell, box / scale, terms)
