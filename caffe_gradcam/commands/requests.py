"""The images that explain is asked about, and what is asked about each of them."""

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.asker import has_score_map
from caffe_gradcam.batch.sources import InputColumns, Item, is_table, open_source
from caffe_gradcam.batch.sources.reading import cut, read_image
from caffe_gradcam.model import choices
from caffe_gradcam.model.array_inputs import missing
from caffe_gradcam.model.arrays import Image
from prototxt_tools.errors import ImageError, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.asking.asker import Asker
    from caffe_gradcam.asking.questions import Question
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.explaining.explanation import Result
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel

Rectangle = Tuple[int, int, int, int]


@dataclass(frozen=True)
class Request:
    """An image, or one for each input, to be explained as a whole or in part.

    Attributes
    ----------
    item : Item
        An entry of a source.
    crop : (int, int, int, int), optional
        x, y, width and height of the part that is asked about.
    pictures : tuple of str
        Where the pictures are, of nets with several inputs.
    """

    item: Item
    crop: Optional[Rectangle] = None
    pictures: Tuple[str, ...] = ()

    @property
    def paths(self) -> List[str]:
        """Where its pictures are, each once, after which files are named."""
        return list(dict.fromkeys(self.pictures)) or self.item.paths

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.item.path


@dataclass(frozen=True, eq=False)
class Images:
    """The pixels of a request, and its questions.

    Attributes
    ----------
    whole : numpy.ndarray or dict
        H x W x 3 uint8, blue first; of nets with several inputs, input blob -> such an array.
    questions : list of Question
    crop : numpy.ndarray, optional
        The part that is asked about.
    rectangle : (int, int, int, int), optional
        x, y, width and height of that part.
    """

    whole: Image
    questions: "List[Question]"
    crop: Optional[np.ndarray] = None
    rectangle: Optional[Rectangle] = None

    @property
    def explained(self) -> List[Image]:
        """What the net sees: the whole image and, if there is one, the crop."""
        return [self.whole] if self.crop is None else [self.whole, self.crop]

    def of_whole(self) -> np.ndarray:
        """The whole image of the only input."""
        assert isinstance(self.whole, np.ndarray)
        return self.whole

    def of_input(self, name: str) -> np.ndarray:
        """The image of an input, or the crop of it that is asked about."""
        if self.crop is not None:
            return self.crop
        return self.whole[name] if isinstance(self.whole, dict) else self.whole


@dataclass(frozen=True, eq=False)
class Answer:
    """A request's images, and the result for each of ``Images.explained``."""

    images: Images
    results: "List[Result]"


def requests(arguments: Sequence[str], model: "LoadedModel", crop: Optional[Rectangle] = None
             ) -> List[Request]:
    """What some arguments of the command line ask about.

    Parameters
    ----------
    arguments : sequence of str
        Sources of images; for a net with several inputs INPUT=IMAGE for each, or INPUT=FILE and
        INPUT=NUMBER where it takes numbers, repeated for each set of images, and tables with a
        column for each.
    model : LoadedModel
    crop : (int, int, int, int), optional
        The part that is asked about, of each image.

    Raises
    ------
    InputError
        There is no such source, or it is something else than a source of images.
    QuestionError
        Not one image for each input.
    """
    inputs = InputColumns.of(model)
    if inputs.needs_columns or _names_inputs(arguments, inputs):
        if crop is not None:
            raise QuestionError("--crop needs a net with one input", "--crop")
        return [Request(item, pictures=tuple(
            path for blob, path in item.input_paths if blob in inputs.pictures))
            for item in _sets(arguments, inputs, model)]
    class_names = model.class_names
    return [Request(item, crop) for argument in arguments
            for item in open_source(argument, class_names=class_names, inputs=inputs)]


def _names_inputs(arguments: Sequence[str], inputs: InputColumns) -> bool:
    """Whether an argument has the form INPUT=FILE."""
    return any(argument.partition("=")[0] in inputs.names and "=" in argument
               and not os.path.exists(argument) for argument in arguments)


def _sets(arguments: Sequence[str], inputs: InputColumns, model: "LoadedModel") -> Iterator[Item]:
    """One item for each set of INPUT=FILE: the first ones of each input, the second ones, ...;
    after them those of tables. What is given once for an input that is no picture holds for all
    sets."""
    tables, given = _separated(arguments, inputs)
    needed = inputs.pictures + inputs.arrays
    if any(given.values()):
        unset = [blob for blob in needed if not given[blob]]
        if unset:
            raise _unset(unset, given, inputs, model)
        count = max(len(values) for values in given.values())
        uneven = [blob for blob, values in given.items() if values and len(values) != count and
                  not (len(values) == 1 and blob not in inputs.pictures)]
        if uneven:
            counts = ", ".join(f"{len(given[blob])} for {blob}" for blob in given if given[blob])
            raise QuestionError(f"{_one_for_each(needed, inputs)}; there are {counts}")
        for index in range(count):
            yield _item({blob: values[min(index, len(values) - 1)]
                         for blob, values in given.items() if values}, inputs)
    for table in tables:
        yield from open_source(table, inputs=inputs)


