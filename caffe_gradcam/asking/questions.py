"""What can be asked of a net's scores: each question is a number and its gradient.

For one image, a question resolves to seeds: see ``caffe_gradcam.asking.seeds``.
"""

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Tuple, Union

import numpy as np

from caffe_gradcam.asking.context import Context, ranking
from caffe_gradcam.asking.seeds import Likeness, Seed, opposite, to_probabilities
from caffe_gradcam.model.geometry import Region
from caffe_gradcam.model.layouts import OUTPUTS
from prototxt_tools.errors import QuestionError, shortened


class Question:
    """What is asked about an image: a number that depends on the scores."""

    def resolve(self, context: Context) -> List[Seed]:
        """The seeds for one image; raises QuestionError where these scores have no answer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Class(Question):
    """A class, by its index."""

    index: int

    def resolve(self, context: Context) -> List[Seed]:
        index = _checked_class(self.index, context)
        return [context.seed(_class_text(index, context), index, {index: 1.0})]


@dataclass(frozen=True)
class Top(Question):
    """The ``count`` classes with the highest scores, one by one.

    Where each step, prior or region of interest has scores of its own, these are the likeliest
    pairs of a class and a step.
    """

    count: int

    def __post_init__(self) -> None:
        _check_count("Top", self.count)

    def resolve(self, context: Context) -> List[Seed]:
        return [seed for index, at_best in context.best(self.count)
                for seed in Class(index).resolve(at_best)]


@dataclass(frozen=True)
class Weighted(Question):
    """The ``count`` likeliest classes together, each weighted by its probability."""

    count: int

    def __post_init__(self) -> None:
        _check_count("Weighted", self.count)

    def resolve(self, context: Context) -> List[Seed]:
        (_, context), = context.best(1)
        scores = context.class_scores
        link = "softmax" if context.link == "none" else context.link
        probabilities = to_probabilities(scores, link)
        assert probabilities is not None
        likeliest = ranking(scores, context.layout.background)[:self.count]
        weights = {index: float(probabilities[index]) for index in likeliest}
        return [context.seed(f"top {len(weights)} weighted", None, weights)]


@dataclass(frozen=True)
class Sum(Question):
    """Several classes together, each with a factor.

    Attributes
    ----------
    weights : tuple of (int, float)
        Class and factor: -1 for the classes that the others are to be told apart from.
    """

    weights: Tuple[Tuple[int, float], ...]

    def __post_init__(self) -> None:
        pairs = self.weights if isinstance(self.weights, (tuple, list)) else ()
        if not pairs or not all(isinstance(pair, (tuple, list)) and len(pair) == 2
                                and _is_finite(pair[1]) for pair in pairs):
            raise QuestionError("a Sum needs at least one class with its factor, as in "
                                f"Sum(((3, 1), (5, -1))), not {shortened(repr(self.weights))}")

    def resolve(self, context: Context) -> List[Seed]:
        texts: Dict[bool, List[str]] = {True: [], False: []}
        for index, factor in self.weights:
            _checked_class(index, context)
            texts[factor > 0].append(_class_text(index, context))
        text = " versus ".join(" + ".join(texts[side]) for side in (True, False) if texts[side])
        return [context.seed(text, None, dict(self.weights))]


@dataclass(frozen=True)
class Probability(Question):
    """The probability of the class that another question is about, instead of its score."""

    of: Union[int, Question]

    def resolve(self, context: Context) -> List[Seed]:
        if context.link == "none":
            raise QuestionError("the net does not turn its scores into probabilities; ask for "
                                "the score instead")
        seeds = as_question(self.of).resolve(context)
        if any(seed.class_index is None for seed in seeds):
            raise QuestionError("only one class has a probability, not several together")
        return [seed.likelihood(context.link) for seed in seeds]


@dataclass(frozen=True)
class Against(Question):
    """What speaks against: the counterfactual of Grad-CAM's section 3.3, for any question."""

    of: Union[int, Question]

    def resolve(self, context: Context) -> List[Seed]:
        return [opposite(seed) for seed in as_question(self.of).resolve(context)]


@dataclass(frozen=True, eq=False)
class At(Question):
    """A question about one region of a dense score map.

    Attributes
    ----------
    of : int or Question
    region : (float, float, float, float) or numpy.ndarray
        x, y, width, height in pixels of the image; or a mask of its size.
    """

    of: Union[int, Question]
    region: Region

    def __post_init__(self) -> None:
        given: Any = self.region
        if isinstance(given, list) and len(given) == 4:
            object.__setattr__(self, "region", tuple(given))

    def resolve(self, context: Context) -> List[Seed]:
        if isinstance(self.of, Like):
            raise QuestionError("likeness compares the whole score blob, not a region of it")
        region_text = "the mask"
        if isinstance(self.region, tuple):
            region_text = ",".join(f"{number:g}" for number in self.region)
        return as_question(self.of).resolve(context.at_region(self.region, region_text))


