"""From texts, options and Python values to questions: the only parser and the only builder.

A text that is exactly the name of a class means that class, whatever else it might mean: a class
named ``top:3``, ``a+b`` or ``x versus y`` can be asked for by its name.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional, Sequence, Tuple, Type

import numpy as np

from caffe_gradcam.asking.questions import (
    Against,
    At,
    Class,
    Like,
    Probability,
    Question,
    Sum,
    Top,
    Weighted,
    as_question,
)
from caffe_gradcam.model import images, labels
from caffe_gradcam.model.geometry import Region
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

FindClass = Callable[[str], int]
ScoreBlob = Callable[[np.ndarray], np.ndarray]

_PREFIXES: Tuple[Tuple[str, Type[Question]], ...] = (
    (r"against\s+(.+)", Against), (r"probability of\s+(.+)", Probability))
_BEST = re.compile(r"(top|weighted):([1-9][0-9]{0,8})$")
_VERSUS = re.compile(r"\s+versus\s+")
_MOST_PREFIXES = 10


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
    beam : int, optional
        How many sentences are followed at a time to find the net's own.
    """

    classes: Tuple[str, ...] = ()
    at: Optional[Tuple[int, int, int, int]] = None
    mask: Optional[str] = None
    like: Optional[str] = None
    cosine: bool = False
    probability: bool = False
    counterfactual: bool = False
    caption: bool = False
    sentence: Optional[str] = None
    beam: Optional[int] = None

    @property
    def is_caption(self) -> bool:
        """Whether it is about the words of a sentence."""
        return self.caption or self.sentence is not None


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
        if asking.is_caption:
            raise QuestionError("the words of a caption are explained by `caffe-gradcam explain` "
                                "or Model.caption, image by image", "--caption")
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
        self._default = self._default or [Top(1)]

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
    shape = model.shapes.get(model.score, ())
    return len(shape) == 4 and shape[2] * shape[3] > 1


def questions_of(classes: Any, model: "LoadedModel") -> List[Question]:
    """The questions that a Python caller means by one class or several.

    Parameters
    ----------
    classes : int, str, Question, or an iterable or array of these
        Numbers, names or other texts as :func:`parse` reads them, or questions. The elements of
        a set are asked in the order of their numbers or texts.
    model : LoadedModel

    Raises
    ------
    QuestionError
        Something else (a float, a bool, None), an unknown class, or nothing at all.
    """
    if isinstance(classes, np.ndarray):
        classes = classes.reshape(-1).tolist()
    if isinstance(classes, (set, frozenset)):
        classes = sorted(classes, key=lambda value: (isinstance(value, str), value
                                                     if isinstance(value, (int, str)) else 0))
    if isinstance(classes, (str, Question)) or not isinstance(classes, Iterable):
        classes = [classes]
    questions = [parse(value, model.find_class, model.class_names) if isinstance(value, str)
                 else as_question(value) for value in classes]
    if not questions:
        raise QuestionError("no class is asked about; give at least one, or Top(1) for the "
                            "class with the highest score")
    return questions


def parse(text: str, find_class: FindClass, class_names: Optional[Sequence[str]] = None
          ) -> Question:
    """The question that a text asks.

    The exact name of a class: that class. Otherwise ``281``, ``tabby``: a class; ``top:3``: the
    three best, one by one; ``weighted:3``: the three best together, weighted by their
    probabilities; ``281+282``: several together; ``281 versus 282``: what tells one from the
    other; ``against 281``: what speaks against it; ``probability of 281``.

    Parameters
    ----------
    text : str
    find_class : callable
        Number or name -> class index; raises QuestionError.
    class_names : sequence of str, optional
        The names of all classes.

    Raises
    ------
    QuestionError
        The text has another form, or names an unknown class.
    """
    text = text.strip()
    prefixes: List[Any] = []
    while _exact(text, class_names) is None:
        prefix = _prefix(text)
        if prefix is None:
            break
        kind, text = prefix
        prefixes.append(kind)
        if len(prefixes) > _MOST_PREFIXES:
            raise QuestionError(f"the question has more than {_MOST_PREFIXES} prefixes "
                                "(against, probability of)")
    question = _without_prefix(text, find_class, class_names)
    for kind in reversed(prefixes):
        question = kind(question)
    return question