def _separated(arguments: Sequence[str], inputs: InputColumns
               ) -> Tuple[List[str], Dict[str, List[str]]]:
    """The arguments that are tables, and the values of those of the form INPUT=FILE."""
    given: Dict[str, List[str]] = {name: [] for name in inputs.names}
    tables: List[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and name in given and value:
            given[name].append(value)
        elif is_table(argument):
            tables.append(argument)
        elif len(inputs.pictures) == 1 and not (equals and not os.path.exists(argument)):
            given[inputs.pictures[0]] += _paths(argument)
        else:
            near = choices.hint(name, list(given), 1) if equals else ""
            raise QuestionError(
                _one_for_each(inputs.pictures + inputs.arrays, inputs) + f", not {argument}"
                + (f"; there is no input {name!r}, {near}" if equals and value else ""))
    return tables, given


def _paths(source: str) -> List[str]:
    """The image files that a source names, for the only picture of a net."""
    items = list(open_source(source))
    if any(item.position is not None for item in items):
        raise QuestionError(f"{source}: the net takes more than an image; give images as files, or "
                            "a table with a column for each input", source)
    return [item.path for item in items]


def _item(values: Dict[str, str], inputs: InputColumns) -> Item:
    """The item of one set; its name is that of its pictures."""
    pictures = [values[blob] for blob in inputs.pictures]
    return Item.of(" ".join(dict.fromkeys(pictures)), input_paths=tuple(
        (blob, inputs.located(blob, text, str)) for blob, text in values.items()))


def _unset(unset: List[str], given: Mapping[str, List[str]], inputs: InputColumns,
           model: "LoadedModel") -> QuestionError:
    """The error for inputs that need something and were given nothing."""
    arrays = [model.arrays[blob] for blob in unset if blob in model.arrays]
    if len(arrays) == len(unset):
        return QuestionError(str(missing(arrays)), unset[0])
    needed = inputs.pictures + inputs.arrays
    counts = ", ".join(f"{len(given[blob])} for {blob}" for blob in needed)
    return QuestionError(f"{_one_for_each(needed, inputs)}; there are {counts}", unset[0])


def _one_for_each(needed: Sequence[str], inputs: InputColumns) -> str:
    if len(needed) == 1:
        return f"the net needs an image: {needed[0]}=IMAGE"
    return "the net has several inputs and needs an image for each: " + " ".join(
        f"{name}={'IMAGE' if name in inputs.pictures else 'FILE'}" for name in needed)


def of_parts(recipe: "Recipe") -> "Recipe":
    """The recipe for what the net is shown: images that are cut already."""
    return dataclasses.replace(recipe, asking=dataclasses.replace(recipe.asking, crop=None))


def explain_all(explainer: "Explainer", asker: "Asker", batch: Sequence[Request]
                ) -> List[Outcome[Answer]]:
    """The answer to each request; all images go through the net together."""
    read = [Outcome.of(_read, request, explainer.model, asker) for request in batch]
    images, questions = [], []
    for outcome in read:
        if outcome.ok:
            explained = outcome.unwrap().explained
            images += explained
            questions += [outcome.unwrap().questions] * len(explained)
    results = iter(_results(explainer, images, questions))
    return [outcome.then(_answer, results) for outcome in read]


def _read(request: Request, model: "LoadedModel", asker: "Asker") -> Images:
    """Read the images of a request; raises InputError."""
    item, rectangle = request.item, request.crop
    image = read_image(item, model.inputs)
    questions = asker.questions(item.questions, item.box)
    if isinstance(image, dict):
        return Images(image, questions)
    if rectangle is None and item.box is not None and not has_score_map(model):
        part, (x, y) = cut(image, item.box)
        return Images(image, questions, part, (x, y, part.shape[1], part.shape[0]))
    if rectangle is None:
        return Images(image, questions)
    x, y, width, height = rectangle
    if min(x, y) < 0 or x + width > image.shape[1] or y + height > image.shape[0]:
        raise ImageError("the crop {},{},{},{} reaches beyond the image of {}x{}".format(
            *rectangle + image.shape[1::-1]))
    return Images(image, questions, image[y:y + height, x:x + width], rectangle)


def _results(explainer: "Explainer", images: List[Image], questions: "List[List[Question]]"
             ) -> "List[Outcome[Result]]":
    """The result of each image; where the engine fails, its error for each of them."""
    if not images:
        return []
    outcome = Outcome.of(explainer.explain, images, questions)
    return outcome.unwrap() if outcome.ok else [Outcome(error=outcome.error)] * len(images)


def _answer(images: Images, results: "Iterator[Outcome[Result]]") -> Answer:
    # All of the request's results are taken before one of them raises its error.
    outcomes = [next(results) for _ in images.explained]
    return Answer(images, [outcome.unwrap() for outcome in outcomes])
