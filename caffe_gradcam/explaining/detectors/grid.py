"""Detectors that end in an output layer of YOLO's second or third version."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.detection import grids
from caffe_gradcam.explaining.detectors.detection import (
    Candidates,
    Detection,
    Detector,
    Term,
    best_first,
    edge_terms,
)
from caffe_gradcam.explaining.detectors.wiring import Shape
from prototxt_tools.errors import ModelError
from prototxt_tools.net.net import Layer


class GridDetector(Detector):
    """A YoloDetectionOutput or Yolov3DetectionOutput layer.

    What is explained of a box is the sum of its object's and its class's number before Sigmoid
    and Softmax.

    Parameters
    ----------
    shapes : dict
        Of all blobs, for one image.
    layer : Layer

    Raises
    ------
    ModelError
        Its bottoms do not have the channels that its parameters need.
    """

    # Class 0 is the background in the fork's lists.
    first_class = 1

    def __init__(self, shapes: Mapping[str, Shape], layer: Layer) -> None:
        self._message = layer.message
        count = 1 if layer.type == "YoloDetectionOutput" else len(layer.bottoms)
        self._blobs = tuple(layer.bottoms[:count])
        self._cells = [shapes[blob][2:] for blob in self._blobs]
        self._grids = grids.grids(self._message, self._cells)
        self.score_heads = self.location_heads = self._blobs
        for blob, grid in zip(self._blobs, self._grids):
            try:
                grid.by_anchor(np.zeros(shapes[blob], np.float32))
            except ValueError as error:
                raise ModelError(f"layer {layer.name} ({layer.type}) cannot be run on blob "
                                 f"{blob}: {error}", layer.name) from None
        if len(layer.bottoms) > count:
            self.note = (f"layer {layer.name} reads only its first bottom, {layer.bottoms[0]}, as "
                         "in the fork that has it")

    def class_name(self, names: Optional[Sequence[str]], class_index: int) -> Optional[str]:
        classes, label = self._grids[0].classes, class_index - self.first_class
        if names is None:
            return None
        if len(names) in (classes, classes + self.first_class):
            return names[label + len(names) - classes]
        # The channels of each anchor: "anchor 0 x", ..., "anchor 0 dog".
        name = names[grids.OBJECT + label].split(" ", 2)[-1] if len(names) > classes else ""
        return None if name in ("", f"class {label}") else name

    def find(self, blobs: Mapping[str, np.ndarray], least: float) -> List[List[Detection]]:
        detections = []
        for row, candidates in enumerate(self.candidates(blobs)):
            boxes = candidates.boxes[:, 0]
            confidences = (candidates.probabilities[:, self.first_class:]
                           * candidates.objectness[:, np.newaxis])
            kept = grids.chosen(self._message, boxes, confidences)
            detections.append(best_first([
                self._detection(row, label, anchor, boxes[anchor],
                                float(confidences[anchor, label]), blobs)
                for label, anchor in kept
                if confidences[anchor, label] >= least], least))
        return detections

    def candidates(self, blobs: Mapping[str, np.ndarray]) -> List[Candidates]:
        numbers = [grid.by_anchor(blobs[blob]) for grid, blob in zip(self._grids, self._blobs)]
        result = []
        for row in range(len(numbers[0])):
            boxes = [grid.boxes(of_grid[row, :, :grids.LOCATION], cells)
                     for grid, of_grid, cells in zip(self._grids, numbers, self._cells)]
            classes = np.concatenate([grid.probabilities(of_grid[row])
                                      for grid, of_grid in zip(self._grids, numbers)])
            background = np.zeros((len(classes), self.first_class))
            result.append(Candidates(
                np.concatenate(boxes)[:, np.newaxis],
                np.concatenate([background, classes], axis=1),
                np.concatenate([grids.objectness(of_grid[row]) for of_grid in numbers])))
        return result

    def _detection(self, row: int, label: int, anchor: int, box: np.ndarray, score: float,
                   blobs: Mapping[str, np.ndarray]) -> Detection:
        blob, grid, cells, index = self._place(anchor)
        cell, kind = divmod(index, len(grid.anchors))
        first = kind * (grids.OBJECT + grid.classes)
        area = cells[0] * cells[1]
        offsets = [(first + number) * area + cell for number in range(grids.OBJECT)]
        offset_of_class = (first + grids.OBJECT + label) * area + cell
        corner = np.array([cell % cells[1], cell // cells[1]])
        values = blobs[blob].reshape(len(blobs[blob]), -1)[row, offsets[:grids.LOCATION]]

        def decode(numbers: np.ndarray) -> np.ndarray:
            return grid.placed(numbers, corner, grid.anchors[kind], cells)

        terms: Dict[str, Tuple[Term, ...]] = {"confidence": (
            Term(blob, row, offsets[grids.LOCATION]), Term(blob, row, offset_of_class))}
        terms.update(edge_terms(decode, np.float64(values),
                                [(blob, row, offset) for offset in offsets[:grids.LOCATION]]))
        return Detection(label + self.first_class, score, anchor, box, terms)

    def _place(self, anchor: int) -> Tuple[str, grids.Grid, Shape, int]:
        """The blob that an anchor belongs to, its grid and cells, and its number there."""
        for blob, grid, cells in zip(self._blobs, self._grids, self._cells):
            count = cells[0] * cells[1] * len(grid.anchors)
            if anchor < count:
                return blob, grid, cells, anchor
            anchor -= count
        raise IndexError(anchor)