def parse_numbers(text: str, counts: Sequence[int], expected: str) -> Tuple[int, ...]:
    """Whole numbers between commas.

    Parameters
    ----------
    text : str
    counts : sequence of int
        How many numbers there may be.
    expected : str
        The message's beginning: "--at needs X,Y or X,Y,WIDTH,HEIGHT".

    Raises
    ------
    QuestionError
        Anything else.
    """
    numbers = re.findall(r"-?[0-9]{1,9}", text)
    if len(numbers) not in counts or ",".join(numbers) != text.replace(" ", ""):
        raise QuestionError(f"{expected}, not {text!r}")
    return tuple(int(number) for number in numbers)


def parse_region(text: str, option: str = "--at") -> Tuple[int, int, int, int]:
    """The region that ``X,Y`` (one pixel) or ``X,Y,WIDTH,HEIGHT`` describes."""
    expected = f"{option} needs X,Y or X,Y,WIDTH,HEIGHT in whole pixels"
    return _checked_box((parse_numbers(text, (2, 4), expected) + (1, 1))[:4], text, expected)


def parse_box(text: str, option: str = "--crop") -> Tuple[int, int, int, int]:
    """The box that ``X,Y,WIDTH,HEIGHT`` describes."""
    expected = f"{option} needs X,Y,WIDTH,HEIGHT in whole pixels"
    return _checked_box(parse_numbers(text, (4,), expected), text, expected)


def _checked_box(numbers: Tuple[int, ...], text: str, expected: str) -> Tuple[int, int, int, int]:
    x, y, width, height = numbers
    if min(width, height) < 1:
        raise QuestionError(f"{expected}, at least one pixel wide and high, not {text!r}")
    return x, y, width, height


def _prefix(text: str) -> Optional[Tuple[Type[Question], str]]:
    """The question that a text's first words make of the rest, and that rest."""
    for pattern, kind in _PREFIXES:
        match = re.match(pattern + "$", text)
        if match:
            return kind, match.group(1).strip()
    return None


def _without_prefix(text: str, find_class: FindClass,
                    class_names: Optional[Sequence[str]]) -> Question:
    index = _exact(text, class_names)
    if index is not None:
        return Class(index)
    best = _BEST.match(text)
    if best:
        return (Top if best.group(1) == "top" else Weighted)(int(best.group(2)))
    terms = [(_exact_or_found(name, find_class, class_names), factor)
             for side, factor in zip(_sides(text, class_names), (1.0, -1.0))
             for name in _terms(side, class_names)]
    if len(dict(terms)) < len(terms):
        raise QuestionError(f"{text!r} names a class twice")
    return Class(terms[0][0]) if len(terms) == 1 else Sum(tuple(terms))


def _sides(text: str, class_names: Optional[Sequence[str]]) -> List[str]:
    """What stands on the one and on the other side of "versus"; a class's name may hold it."""
    matches = list(_VERSUS.finditer(text))
    splits = [[text[:match.start()], text[match.end():]] for match in matches]
    for split in splits:
        if all(_exact(side, class_names) is not None for side in split):
            return split
    if len(splits) > 1:
        raise QuestionError(f"{text!r} sets more than two sides against each other")
    return splits[0] if splits else [text]


def _terms(side: str, class_names: Optional[Sequence[str]]) -> List[str]:
    """What stands between the plus signs; a class's name may hold them."""
    if _exact(side, class_names) is not None:
        return [side]
    return side.split("+")


def _exact_or_found(name: str, find_class: FindClass,
                    class_names: Optional[Sequence[str]]) -> int:
    index = _exact(name, class_names)
    return find_class(name.strip()) if index is None else index


def _exact(text: str, class_names: Optional[Sequence[str]]) -> Optional[int]:
    """The only class of exactly this name, or with it among its names between commas."""
    text = text.strip().lower()
    if not class_names or not text or re.match(r"-?\d+$", text):
        return None
    lowered = [name.lower() for name in class_names]
    for indices in ([index for index, name in enumerate(lowered) if name == text],
                    [index for index, name in enumerate(lowered) if text in labels.names(name)]):
        if indices:
            return indices[0] if len(indices) == 1 else None
    return None
