"""Metrics that need each map again: of a changed image, or of another class."""

from dataclasses import replace
from typing import Any, Dict, List, Optional

import numpy as np

from caffe_gradcam.asking.questions import Question
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.measuring.maps import (
    MeasuredMap,
    Subject,
    about_class,
    class_of,
    heat_on_blob,
    question_of,
)
from caffe_gradcam.measuring.metrics import masking, sanity, similarity, stability
from caffe_gradcam.model.preprocess import Prepared
from prototxt_tools.errors import Outcome


def moved(explainer: Explainer, subject: Subject, seed: int) -> List[Optional[float]]:
    """For each map, how far it moves when the image is slightly noisy; None for baselines."""
    blobs = subject.prepared.blobs
    noisy = _copies(subject.prepared, {name: stability.noisy(blobs[name][0], seed=seed)
                                       for name in explainer.model.inputs})
    of_map = iter(zip(*heats(explainer, noisy, [subject.questions] * len(noisy))))
    return [stability.sensitivity(measured_map.heat, np.stack(next(of_map))).largest
            if measured_map.explanation.layer else None for measured_map in subject.maps]


def smooth_heats(explainer: Explainer, subject: Subject, seed: int) -> List[np.ndarray]:
    """For each map that depends on the net, the heat of its mean over noisy copies of the image."""
    blobs = subject.prepared.blobs
    copies = _copies(subject.prepared, {name: sanity.smoothing_copies(blobs[name][0], seed=seed)
                                        for name in explainer.model.inputs})
    questions: List[Any] = [subject.questions] * len(copies)
    results = explainer.explain_prepared([Outcome(image) for image in copies], questions)
    by_map = zip(*(result.unwrap().explanations for result in results))
    return [heat_on_blob(replace(of_map[0], cam=np.mean(
        [explanation.cam for explanation in of_map], axis=0)), subject.prepared)
        for of_map in by_map]


def other_class_similarities(explainer: Explainer, subject: Subject, seed: int
                             ) -> List[Optional[float]]:
    """For each map, its rank correlation with that of a random other class; None for baselines."""
    count = explainer.model.class_count
    if count is None or count < 2:
        return [None] * len(subject.maps)
    others: Dict[str, Question] = {}
    for measured_map in subject.maps:
        class_index = class_of(measured_map.explanation)
        rng = np.random.RandomState([seed, class_index])
        others.setdefault(measured_map.explanation.question, about_class(
            measured_map.explanation, sanity.other_class(class_index, count, rng)))
    numbers: List[Optional[float]] = [None] * len(subject.maps)
    for text, question in others.items():
        indices = [index for index, measured_map in enumerate(subject.maps)
                   if measured_map.explanation.layer and measured_map.explanation.question == text]
        of_other, = heats(explainer, [subject.prepared], [[question]])
        for index, heat in zip(indices, of_other):
            numbers[index] = similarity.rank_correlation(subject.maps[index].heat, heat)
    return numbers


def adcc(explainer: Explainer, subject: Subject, drops: List[float]) -> List[Optional[float]]:
    """For each map, average drop, coherency and complexity in one number; None for baselines."""
    numbers: List[Optional[float]] = [None] * len(subject.maps)
    for method in explainer.explaining.methods:
        indices = [index for index, measured_map in enumerate(subject.maps)
                   if measured_map.explanation.layer and measured_map.explanation.method == method]
        maps = [subject.maps[index] for index in indices]
        shown = [_shown(subject, measured_map) for measured_map in maps]
        questions: List[Any] = [[question_of(measured_map.explanation)] for measured_map in maps]
        results = explainer.only(method).explain_prepared(
            [Outcome(image) for image in shown], questions)
        for index, measured_map, image, result in zip(indices, maps, shown, results):
            heat = next(heat_on_blob(explanation, image)
                        for explanation in result.unwrap().explanations
                        if (explanation.layer, explanation.input)
                        == (measured_map.explanation.layer, measured_map.explanation.input))
            numbers[index] = masking.adcc(measured_map.heat, heat, drops[index])
    return numbers


def _shown(subject: Subject, measured_map: MeasuredMap) -> Prepared:
    """The image where the map is hot, as the net reads it."""
    name = measured_map.explanation.input
    blob = masking.shown_through(subject.prepared.blobs[name][0], measured_map.heat)
    return _with_blobs(subject.prepared, {name: blob[np.newaxis]})


def heats(explainer: Explainer, prepared: List[Prepared], questions: List[Any]
          ) -> List[List[np.ndarray]]:
    """The heat of each explanation of each image; raises the error of one that fails."""
    results = explainer.explain_prepared([Outcome(image) for image in prepared], questions)
    return [[heat_on_blob(explanation, image) for explanation in result.unwrap().explanations]
            for image, result in zip(prepared, results)]


def _copies(prepared: Prepared, variants: Dict[str, np.ndarray]) -> List[Prepared]:
    """An image with its inputs replaced by each of as many variants."""
    count = len(next(iter(variants.values())))
    return [_with_blobs(prepared, {name: blobs[index:index + 1]
                                   for name, blobs in variants.items()})
            for index in range(count)]


def _with_blobs(prepared: Prepared, blobs: Dict[str, np.ndarray]) -> Prepared:
    return replace(prepared, blobs=dict(prepared.blobs, **blobs))
