"""Does the heat lie on the objects, and on those without which the value falls?"""

from typing import Dict, List, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.passes import Pass
from caffe_gradcam.measuring.maps import MeasuredMap, Subject, class_of
from caffe_gradcam.measuring.metrics import objects as metric
from caffe_gradcam.measuring.scene_objects import Part
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import InputError


def object_numbers(subject: Subject, measured_map: MeasuredMap, seed: int) -> Dict[str, float]:
    """Relevance mass and rank accuracy of a map, on all the objects of its class."""
    masks = [scene_object.whole.mask for scene_object in subject.objects
             if scene_object.class_index == class_of(measured_map.explanation)]
    if not masks:
        return {}
    heat, mask = measured_map.explanation.heatmap, np.logical_or.reduce(masks)
    return {"mass": metric.mass_accuracy(heat, mask),
            "rank": metric.rank_accuracy(heat, mask, seed)}


def check_sizes(subject: Subject, size: Tuple[int, int]) -> None:
    """Raise an InputError if a mask is not as large as the image, height by width."""
    for scene_object in subject.objects:
        for part in (scene_object.whole,) + scene_object.parts:
            if part.mask.shape != size:
                raise InputError("{}: a mask is {} x {} pixels large and the image {} x {}; they "
                                 "must be of one size".format(
                                     subject.path, *part.mask.shape[::-1], *size[::-1]),
                                 subject.path)


def removal_numbers(explainer: Explainer, subject: Subject, seeds: List[Seed]
                    ) -> List[Dict[str, float]]:
    """For each map, whether it finds the objects and parts without which the value falls.

    Parameters
    ----------
    explainer : Explainer
    subject : Subject
    seeds : list of Seed
        What is measured of the class of each map.
    """
    objects = [scene_object.whole for scene_object in subject.objects]
    parts = [part for scene_object in subject.objects for part in scene_object.parts]
    if any(part.without is None for part in objects + parts):
        return [{} for _ in subject.maps]
    first_of = {measured_map.explanation.question: index
                for index, measured_map in reversed(list(enumerate(subject.maps)))}
    effects = {question: _effects(explainer, subject, seeds[index], objects + parts)
               for question, index in first_of.items()}
    numbers = []
    for measured_map in subject.maps:
        heats = metric.heat_inside(measured_map.explanation.heatmap,
                                   [part.mask for part in objects + parts])
        of_question = effects[measured_map.explanation.question]
        count = len(objects)
        numbers.append({
            "cause": metric.finds_cause(heats[:count], of_question[:count]),
            "parts": metric.follows_effects(heats[count:], of_question[count:])})
    return numbers


def _effects(explainer: Explainer, subject: Subject, seed: Seed, parts: List[Part]) -> np.ndarray:
    """By how much a value falls without each of some parts of the image."""
    model, source = explainer.model, explainer.model.input
    blobs = [prepare({source: part.without}, model.inputs, model.arrays).blobs[source][0]
             for part in parts if part.without is not None]
    batch = Pass(explainer.engine, model, subject.prepared.blobs, [],
                 one_by_one=explainer.one_by_one)
    variants = [subject.prepared.blobs[source][0]] + blobs
    reruns: List[Tuple[int, int, np.ndarray]] = [(0, 0, blob) for blob in variants]
    values = batch.rerun_net(source, [seed], reruns)
    return values[0] - values[1:]
