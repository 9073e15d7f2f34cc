"""The images that evaluate measures, with what is asked about each."""

import argparse
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, List, Sequence, Set, Union

from prototxt_tools.errors import InputError, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.batch.sources import Item
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.measuring.annotations import ClassBoxes
    from caffe_gradcam.measuring.bench import Bench
    from caffe_gradcam.measuring.item_bench import ItemBench
    from caffe_gradcam.measuring.measurement import Measurement
    from caffe_gradcam.measuring.scene_objects import ObjectFiles, SceneObject
    from caffe_gradcam.model.model import LoadedModel


@dataclass(frozen=True, eq=False)
class Subject:
    """An image to measure.

    Attributes
    ----------
    item : Item
    questions : list
        Of classes; of captions, the sentence, if the net does not write it itself.
    boxes : dict
        Class index -> boxes of that class.
    objects : list of ObjectFiles
    """

    item: "Item"
    questions: List[Any]
    boxes: "ClassBoxes"
    objects: "List[ObjectFiles]"


def subjects_of(options: argparse.Namespace, recipe: "Recipe",
                model: "LoadedModel") -> List[Subject]:
    """The images to measure, with what is asked about each."""
    from caffe_gradcam.batch.sources import InputColumns, open_source
    from caffe_gradcam.measuring import annotations, scene_objects

    is_caption = recipe.asking.is_caption
    find_class = _word_finder(model) if is_caption else model.find_class
    boxes = annotations.read_boxes(options.boxes, find_class) if options.boxes else {}
    objects = scene_objects.read_object_files(
        options.objects, model.find_class) if options.objects else {}
    # A net that describes images writes the words that it reads.
    columns = InputColumns.of(dataclasses.replace(model, arrays={}) if is_caption else model)
    asked = _asked(recipe, model)
    subjects = []
    for argument in options.images:
        for item in open_source(argument, class_names=model.class_names, inputs=columns):
            item_boxes = annotations.boxes_of(item.path, boxes)
            item_objects = scene_objects.objects_of(item.path, objects)
            if (boxes or objects) and not (item_boxes or item_objects):
                continue
            classes = set(item_boxes).union(files.class_index for files in item_objects)
            subjects.append(Subject(item, asked(item, classes), item_boxes, item_objects))
    if not subjects:
        kind = "boxes" if options.boxes else "objects"
        raise InputError(
            f"{options.boxes or options.objects}: has no {kind} of any of these images; names are "
            "compared as they are, then without their folders", options.boxes or options.objects)
    return subjects[:options.limit]


def _asked(recipe: "Recipe", model: "LoadedModel") -> "Callable[[Item, Set[int]], List[Any]]":
    """What gives the questions about an item, by the classes of its boxes and objects: its own,
    those of all, its classes, or the usual ones; of captions, its sentence or that of all."""
    from caffe_gradcam.asking.asker import Asker, Asking, default_questions
    from caffe_gradcam.asking.questions import Class
    from caffe_gradcam.measuring import bench

    if recipe.asking.is_caption:
        sentence = recipe.asking.sentence
        return lambda item, classes: list(item.questions[:1]) or (
            [] if sentence is None else [sentence])
    if recipe.asking.detections:  # Every box is asked about its own class.
        return lambda item, classes: []
    asker = Asker(recipe.asking, model)
    of_all = asker.questions() if recipe.asking != Asking() else []
    bench.check_questions(of_all)

    def questions(item: "Item", classes: Set[int]) -> List[Any]:
        if item.questions:
            return asker.questions(item.questions)
        return of_all or [Class(index) for index in sorted(classes)] or default_questions(model)

    return questions


def _word_finder(model: "LoadedModel") -> Callable[[str], int]:
    """Word -> its number; raises a QuestionError for one that the net does not know, or several."""
    from caffe_gradcam.explaining import chain

    vocabulary = chain.of_model(model).vocabulary

    def find(text: str) -> int:
        numbers = vocabulary.parse(text)
        if len(numbers) > 1:
            raise QuestionError(f"a box has one word, not {text!r}", text)
        return numbers[0]

    return find


def measure(bench: "Union[Bench, ItemBench[Any, Any]]", subjects: Sequence[Subject]
            ) -> "List[Outcome[List[Measurement]]]":
    """Read some images or clips, with the objects in them, and measure their maps in one batch.

    Parameters
    ----------
    bench : Bench or ItemBench
    subjects : sequence of Subject
    """
    from caffe_gradcam.measuring.bench import Bench

    paths = [subject.item.path for subject in subjects]
    images = [Outcome.of(_read, subject.item, bench) for subject in subjects]
    questions: List[Any] = [subject.questions for subject in subjects]
    boxes = [subject.boxes for subject in subjects]
    if not isinstance(bench, Bench):
        return bench.measure(paths, images, questions, boxes)
    objects = [Outcome.of(_read_objects, subject.objects) for subject in subjects]
    images = [image if of_image.ok else Outcome(error=of_image.error)
              for of_image, image in zip(objects, images)]
    return bench.measure(paths, images, questions, boxes,
                         [of_image.value or [] for of_image in objects])


def _read(item: "Item", bench: Any) -> Any:
    """An item's image, or the frames of its clip that the net sees."""
    from caffe_gradcam.batch.sources import clips
    from caffe_gradcam.batch.sources.reading import read_image
    from caffe_gradcam.measuring.clip_bench import ClipBench

    if isinstance(bench, ClipBench):
        return clips.fetch(item, bench.explainer.clip).frames
    return read_image(item, bench.model.inputs)


def _read_objects(objects: "Sequence[ObjectFiles]") -> "List[SceneObject]":
    return [files.read() for files in objects]
