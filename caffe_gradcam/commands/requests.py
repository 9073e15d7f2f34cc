"""The images that explain is asked about, and what is asked about each of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.asker import has_score_map
from caffe_gradcam.batch.sources import Item, is_table, open_source
from caffe_gradcam.batch.sources.reading import cut, read_image
from caffe_gradcam.model.arrays import Image
from prototxt_tools.errors import ImageError, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.asking.asker import Asker
    from caffe_gradcam.asking.questions import Question
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.explaining.explanation import Result
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
    """

    item: Item
    crop: Optional[Rectangle] = None

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
        Sources of images; for a net with several inputs BLOB=IMAGE for each, repeated for each
        set of images, and tables with a column for each.
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
    if len(model.inputs) > 1:
        if crop is not None:
            raise QuestionError("--crop needs a net with one input", "--crop")
        return [Request(item) for item in _sets(arguments, list(model.inputs))]
    class_names = model.class_names
    return [Request(item, crop)
            for argument in arguments for item in open_source(argument, class_names=class_names)]


def _sets(arguments: Sequence[str], inputs: Sequence[str]) -> Iterator[Item]:
    """One item for each set of BLOB=IMAGE: the first ones of each blob, the second ones, ...;
    after them those of tables."""
    paths: Dict[str, List[str]] = {name: [] for name in inputs}
    tables = [argument for argument in arguments
              if argument.partition("=")[0] not in paths and is_table(argument)]
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if argument in tables:
            continue
        if not equals or name not in paths:
            raise QuestionError(_one_for_each(inputs) + f", not {argument}")
        paths[name].append(path)
    if len({len(several) for several in paths.values()}) > 1:
        counts = ", ".join(f"{len(several)} for {name}" for name, several in paths.items())
        raise QuestionError(f"{_one_for_each(inputs)}; there are {counts}")
    for several in zip(*paths.values()):
        yield Item.of_inputs(dict(zip(inputs, several)))
    for table in tables:
        yield from open_source(table, inputs=inputs)


def _one_for_each(inputs: Sequence[str]) -> str:
    return "the net has several inputs and needs an image for each: " + " ".join(
        f"{name}=IMAGE" for name in inputs)


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
