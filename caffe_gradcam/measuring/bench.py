"""How far each method can be trusted at each layer: the metrics, over many images."""

from dataclasses import replace
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.questions import AtIndex, Class, Question, Top
from caffe_gradcam.explaining.explainer import BEST, Explainer
from caffe_gradcam.explaining.explanation import Explanation, Result
from caffe_gradcam.explaining.passes import Pass
from caffe_gradcam.measuring import completeness, remade, removal, variants
from caffe_gradcam.measuring.annotations import ClassBoxes
from caffe_gradcam.measuring.baseline_maps import baselines_of, cells_of, noise_of
from caffe_gradcam.measuring.maps import (
    MeasuredMap,
    Subject,
    check_boxes,
    class_of,
    heat_on_blob,
    question_of,
    value_seed,
)
from caffe_gradcam.measuring.measurement import Measurement, Settings
from caffe_gradcam.measuring.metrics import pointing
from caffe_gradcam.measuring.randomised import Randomisation
from caffe_gradcam.measuring.scene_objects import SceneObject
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import InputError, Outcome, QuestionError


class Bench:
    """Measures the maps of an explainer.

    Parameters
    ----------
    explainer : Explainer
        With all the methods to compare, on a model with all the layers to compare.
    settings : Settings, optional

    Attributes
    ----------
    stages : list of list of str
        The layers whose weights are randomised, stage by stage.

    Raises
    ------
    QuestionError
        The model merges ten crops, so that no single input shows a whole map.
    """

    def __init__(self, explainer: Explainer, settings: Optional[Settings] = None) -> None:
        self.explainer = explainer
        self.settings = settings or Settings()
        self.model: LoadedModel = explainer.model
        if any(preprocessing.crops > 1 for preprocessing in self.model.inputs.values()):
            raise QuestionError("maps of ten crops cannot be measured, since no single input "
                                "of the net shows them whole; use one crop")
        self._randomisation = Randomisation.of(explainer, self.settings)
        self.stages: List[List[str]] = (
            self._randomisation.stages if "sanity" in self.settings.metrics else [])

    def measure(self, paths: Sequence[str], images: Sequence["Outcome[Image]"],
                questions: Sequence[Any] = BEST,
                boxes: Optional[Sequence[ClassBoxes]] = None,
                objects: Sequence[Sequence[SceneObject]] = (),
                ) -> List["Outcome[List[Measurement]]"]:
        """Measure the maps of some images in one batch.

        Parameters
        ----------
        paths : list of str
        images : list of Outcome
            H x W x 3 uint8 each, blue first; or why there is none.
        questions : sequence of (int or Top)
            The classes to explain; or a list of such for each image.
        boxes : list of dict, optional
            For each image, class index -> boxes of that class.
        objects : list of list of SceneObject, optional
            For each image, the objects in it.

        Returns
        -------
        list of Outcome
            For each image a list of Measurement: by class, method and layer, with the baselines
            at the end of each class.
        """
        prepared = [image.then(prepare, self.model.inputs, self.model.arrays) for image in images]
        explained = Outcome.of(self.explainer.explain_prepared, prepared, questions)
        results = explained.value or [Outcome(error=explained.error)] * len(paths)
        subjects: List[Outcome[Subject]] = []
        for index, path in enumerate(paths):
            image_boxes = boxes[index] if boxes else {}
            subjects.append(results[index].then(
                self._subject, path, prepared[index].value, image_boxes,
                tuple(objects[index]) if objects else ()))
        outcomes = [subject.then(self._measured) for subject in subjects]
        if self._randomisation.metrics:
            self._add_randomised(subjects, outcomes)
        return outcomes

    def _subject(self, result: Result, path: str, prepared: Prepared, boxes: ClassBoxes,
                 objects: Tuple[SceneObject, ...]) -> Subject:
        explanations: List[Explanation] = []
        questions: List[Question] = []
        for text in dict.fromkeys(explanation.question for explanation in result.explanations):
            of_question = [explanation for explanation in result.explanations
                           if explanation.question == text]
            questions.append(question_of(of_question[0]))
            rng = noise_of(path, self.settings.seed, class_of(of_question[0]))
            explanations += of_question + baselines_of(
                of_question[0], prepared, cells_of(self.model), rng)
        return Subject(path, prepared, questions, [
            MeasuredMap(explanation, heat_on_blob(explanation, prepared),
                        boxes.get(class_of(explanation)))
            for explanation in explanations], objects)

    def _measured(self, subject: Subject) -> List[Measurement]:
        if subject.objects:
            removal.check_sizes(subject, subject.maps[0].explanation.heatmap.shape)
        if "pointing" in self.settings.metrics:
            check_boxes(subject)
        measurements = self._measure_maps(subject)
        metrics, seed = self.settings.metrics, self.settings.seed
        columns: Dict[str, List[Optional[float]]] = {}
        if "stability" in metrics:
            columns["moved"] = remade.moved(self.explainer, subject, seed)
        if "logit" in metrics:
            columns["logit"] = remade.other_class_similarities(self.explainer, subject, seed)
        if "completeness" in metrics:
            columns["completeness"] = completeness.gaps(self.explainer, subject)
        if "adcc" in metrics:
            columns["adcc"] = remade.adcc(self.explainer, subject, [
                measurement.values["drop"] for measurement in measurements])
        return [replace(measurement, values=dict(measurement.values, **{
            name: numbers[index] for name, numbers in columns.items()
            if numbers[index] is not None})) for index, measurement in enumerate(measurements)]

    def _measure_maps(self, subject: Subject) -> List[Measurement]:
        """Everything that follows from the maps and the net with its own weights."""
        plans = [self._variants(subject, measured_map) for measured_map in subject.maps]
        batch = Pass(self.explainer.engine, self.model, subject.prepared.blobs, [],
                     one_by_one=self.explainer.one_by_one)
        seeds = [value_seed(self.model, measured_map.explanation, batch.scores[0])
                 for measured_map in subject.maps]
        values: List[Dict[str, np.ndarray]] = [{} for _ in plans]
        for source in self.model.inputs:
            series = [(index, name, count, blobs) for index, plan in enumerate(plans)
                      if subject.maps[index].explanation.input == source
                      for name, (count, blobs) in plan.items()]
            # All variants go through the net in one stream, so that it runs in full batches.
            measured = batch.rerun_net(source, seeds, (
                (index, 0, blob) for index, _, _, blobs in series for blob in blobs))
            if not np.isfinite(measured).all():
                raise InputError("the scores hold NaN or infinity where pixels are removed")
            ends = np.cumsum([count for _, _, count, _ in series])[:-1]
            for (index, name, _, _), part in zip(series, np.split(measured, ends)):
                values[index][name] = part
        measurements = [self._measurement(subject, measured_map, map_values)
                        for measured_map, map_values in zip(subject.maps, values)]
        if "removal" not in self.settings.metrics or not subject.objects:
            return measurements
        numbers = removal.removal_numbers(self.explainer, subject, seeds)
        return [replace(measurement, values=dict(measurement.values, **of_map))
                for measurement, of_map in zip(measurements, numbers)]

    def _variants(self, subject: Subject, measured_map: MeasuredMap) -> variants.Plan:
        """Metric -> the number of input variants that it needs the values of, and these."""
        blob = subject.prepared.blobs[measured_map.explanation.input][0]
        return variants.planned(blob, measured_map.heat, self.settings)

    def _measurement(self, subject: Subject, measured_map: MeasuredMap,
                     values: Dict[str, np.ndarray]) -> Measurement:
        """The numbers that follow from the values of a map's variants."""
        explanation = measured_map.explanation
        numbers = variants.numbers_of(measured_map.heat, values, self.settings)
        if "pointing" in self.settings.metrics and measured_map.boxes:
            numbers.update(pointing.numbers_of(
                explanation.heatmap, measured_map.boxes, self.settings.tolerance))
        if "objects" in self.settings.metrics:
            numbers.update(removal.object_numbers(subject, measured_map, self.settings.seed))
        return Measurement(subject.path, class_of(explanation), explanation.method,
                           explanation.layer or None, numbers, variants.curves_of(values))

    def _add_randomised(self, subjects: List["Outcome[Subject]"],
                        outcomes: List["Outcome[List[Measurement]]"]) -> None:
        """Add to the outcomes how each map compares with those of random weights."""
        measured = [index for index, outcome in enumerate(outcomes) if outcome.ok]
        if not measured:
            return
        randomised = Outcome.of(self._randomisation.measure,
                                [subjects[index].unwrap() for index in measured])
        for position, index in enumerate(measured):
            if randomised.value is None:
                outcomes[index] = Outcome(error=randomised.error)
                continue
            outcomes[index] = Outcome([
                replace(measurement, stages=of_map.stages,
                        values=dict(measurement.values, **of_map.values))
                for measurement, of_map in zip(outcomes[index].unwrap(),
                                               randomised.value[position])])


