"""How far each method can be trusted to explain boxes: deletion, insertion and pointing."""

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.detection.suppression import overlaps
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.detectors import Detection
from caffe_gradcam.explaining.detectors.similarity import Similarity
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.measuring.annotations import Box, ClassBoxes
from caffe_gradcam.measuring.baseline_maps import USUAL_CELLS, baselines_of, noise_of
from caffe_gradcam.measuring.item_bench import ItemBench
from caffe_gradcam.measuring.maps import heat_on_blob
from caffe_gradcam.measuring.measurement import Measurement
from caffe_gradcam.measuring.metrics import curves, pointing
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import InputError, Outcome

METRICS = ("deletion", "insertion", "pointing")
# What stands for the layer where each box is explained at the one that it was read from.
SOURCES = "each box's own layer"
# From this overlap on, an annotated box is the detected one.
_SAME_BOX = 0.5


@dataclass(frozen=True, eq=False)
class _Map:
    """A map to be measured, its heat at the size of the input blob, and its box's rank."""

    explanation: Explanation
    heat: np.ndarray
    rank: int


class BoxBench(ItemBench[DetectionExplainer, Image]):
    """Measures the maps of the boxes that a detector finds, each asked about its own class.

    Deletion and insertion follow how much of a box is still found: the similarity of D-RISE.
    Pointing is measured in the detected box; where people drew boxes, in the one that it overlaps
    most, by half at least. An image where the net finds nothing gives an InputError.
    """

    def _measured(self, picture: Image, path: str, questions: Sequence[Any], boxes: ClassBoxes
                  ) -> List[Measurement]:
        prepared = prepare(picture, self.model.inputs, self.model.arrays)
        detections = self.explainer.find(prepared.blobs)[0]
        if not detections:
            least = self.explainer.question.min_score
            raise InputError(f"{path}: the net finds no box with a score of {least:g} or more",
                             path)
        explanations = self.explainer.explain_prepared([Outcome(prepared)])[0].unwrap()
        maps = self._maps(explanations, prepared, path)
        values = self._values(maps, detections, prepared)
        return [self._measurement(path, measured_map, map_values, boxes)
                for measured_map, map_values in zip(maps, values)]

    def _maps(self, explanations: List[Explanation], prepared: Prepared, path: str
              ) -> List[_Map]:
        """All maps by box, with the baselines of each box at the end."""
        maps: List[_Map] = []
        for rank, text in enumerate(dict.fromkeys(
                explanation.question for explanation in explanations)):
            of_box = [explanation for explanation in explanations if explanation.question == text]
            of_box += baselines_of(of_box[0], prepared, USUAL_CELLS,
                                   noise_of(path, self.settings.seed, rank))
            maps += [_Map(explanation, heat_on_blob(explanation, prepared), rank)
                     for explanation in of_box]
        return maps

    def _values(self, maps: List[_Map], detections: List[Detection], prepared: Prepared
                ) -> List[Dict[str, np.ndarray]]:
        """The similarity of each map's box in the images that each metric makes of the map."""
        similarity = Similarity(self.explainer, prepared.blobs, detections)
        plans = [self._variants(measured_map, prepared) for measured_map in maps]
        # All variants go through the net in one stream, so that it runs in full batches.
        measured = similarity.values(blob for plan in plans for _, blobs in plan for blob in blobs)
        values: List[Dict[str, np.ndarray]] = []
        start, steps = 0, self.settings.steps + 1
        for measured_map, plan in zip(maps, plans):
            of_map: Dict[str, np.ndarray] = {}
            for name, _ in plan:
                of_map[name] = measured[start:start + steps, measured_map.rank]
                start += steps
            values.append(of_map)
        return values

    def _variants(self, measured_map: _Map, prepared: Prepared
                  ) -> List[Tuple[str, Iterator[np.ndarray]]]:
        """Metric -> the changed images that it needs."""
        blob = prepared.blobs[measured_map.explanation.input][0]
        settings = self.settings
        series = {"deletion": curves.deletion, "insertion": curves.insertion}
        return [(name, variants(blob, measured_map.heat, steps=settings.steps, seed=settings.seed))
                for name, variants in series.items() if name in settings.metrics]

    def _measurement(self, path: str, measured_map: _Map, values: Dict[str, np.ndarray],
                     annotated: ClassBoxes) -> Measurement:
        explanation = measured_map.explanation
        numbers = {name: curves.area(curve) for name, curve in values.items()}
        if len(values) == 2:
            numbers["gap"] = numbers["insertion"] - numbers["deletion"]
        box = target_box(explanation, annotated)
        if "pointing" in self.settings.metrics and box is not None:
            numbers.update(pointing.numbers_of(
                explanation.heatmap, [box], self.settings.tolerance))
        layer = explanation.layer
        if layer and not self.explainer.explaining.layers and layer not in self.model.inputs:
            layer = SOURCES
        assert explanation.class_index is not None
        return Measurement(path, explanation.class_index, explanation.method, layer or None,
                           numbers, {name: curve.tolist() for name, curve in values.items()},
                           rank=measured_map.rank)


def target_box(explanation: Explanation, annotated: ClassBoxes) -> Optional[Box]:
    """The box that a map should point at.

    The detected one; or, where people drew some, the one of its class that it overlaps most.

    Returns
    -------
    (float, float, float, float) or None
        x, y, width and height; None where no annotated box is the detected one.
    """
    assert explanation.box is not None and explanation.class_index is not None
    if not annotated:
        return explanation.box
    of_class = annotated.get(explanation.class_index, [])
    if not of_class:
        return None
    overlap = overlaps(_edges(explanation.box), np.stack([_edges(box) for box in of_class]))
    best = int(overlap.argmax())
    return of_class[best] if overlap[best] >= _SAME_BOX else None


def _edges(box: Box) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])
