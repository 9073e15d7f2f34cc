"""Detectors that end in SSD's DetectionOutput."""

from typing import Dict, List, Mapping, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.engines.detection import priors, ssd
from caffe_gradcam.explaining.detectors.detection import (
    Candidates,
    Detection,
    Detector,
    Term,
    best_first,
    edge_terms,
)
from caffe_gradcam.explaining.detectors.wiring import Shape, trace
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

Shapes = Mapping[str, Shape]


class SingleShot(Detector):
    """A DetectionOutput layer, run from the convolutions behind its bottoms.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    shapes : dict
        Of all blobs, for one image.
    layer : Layer
        The DetectionOutput.

    Raises
    ------
    ModelError
        Its bottoms do not fit together, or its priors come from elsewhere than PriorBox layers.
    """

    def __init__(self, graph: Graph, shapes: Shapes, layer: Layer) -> None:
        if len(layer.bottoms) != 3:
            raise ModelError(
                f"layer {layer.name} (DetectionOutput) has {len(layer.bottoms)} bottoms; boxes are "
                "found where it has three: locations, confidences and priors", layer.name)
        self._param = layer.message.detection_output_param
        location, confidence, prior = layer.bottoms
        self._locations = trace(graph, shapes, location)
        self._confidences = trace(graph, shapes, confidence)
        self._priors = prior_values(graph, shapes, prior)
        self.score_heads, self.location_heads = self._confidences.heads, self._locations.heads
        try:
            ssd.shaped(self._param, self._locations.index[:1], self._confidences.index[:1],
                       self._priors)
        except ValueError as error:
            raise ModelError(f"layer {layer.name} (DetectionOutput) cannot be run: {error}",
                             layer.name) from None

    def find(self, blobs: Mapping[str, np.ndarray], least: float) -> List[List[Detection]]:
        locations, confidences, boxes = self._decoded(blobs)
        detections = []
        for row, confident in enumerate(confidences):
            kept = ssd.detections(self._param, boxes[row], confident)
            detections.append(best_first([
                self._detection(row, label, prior, locations[row], boxes[row],
                                float(confident[prior, label]))
                for label, prior in kept if confident[prior, label] >= least], least))
        return detections

    def candidates(self, blobs: Mapping[str, np.ndarray]) -> List[Candidates]:
        _, confidences, boxes = self._decoded(blobs)
        background = self._param.background_label_id
        classes = [label for label in range(confidences.shape[2]) if label != background]
        result = []
        for row, confident in enumerate(confidences):
            probabilities = confident.copy()
            objectness = np.ones(len(confident), np.float32)
            if len(classes) < confident.shape[1]:
                objectness = 1 - confident[:, background]
                probabilities[:, background] = 0
            result.append(Candidates(boxes[row], probabilities, objectness))
        return result

    def _decoded(self, blobs: Mapping[str, np.ndarray]
                 ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Locations, confidences and boxes by image and prior."""
        locations, scores, boxes = ssd.shaped(
            self._param, self._locations.values(blobs), self._confidences.values(blobs),
            self._priors)
        confidences = scores
        if self._confidences.link != "none":
            flat = to_probabilities(scores.reshape(-1, scores.shape[2]), self._confidences.link)
            assert flat is not None
            confidences = flat.reshape(scores.shape)
        return locations, confidences, np.stack([
            ssd.decoded(self._param, row, boxes) for row in locations])

    def _detection(self, row: int, label: int, prior: int, locations: np.ndarray, boxes: np.ndarray,
                   score: float) -> Detection:
        shared = locations.shape[1] == 1
        column = 0 if shared else label
        head, offset = self._confidences.origin(prior * self._param.num_classes + label)
        start = (prior * locations.shape[1] + column) * 4
        places = []
        for number in range(4):
            name, position = self._locations.origin(start + number)
            places.append((name, row, position))
        pair = np.float64(self._priors.reshape(2, -1, 4)[:, prior:prior + 1])

        def decode(numbers: np.ndarray) -> np.ndarray:
            edges: np.ndarray = ssd.decoded(self._param, numbers.reshape(1, 1, 4), pair)[0, 0]
            return edges

        terms: Dict[str, Tuple[Term, ...]] = {"confidence": (Term(head, row, offset),)}
        terms.update(edge_terms(decode, np.float64(locations[prior, column]), places))
        return Detection(label, score, prior, boxes[prior, column], terms)


def prior_values(graph: Graph, shapes: Shapes, blob: str) -> np.ndarray:
    """What a blob of priors holds, which depends on shapes alone: 1 x 2 x 4 P."""
    maker = graph.maker(blob)
    if maker is not None and maker.type in ("PriorBox", "PriorBoxClustered"):
        cells, image = (shapes[bottom][2:] for bottom in maker.bottoms)
        return priors.prior_boxes(maker.message, cells, image)
    if maker is not None and maker.type == "Concat":
        return np.concatenate([prior_values(graph, shapes, bottom)
                               for bottom in maker.bottoms], axis=2)
    source = "the net's input" if maker is None else f"layer {maker.name} ({maker.type})"
    raise ModelError(f"the priors in blob {blob} come from {source}, not from PriorBox layers, so "
                     "they are not known before the net runs", blob)
