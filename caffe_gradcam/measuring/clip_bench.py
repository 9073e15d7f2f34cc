"""How far each method can be trusted to explain clips: the metrics that remove parts of frames.

The frames count as one picture, one below the other: the hottest pixels are those of the whole
clip, whichever frames they lie in.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.explaining.clips import ClipExplainer, ClipExplanation, in_time
from caffe_gradcam.measuring import variants
from caffe_gradcam.measuring.annotations import ClassBoxes
from caffe_gradcam.measuring.baseline_maps import noise_of
from caffe_gradcam.measuring.item_bench import ItemBench
from caffe_gradcam.measuring.maps import class_value, pixels_of_blob
from caffe_gradcam.measuring.measurement import Measurement
from caffe_gradcam.measuring.metrics import baselines, curves
from caffe_gradcam.model.clips import DEPTH
from caffe_gradcam.model.geometry import Geometry
from prototxt_tools.errors import InputError, QuestionError

USUAL = ("deletion", "insertion", "drop")
METRICS = USUAL + ("complexity", "faithfulness")
# Without a known shape of the target blob, the random baseline is this coarse.
_USUAL_CELLS = (4, 7, 7)


@dataclass(frozen=True, eq=False)
class _Map:
    """A map to be measured, with its heat where the net reads the frames: T x h x w."""

    class_index: int
    method: str
    layer: Optional[str]
    heat: np.ndarray


class ClipBench(ItemBench[ClipExplainer, List[np.ndarray]]):
    """Measures the maps of the classes of clips, which have no boxes."""

    def _measured(self, picture: List[np.ndarray], path: str, questions: Sequence[Any],
                  boxes: ClassBoxes) -> List[Measurement]:
        views, geometries = self.explainer.clip.views(picture, self.model.preprocessing)
        explanations = self.explainer.explain_views(views, geometries, questions).explanations
        size = (views.shape[2], views.shape[3])
        maps = self._maps(explanations, geometries[0], size, path)
        stacked = _stacked(views)
        blurred = _stacked(np.stack([curves.blurred(frame) for frame in views]))
        plans = [variants.planned(stacked, measured_map.heat.reshape(-1, size[1]), self.settings,
                                  blurred) for measured_map in maps]
        values = self._values(plans, [measured_map.class_index for measured_map in maps],
                              views.shape)
        return [Measurement(
            path, measured_map.class_index, measured_map.method, measured_map.layer,
            variants.numbers_of(measured_map.heat.reshape(-1, size[1]), of_map, self.settings),
            variants.curves_of(of_map)) for measured_map, of_map in zip(maps, values)]

    def _maps(self, explanations: Sequence[ClipExplanation], geometry: Geometry,
              size: Tuple[int, int], path: str) -> List[_Map]:
        """All maps by class, with the baselines of each class at the end."""
        maps: List[_Map] = []
        for index in dict.fromkeys(explanation.class_index for explanation in explanations):
            assert index is not None
            maps += [_Map(index, explanation.method, explanation.layer,
                          heat_on_frames(explanation, geometry, size))
                     for explanation in explanations if explanation.class_index == index]
            maps += [_Map(index, name, None, heat)
                     for name, heat in self._baselines(index, size, path).items()]
        return maps

    def _baselines(self, class_index: int, size: Tuple[int, int], path: str
                   ) -> Dict[str, np.ndarray]:
        """Maps that ignore the net: noise as coarse as the first layer, in time too, and the middle
        of each frame."""
        rng = noise_of(path, self.settings.seed, class_index)
        steps, rows, columns = self._cells()
        frames = self.explainer.clip.length
        noise = np.stack([baselines.random_map(size, (rows, columns), rng) for _ in range(steps)])
        return {"random": in_time(noise, frames),
                "centre": np.stack([baselines.centre_map(size)] * frames)}

    def _cells(self) -> Tuple[int, int, int]:
        """Steps, rows and columns of the first layer."""
        shape = self.model.shapes.get(self.model.layers[0])
        if shape is None:
            return _USUAL_CELLS
        is_deep = self.explainer.clip.axis == DEPTH
        return shape[2] if is_deep else shape[0], shape[-2], shape[-1]

    def _values(self, plans: Sequence[variants.Plan], classes: Sequence[int],
                shape: Tuple[int, ...]) -> List[Dict[str, np.ndarray]]:
        """The value of each map's class in the clips that each metric makes of the map."""
        measured = np.array([
            self._value(_unstacked(picture, shape), class_index)
            for plan, class_index in zip(plans, classes)
            for _, pictures in plan.values() for picture in pictures], np.float64)
        if not np.isfinite(measured).all():
            raise InputError("the scores hold NaN or infinity where pixels are removed")
        return variants.split(plans, measured)

    def _value(self, views: np.ndarray, class_index: int) -> float:
        """The probability of a class, or its score where there is none."""
        scores = self.explainer.scores(views)
        if scores[0].size > scores.shape[1]:
            raise QuestionError("clips are measured by scores of classes, not by scores of several "
                                "steps or places", self.model.score)
        return float(class_value(self.model, class_index).values(scores)[0])


def heat_on_frames(explanation: ClipExplanation, geometry: Geometry, size: Tuple[int, int]
                   ) -> np.ndarray:
    """The heatmaps at the size of the frames that the net reads.

    Parameters
    ----------
    explanation : ClipExplanation
    geometry : Geometry
        Of each frame.
    size : (int, int)
        Height and width.

    Returns
    -------
    numpy.ndarray
        T x h x w float32 in [0, 1]; the highest value of the clip is 1.
    """
    positive = np.maximum(explanation.cams, 0) * (explanation.status == "ok")
    rows, columns = pixels_of_blob(geometry, *size)
    heat = np.stack([geometry.sample(cells, None, rows, columns)
                     for cells in in_time(positive, len(explanation.geometries))])
    return np.asarray(heat / (float(heat.max()) or 1.0), np.float32)


def _stacked(views: np.ndarray) -> np.ndarray:
    """T x C x h x w as one picture, C x (T * h) x w."""
    frames, channels, height, width = views.shape
    return np.ascontiguousarray(views.transpose(1, 0, 2, 3)).reshape(
        channels, frames * height, width)


def _unstacked(picture: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """The frames of such a picture: T x C x h x w."""
    frames, channels, height, width = shape
    return np.ascontiguousarray(
        picture.reshape(channels, frames, height, width).transpose(1, 0, 2, 3), np.float32)
