"""The maps of an image that are measured, as heat where the net reads the image."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from caffe_gradcam.asking.questions import AtIndex, Class, Question
from caffe_gradcam.asking.seeds import Linear, Seed, TwoSided
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.methods import heatmap
from caffe_gradcam.measuring.annotations import Box
from caffe_gradcam.measuring.scene_objects import SceneObject
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.layouts import cells_at
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared
from prototxt_tools.errors import InputError


@dataclass(frozen=True, eq=False)
class MeasuredMap:
    """A map to be measured, its heat at the size of the input blob, and the boxes of its class."""

    explanation: Explanation
    heat: np.ndarray
    boxes: Optional[List[Box]]


@dataclass(frozen=True, eq=False)
class Subject:
    """An image with all the maps of it that are measured, and the objects in it."""

    path: str
    prepared: Prepared
    questions: List[Question]
    maps: List[MeasuredMap]
    objects: Tuple[SceneObject, ...] = ()


def heat_on_blob(explanation: Explanation, prepared: Prepared) -> np.ndarray:
    """The heatmap at the size of the blob that the net reads: h x w float32 in [0, 1]."""
    height, width = prepared.blobs[explanation.input].shape[2:]
    rows, columns = pixels_of_blob(prepared.geometries[explanation.input][0], height, width)
    return heatmap(explanation.geometry.sample(
        np.maximum(explanation.cam, 0) * (explanation.status == "ok"), explanation.placement,
        rows, columns))


def pixels_of_blob(geometry: Geometry, height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """Where in the image the middles of a blob's rows and columns lie, in pixels."""
    x0, y0, x1, y1 = geometry.rectangle
    return (y0 + (np.arange(height) + 0.5) * (y1 - y0) / height,
            x0 + (np.arange(width) + 0.5) * (x1 - x0) / width)


def check_boxes(subject: Subject) -> None:
    """Raise an InputError for a box that lies outside the image, which no map could hit."""
    for measured_map in subject.maps:
        height, width = measured_map.explanation.geometry.image_size
        for box in measured_map.boxes or ():
            if not (box[0] < width and box[1] < height and box[0] + box[2] > 0
                    and box[1] + box[3] > 0):
                raise InputError("{}: the box at {:g}, {:g} of {:g} x {:g} pixels lies outside "
                                 "the image, which has {} x {}".format(
                                     subject.path, *box, width, height), subject.path)


def class_of(explanation: Explanation) -> int:
    """The class of an explanation, all of which are about one class here."""
    assert explanation.class_index is not None
    return explanation.class_index


def question_of(explanation: Explanation) -> Question:
    """The class that an explanation is about, at its step."""
    return about_class(explanation, class_of(explanation))


def about_class(explanation: Explanation, class_index: int) -> Question:
    """The question of an explanation, about another class."""
    question: Question = Class(class_index)
    for axis, index in explanation.position:
        question = AtIndex(question, axis, index)
    return question


def score_seed(model: LoadedModel, explanation: Explanation, scores: np.ndarray) -> Seed:
    """The score of the class of an explanation, at its step.

    Parameters
    ----------
    model : LoadedModel
    explanation : Explanation
    scores : numpy.ndarray
        K [x positions], of the image.
    """
    cells = cells_at(model.layout.positions, scores.shape[1:], explanation.position)
    return _score_of(model, class_of(explanation), cells)


def value_seed(model: LoadedModel, explanation: Explanation, scores: np.ndarray) -> Seed:
    """The probability of the class of an explanation, or its score where there is none."""
    return _value_of(model, score_seed(model, explanation, scores))


def class_value(model: LoadedModel, class_index: int) -> Seed:
    """The probability of a class, or its score where there is none, of scores without positions."""
    return _value_of(model, _score_of(model, class_index, None))


def _score_of(model: LoadedModel, class_index: int, cells: Optional[np.ndarray]) -> Seed:
    seed = Linear("", class_index, {class_index: 1.0}, cells)
    return TwoSided(seed) if model.has_two_sides else seed


def _value_of(model: LoadedModel, seed: Seed) -> Seed:
    return seed if model.link == "none" else seed.likelihood(model.link)
