"""Detectors that pool regions: Fast and Faster R-CNN, and R-FCN."""

from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.engines.detection import regions
from caffe_gradcam.engines.detection.suppression import ranked, suppress
from caffe_gradcam.explaining.detectors.detection import (
    Candidates,
    Detection,
    Detector,
    Term,
    best_first,
    edge_terms,
)
from prototxt_tools import layers
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer
from prototxt_tools.rewrite.native import native

_BACKGROUND = 0


class TwoStage(Detector):
    """Scores and boxes of regions, which are an input or the net's own proposals.

    As in py-faster-rcnn's test script: class 0 is the background, boxes are the regions moved by
    ``bbox_pred``, and boxes of one class that overlap by more than 0.3 count as one.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    size : (int, int)
        Height and width of the net's input.
    pooling : Layer
        The ROIPooling or PSROIPooling.

    Raises
    ------
    ModelError
        Nothing tells the scores of the regions.
    """

    one_by_one = True
    axis = "roi"

    def __init__(self, graph: Graph, size: Tuple[int, int], pooling: Layer) -> None:
        self._size, self._regions = size, pooling.bottoms[1]
        score = next((score for score in graph.scores() if score.link == "softmax" and any(
            _depends(graph, score.blob, layer.tops[0]) for layer in graph.net.layers
            if layer.type == pooling.type)), None)
        if score is None:
            raise ModelError(f"no Softmax turns what layer {pooling.name} pools into "
                             "probabilities, so the scores of its regions are not known",
                             pooling.name)
        self._score = score.blob
        self._deltas = _deltas(graph, pooling)
        self.score_heads = (self._score,)
        self.location_heads = () if self._deltas is None else (self._deltas,)
        self.kept = (self._regions,)
        self.note = "; ".join(native(graph.net.document).notes)

    def find(self, blobs: Mapping[str, np.ndarray], least: float) -> List[List[Detection]]:
        rois, boxes, probabilities = self._read(blobs)
        detections = []
        for label in range(probabilities.shape[1]):
            if label == _BACKGROUND:
                continue
            of_class = boxes[:, _column(boxes, label)]
            order = ranked(probabilities[:, label], np.nextafter(np.float32(least), np.float32(-1)))
            kept = suppress(of_class, order, regions.NMS_THRESHOLD, edge=1)
            detections += [
                self._detection(label, region, rois, of_class[region],
                                float(probabilities[region, label]), blobs) for region in kept]
        return [best_first(detections, least)]

    def candidates(self, blobs: Mapping[str, np.ndarray]) -> List[Candidates]:
        _, boxes, probabilities = self._read(blobs)
        objects = probabilities.copy()
        objects[:, _BACKGROUND] = 0
        fractions = np.stack([self._fraction(boxes[:, column])
                              for column in range(boxes.shape[1])], axis=1)
        return [Candidates(fractions, objects, 1 - probabilities[:, _BACKGROUND])]

    def _read(self, blobs: Mapping[str, np.ndarray]
              ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Regions, R x K x 4 boxes in pixels of the input, and R x C probabilities."""
        rois = blobs[self._regions].reshape(-1, 5)[:, 1:]
        for number, (left, top, right, bottom) in enumerate(rois.tolist()):
            if right < left or bottom < top:
                raise QuestionError(
                    f"region {number} in {self._regions} ({left:g}, {top:g}, {right:g}, "
                    f"{bottom:g}) has no area; a region is image, left, top, right, bottom",
                    self._regions)
        scores = blobs[self._score].reshape(len(rois), -1)
        probabilities = to_probabilities(scores, "softmax")
        assert probabilities is not None
        boxes = rois[:, np.newaxis]
        if self._deltas is not None:
            boxes = regions.moved(rois, blobs[self._deltas].reshape(len(rois), -1))
        return rois, regions.clipped(boxes, self._size), probabilities

    def _detection(self, label: int, region: int, rois: np.ndarray, box: np.ndarray, score: float,
                   blobs: Mapping[str, np.ndarray]) -> Detection:
        terms: Dict[str, Tuple[Term, ...]] = {
            "confidence": (Term(self._score, region, label),)}
        if self._deltas is not None:
            deltas = blobs[self._deltas].reshape(len(rois), -1)
            first = 4 * (_column(deltas.reshape(len(rois), -1, 4), label))
            roi = np.float64(rois[region:region + 1])

            def decode(numbers: np.ndarray) -> np.ndarray:
                edges: np.ndarray = self._fraction(
                    regions.moved(roi, numbers[np.newaxis])[0])[0]
                return edges

            terms.update(edge_terms(
                decode, np.float64(deltas[region, first:first + 4]),
                [(self._deltas, region, first + number) for number in range(4)]))
        return Detection(label, score, region, self._fraction(box[np.newaxis])[0], terms)

    def _fraction(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes in pixels as fractions of the net's input; a box from 3 to 5 is 3 wide."""
        height, width = self._size
        edges = boxes + np.array([0, 0, 1, 1])
        result: np.ndarray = edges / np.array([width, height, width, height])
        return result


def _column(boxes: np.ndarray, label: int) -> int:
    """Which of a region's boxes is a class's: its own, the last of two, or the only one."""
    return label if boxes.shape[1] > max(label, 2) else boxes.shape[1] - 1


def _depends(graph: Graph, blob: str, on: str) -> bool:
    return bool(graph.ancestors([blob]).intersection(graph.final_readers(on)))


def _deltas(graph: Graph, pooling: Layer) -> Optional[str]:
    """The output that moves the regions: the one that is made of them without a Softmax."""
    for blob in graph.net.outputs():
        links, maker = False, graph.maker(blob)
        while maker is not None and maker.bottoms and maker.type != pooling.type:
            links |= layers.of(maker.type).link is not None
            maker = graph.maker(maker.bottoms[0])
        if maker is not None and maker.type == pooling.type and not links:
            return blob
    return None