def check_questions(questions: Iterable[Any]) -> None:
    """Raise a QuestionError for a question that is not about single classes."""
    for question in questions:
        while isinstance(question, AtIndex):
            question = question.of
        if not isinstance(question, (int, Class, Top)):
            raise QuestionError("a map is measured by the value of one class: give a class by "
                                "number or name, or top:K")


def spread_layers(model: LoadedModel, count: int = 3) -> List[str]:
    """Blobs worth comparing: the model's layer, and the last blob of each finer resolution.

    Parameters
    ----------
    model : LoadedModel
    count : int
        At most so many.
    """
    graph, blobs = model.graph, [model.layers[0]]
    area = _area(model.shapes.get(blobs[0]))
    for index in sorted(graph.ancestors(blobs), reverse=True):
        layer = graph.net.layers[index]
        for blob in layer.tops if layer.type != "Pooling" and layer.bottoms else ():
            if len(blobs) < count and area < _area(model.shapes.get(blob)):
                blobs.append(blob)
                area = _area(model.shapes[blob])
    return blobs


def _area(shape: Optional[Tuple[int, ...]]) -> int:
    """Of the places; those of a layer that also has an axis of time lie in the last two too."""
    return shape[-2] * shape[-1] if shape and len(shape) in (4, 5) else 0
