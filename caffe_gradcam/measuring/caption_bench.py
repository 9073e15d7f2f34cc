"""How far each method can be trusted to explain the words of captions.

What is followed is the probability of a word after the words before it, in a sentence that stays
the same whatever happens to the image.
"""

from typing import Any, Dict, List, Sequence

import numpy as np

from caffe_gradcam.explaining.captions import Captioner, Word
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.measuring import variants
from caffe_gradcam.measuring.annotations import ClassBoxes
from caffe_gradcam.measuring.baseline_maps import baselines_of, cells_of, noise_of
from caffe_gradcam.measuring.item_bench import ItemBench
from caffe_gradcam.measuring.maps import MeasuredMap, heat_on_blob
from caffe_gradcam.measuring.measurement import Measurement, Settings
from caffe_gradcam.measuring.metrics import pointing
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import InputError

USUAL = ("deletion", "insertion", "drop", "road", "pointing")
METRICS = USUAL + ("complexity", "faithfulness")


class CaptionBench(ItemBench[Captioner, Image]):
    """Measures the maps of the words of a sentence: the one asked about, or the net's own.

    Boxes stand under the number of the word that names what they show. An image about which the
    net writes no word gives an InputError.

    Parameters
    ----------
    explainer : Captioner
    settings : Settings
    beam : int
        How many sentences are followed at a time to find the net's own.
    """

    def __init__(self, explainer: Captioner, settings: Settings, beam: int = 1) -> None:
        super().__init__(explainer, settings)
        self._beam = beam

    def _measured(self, picture: Image, path: str, questions: Sequence[Any], boxes: ClassBoxes
                  ) -> List[Measurement]:
        sentence = next(iter(questions), None)
        prepared = prepare(picture, self.model.inputs)
        words = self.explainer.caption_prepared(
            prepared, 1 if sentence is not None else self._beam, sentence).words
        if not words:
            raise InputError(f"{path}: the net writes no word about this image", path)
        maps = [MeasuredMap(explanation, heat_on_blob(explanation, prepared),
                            boxes.get(word.number))
                for word in words
                for explanation in word.explanations + self._baselines(word, prepared, path)]
        blob = prepared.blobs[self.model.input][0]
        plans = [variants.planned(blob, measured_map.heat, self.settings)
                 for measured_map in maps]
        numbers = [word.number for word in words]
        measured = np.array([
            self.explainer.word_probabilities(changed, numbers)[_step(measured_map.explanation)]
            for plan, measured_map in zip(plans, maps)
            for _, pictures in plan.values() for changed in pictures], np.float64)
        if not np.isfinite(measured).all():
            raise InputError(f"{path}: the scores hold NaN or infinity where pixels are removed",
                             path)
        return [self._measurement(path, measured_map, values)
                for measured_map, values in zip(maps, variants.split(plans, measured))]

    def _baselines(self, word: Word, prepared: Prepared, path: str) -> List[Explanation]:
        """The baselines, as explanations of the same word."""
        return baselines_of(word.explanations[0], prepared, cells_of(self.model),
                            noise_of(path, self.settings.seed, word.step))

    def _measurement(self, path: str, measured_map: MeasuredMap, values: Dict[str, np.ndarray]
                     ) -> Measurement:
        explanation = measured_map.explanation
        numbers = variants.numbers_of(measured_map.heat, values, self.settings)
        if "pointing" in self.settings.metrics and measured_map.boxes:
            numbers.update(pointing.numbers_of(
                explanation.heatmap, measured_map.boxes, self.settings.tolerance))
        assert explanation.class_index is not None
        return Measurement(path, explanation.class_index, explanation.method,
                           explanation.layer or None, numbers, variants.curves_of(values),
                           rank=_step(explanation))


def _step(explanation: Explanation) -> int:
    """The place of an explanation's word in the sentence."""
    return dict(explanation.position)["step"]
