"""What is asked about each image, and what builds the questions about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.context import check_index
from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import (
    Against,
    At,
    AtIndex,
    Class,
    Like,
    Probability,
    Question,
    Top,
)
from caffe_gradcam.model import images
from caffe_gradcam.model.geometry import Region
from caffe_gradcam.model.layouts import OUTPUTS, PLACES
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

ScoreBlob = Callable[[np.ndarray], np.ndarray]
# x, y, width, height.
Box = Tuple[int, int, int, int]

# The axes whose index --prior gives.
_BOXES = ("prior", "roi")
# Outputs that are explained one by one where nobody names any.
_MOST_OUTPUTS = 10


@dataclass(frozen=True)
class Asking:
    """What is asked about each image.

    Attributes
    ----------
    classes : tuple of str
        Texts as :func:`parse` reads them; none: the class with the highest score.
    at : (int, int, int, int), optional
        x, y, width, height in pixels of the image, for nets with a map of scores.
    mask : str, optional
        The path of a mask of the image's size, likewise.
    like : str, optional
        The path of an image whose score blob the others are compared with.
    cosine : bool
        Compare with ``like`` by the cosine instead of the dot product.
    probability : bool
        Ask for the class's probability instead of its score.
    counterfactual : bool
        Ask what speaks against the class.
    caption : bool
        Describe the image in words, and ask about each word: see ``explaining.captions``.
    sentence : str, optional
        Ask about each word of this sentence instead of the net's own.
    detections : bool
        Ask about each box that the net finds: see ``explaining.detections``.
    min_score : float, optional
        How sure the net has to be of a box, 0 to 1.
    edge : str, optional
        Ask where an edge of the box lies, instead of how sure the net is: "left", "top", "right"
        or "bottom".
    beam : int, optional
        How many sentences are followed at a time to find the net's own.
    step : int, optional
        For nets that give scores for each step of a sequence: the step, counted from 0.
    prior : int, optional
        For nets that give scores for each prior, or each region of interest: its number.
    crop : (int, int, int, int), optional
        x, y, width, height: ask about this part of each image alone, as ``caffe-gradcam explain``
        does; others refuse it.
    """

    classes: Tuple[str, ...] = ()
    at: Optional[Box] = None
    mask: Optional[str] = None
    like: Optional[str] = None
    cosine: bool = False
    probability: bool = False
    counterfactual: bool = False
    caption: bool = False
    sentence: Optional[str] = None
    beam: Optional[int] = None
    detections: bool = False
    min_score: Optional[float] = None
    edge: Optional[str] = None
    step: Optional[int] = None
    prior: Optional[int] = None
    crop: Optional[Box] = None

    @property
    def is_caption(self) -> bool:
        """Whether it is about the words of a sentence."""
        return self.caption or self.sentence is not None


def refuse_crop(asking: Asking) -> None:
    """Raise a QuestionError where a part of each image is asked about, instead of ignoring it."""
    if asking.crop is not None:
        raise QuestionError("a part of each image is asked about by `caffe-gradcam explain` alone; "
                            "cut the images, or give a table with a column `box`", "--crop")


class Asker:
    """Builds the questions about images; reads the mask and the image to compare with once.

    Parameters
    ----------
    asking : Asking
        What is asked about images that have no questions of their own.
    model : LoadedModel
    score_blob : callable, optional
        Image -> what the score blob holds for it; needed where ``asking.like`` is given, see
        ``Explainer.score_blob``. Without it, everything else is checked.

    Raises
    ------
    QuestionError
        An unknown class.
    ImageError
        The mask, or the image to compare with, cannot be read.
    """

    def __init__(self, asking: Asking, model: "LoadedModel",
                 score_blob: Optional[ScoreBlob] = None) -> None:
        refuse_crop(asking)
        if asking.is_caption:
            raise QuestionError("the words of a caption are explained by `caffe-gradcam explain`, "
                                "`caffe-gradcam batch` or Model.caption", "--caption")
        if asking.detections:
            raise QuestionError("boxes are explained by `caffe-gradcam explain --detections`, "
                                "`caffe-gradcam batch --detections` or Model.detect, and measured "
                                "by `caffe-gradcam evaluate --detections`", "--detections")
        self._asking, self._model = asking, model
        self._region: Optional[Region] = None
        if asking.at is not None:
            self._region = asking.at
        elif asking.mask is not None:
            self._region = images.read(asking.mask).max(axis=2) > 127
        self._default = self._parsed(asking.classes)
        if asking.like is not None:
            reference = images.read(asking.like)
            if score_blob is not None:
                self._default.append(Like(score_blob(reference), asking.cosine))
        self._default = self._default or default_questions(model)
        self._indices = _indices(asking, model)

    def questions(self, texts: Iterable[str] = (),
                  box: Optional[Sequence[float]] = None) -> List[Question]:
        """The questions about one image.

        Parameters
        ----------
        texts : iterable of str
            The image's own questions, instead of those of ``asking``.
        box : (float, float, float, float), optional
            The image's own region: x, y, width, height in its pixels. Without effect where the
            net gives one score per class instead of a map of scores.

        Raises
        ------
        QuestionError
            An unknown class.
        """
        questions = self._parsed(texts) or self._default
        for axis, index in self._indices:
            questions = [AtIndex(question, axis, index) for question in questions]
        region = self._region
        if box is not None and has_score_map(self._model):
            region = tuple(box)  # type: ignore[assignment]  # four numbers
        if region is not None:
            questions = [At(question, region) for question in questions]
        if self._asking.probability:
            questions = [Probability(question) for question in questions]
        if self._asking.counterfactual:
            questions = [Against(question) for question in questions]
        return questions

    def _parsed(self, texts: Iterable[str]) -> List[Question]:
        return [parse(text, self._model.find_class, self._model.class_names) for text in texts]


def has_score_map(model: "LoadedModel") -> bool:
    """Whether a net gives a map of scores, so that it can be asked about a region."""
    sizes = model.layout.sizes(model.shapes.get(model.score))
    return sizes.get(PLACES[0], 1) * sizes.get(PLACES[1], 1) > 1


def default_questions(model: "LoadedModel") -> List[Question]:
    """What is asked where nobody asks: the class with the highest score; of outputs that are no
    scores, each.

    Raises
    ------
    QuestionError
        There are too many outputs for that.
    """
    count = model.class_count
    if model.layout.kind != OUTPUTS or count is None:
        return [Top(1)]
    if count > _MOST_OUTPUTS:
        raise QuestionError(f"the net gives {count} outputs, not scores of classes; name those to "
                            f"explain with --class, by their numbers (0 to {count - 1}) or names")
    return [Class(index) for index in range(count)]


def _indices(asking: Asking, model: "LoadedModel") -> List[Tuple[str, int]]:
    """The axes of positions of which ``asking`` picks an index, checked as far as known."""
    indices: List[Tuple[str, int]] = []
    sizes = model.layout.sizes(model.shapes.get(model.score))
    if asking.step is not None:
        indices.append(("step", asking.step))
    if asking.prior is not None:
        indices.append((next((axis for axis in _BOXES if axis in sizes), "prior"), asking.prior))
    for axis, index in indices:
        # How many regions there are may differ from image to image.
        if model.score in model.shapes and not (axis == "roi" and axis in sizes):
            check_index(axis, index, sizes)
    return indices