@dataclass(frozen=True)
class AtIndex(Question):
    """A question about one step, prior or region of interest.

    Attributes
    ----------
    of : int or Question
    axis : str
        "step", "prior", "roi" or another axis of ``ScoreLayout.indexed``.
    index : int
        Counted from 0.
    """

    of: Union[int, Question]
    axis: str
    index: int

    def __post_init__(self) -> None:
        if not _is_whole(self.index):
            raise QuestionError(f"a {self.axis} is a whole number, counted from 0, not "
                                f"{self.index!r}")

    def resolve(self, context: Context) -> List[Seed]:
        if isinstance(self.of, Like):
            raise QuestionError("likeness compares the whole score blob, not a part of it")
        return as_question(self.of).resolve(context.at_index(self.axis, int(self.index)))


@dataclass(frozen=True)
class AtPeak(Question):
    """A class where a map of scores is high for it: each position counts by the Softmax of the
    class's scores over the positions.

    So is the pointing game of TorchRay asked (``get_pointing_gradient``); it is the gradient of
    the logarithm of the sum of the exponentials. A net with one score per class is asked for it.

    Attributes
    ----------
    of : int or Class
    """

    of: Union[int, Question]

    def resolve(self, context: Context) -> List[Seed]:
        question = as_question(self.of)
        if not isinstance(question, Class):
            raise QuestionError("only a single class has a peak")
        return question.resolve(context.at_peak(_checked_class(question.index, context)))


@dataclass(frozen=True, eq=False)
class Like(Question):
    """What makes the score blob like that of a reference image, whatever the scores mean.

    Attributes
    ----------
    reference : numpy.ndarray
        The score blob of the reference image; see ``Explainer.score_blob``.
    cosine : bool
        Cosine of the angle instead of the dot product.
    """

    reference: np.ndarray
    cosine: bool = False

    def resolve(self, context: Context) -> List[Seed]:
        shape = np.shape(self.reference)
        if shape != context.scores.shape:
            raise QuestionError(
                f"the reference's scores have another shape ({_by_x(shape)}) than the image's "
                f"({_by_x(context.scores.shape)})")
        text = "{} with the reference".format("cosine" if self.cosine else "dot product")
        return [Likeness(text, self.reference, self.cosine)]


def resolve(questions: Iterable[Union[int, Question]], context: Context) -> List[Seed]:
    """The seeds of some questions about one image, in order, each once.

    Parameters
    ----------
    questions : iterable of int or Question
    context : Context

    Returns
    -------
    list of Seed

    Raises
    ------
    QuestionError
        A class beyond the scores, scores that are not finite, or a question that these scores
        have no answer to.
    """
    if not np.isfinite(context.scores).all():
        raise QuestionError("the scores hold NaN or infinity; check the weights, the mean and "
                            "the scale")
    seeds: Dict[Tuple[str, bytes], Seed] = {}
    for question in questions:
        for seed in as_question(question).resolve(context):
            # Two masks, or two reference images, have the same words.
            key = seed.text, seed.gradients(context.scores[np.newaxis]).tobytes()
            seeds.setdefault(key, seed)
    return list(seeds.values())


def as_question(value: Any) -> Question:
    """A question as it is; a whole number is the class with that index.

    Raises
    ------
    QuestionError
        Anything else: a float, a bool, None.
    """
    if isinstance(value, Question):
        return value
    if _is_whole(value):
        return Class(int(value))
    raise QuestionError(
        f"a class is a whole number, a name or a question such as Top(3), not {value!r} "
        f"({type(value).__name__})", shortened(repr(value)))


def _class_text(index: int, context: Context) -> str:
    """``281 tabby, tabby cat``, or the index alone; of other numbers than classes ``output 3``."""
    class_name = context.class_name(index)
    if context.layout.kind == OUTPUTS:
        return f"output {index} {class_name}" if class_name else f"output {index}"
    return f"{index} {class_name}" if class_name else str(index)


def _checked_class(index: int, context: Context) -> int:
    count = 2 if context.two_sided else len(context.scores)
    if not _is_whole(index):
        raise QuestionError(f"this question needs the number of a {context.layout.noun}, not "
                            f"{shortened(repr(index))}", str(index))
    if not 0 <= index < count:
        raise no_class(index, count, context.layout.noun)
    return int(index)


def no_class(index: object, count: int, noun: str = "class") -> QuestionError:
    """The error for a class, or an output, that a net does not have."""
    plural = {"class": "classes"}.get(noun, noun + "s")
    return QuestionError(f"there is no {noun} {index}; the net's {plural} are 0 to {count - 1}",
                         str(index))


def _check_count(question: str, count: int) -> None:
    if not _is_whole(count) or count < 1:
        raise QuestionError(f"{question} needs a whole number of at least 1, not {count!r}",
                            question)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def _by_x(shape: Tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
