"""The images that evaluate measures, with what is asked about each."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Sequence, Union

from prototxt_tools.errors import InputError, Outcome

if TYPE_CHECKING:
    from caffe_gradcam.asking.questions import Question
    from caffe_gradcam.batch.sources import Item
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.measuring.annotations import ClassBoxes
    from caffe_gradcam.measuring.bench import Bench
    from caffe_gradcam.measuring.box_bench import BoxBench
    from caffe_gradcam.measuring.measurement import Measurement
    from caffe_gradcam.measuring.scene_objects import ObjectFiles, SceneObject
    from caffe_gradcam.model.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Subject:
    """An image to measure.

    Attributes
    ----------
    item : Item
    questions : list of question
    boxes : dict
        Class index -> boxes of that class.
    objects : list of ObjectFiles
    """

    item: "Item"
    questions: "List[Question]"
    boxes: "ClassBoxes"
    objects: "List[ObjectFiles]"


def subjects_of(options: argparse.Namespace, recipe: "Recipe",
                model: "LoadedModel") -> List[Subject]:
    """The images to measure, with what is asked about each."""
    from caffe_gradcam.asking.asker import Asker, Asking, default_questions
    from caffe_gradcam.asking.questions import Class
    from caffe_gradcam.batch.sources import InputColumns, open_source
    from caffe_gradcam.measuring import annotations, bench, scene_objects

    boxes = annotations.read_boxes(options.boxes, model.find_class) if options.boxes else {}
    objects = scene_objects.read_object_files(
        options.objects, model.find_class) if options.objects else {}
    # Every box is asked about its own class.
    asking = Asking() if recipe.asking.detections else recipe.asking
    asker = Asker(asking, model)
    asked = asker.questions() if asking != Asking() else []
    bench.check_questions(asked)
    subjects = []
    for argument in options.images:
        for item in open_source(argument, class_names=model.class_names,
                                inputs=InputColumns.of(model)):
            item_boxes = annotations.boxes_of(item.path, boxes)
            item_objects = scene_objects.objects_of(item.path, objects)
            if (boxes or objects) and not (item_boxes or item_objects):
                continue
            classes = set(item_boxes).union(files.class_index for files in item_objects)
            questions = asker.questions(item.questions) if item.questions else asked or [
                Class(index) for index in sorted(classes)] or default_questions(model)
            subjects.append(Subject(item, questions, item_boxes, item_objects))
    if not subjects:
        kind = "boxes" if options.boxes else "objects"
        raise InputError(
            f"{options.boxes or options.objects}: has no {kind} of any of these images; names are "
            "compared as they are, then without their folders", options.boxes or options.objects)
    return subjects[:options.limit]


def measure(bench: "Union[Bench, BoxBench]", subjects: Sequence[Subject]
            ) -> "List[Outcome[List[Measurement]]]":
    """Read some images, with the objects in them, and measure their maps in one batch."""
    from caffe_gradcam.batch.sources.reading import read_image
    from caffe_gradcam.measuring.bench import Bench

    paths = [subject.item.path for subject in subjects]
    images = [Outcome.of(read_image, subject.item, bench.model.inputs) for subject in subjects]
    questions: List[Any] = [subject.questions for subject in subjects]
    boxes = [subject.boxes for subject in subjects]
    if not isinstance(bench, Bench):
        return bench.measure(paths, images, questions, boxes)
    objects = [Outcome.of(_read_objects, subject.objects) for subject in subjects]
    images = [image if of_image.ok else Outcome(error=of_image.error)
              for of_image, image in zip(objects, images)]
    return bench.measure(paths, images, questions, boxes,
                         [of_image.value or [] for of_image in objects])


def _read_objects(objects: "Sequence[ObjectFiles]") -> "List[SceneObject]":
    return [files.read() for files in objects]
