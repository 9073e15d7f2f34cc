"""What can be asked of a net's scores: each question is a number and its gradient.

A question resolves, for one photograph, to seeds: see ``caffe_gradcam.asking.seeds``.
"""

import re
from typing import Any, Callable, NamedTuple, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import (
    Likeness,
    Linear,
    likelihood,
    opposite,
    score_vectors,
    to_probabilities,
    within,
)
from caffe_gradcam.model import labels
from prototxt_tools.errors import InputError


class Context(NamedTuple):
    """What a question is resolved against: one photograph's scores.

    Attributes
    ----------
    scores : numpy.ndarray
        K, or K x h x w for a dense score map.
    link : str
        "softmax", "sigmoid" or "none": what makes probabilities of them.
    label : callable
        Class index -> str or None.
    cells_of : callable
        Region of the photograph -> h x w weights with sum 1.
    """

    scores: Any
    link: str
    label: Callable
    cells_of: Callable


class Class(NamedTuple):
    """A class, by its index."""

    index: int

    def resolve(self, context):
        labels.check(self.index, len(context.scores))
        return [Linear(name(self.index, context), self.index, {self.index: 1.0})]


class Top(NamedTuple):
    """The ``count`` classes with the highest scores, whatever they are, one by one."""

    count: int

    def resolve(self, context):
        best = ranking(score_vectors(context.scores[np.newaxis])[0])[:self.count]
        return [seed for index in best for seed in Class(index).resolve(context)]


class Weighted(NamedTuple):
    """The ``count`` likeliest classes together, each weighted by its probability."""

    count: int

    def resolve(self, context):
        scores = score_vectors(context.scores[np.newaxis])[0]
        chances = to_probabilities(scores, "softmax" if context.link == "none" else context.link)
        weights = {index: float(chances[index]) for index in ranking(scores)[:self.count]}
        return [Linear(f"top {len(weights)} weighted", None, weights)]


class Sum(NamedTuple):
    """Several classes together, each by a factor: -1 for those to tell the others from."""

    weights: Tuple[Tuple[int, float], ...]

    def resolve(self, context):
        for index, _ in self.weights:
            labels.check(index, len(context.scores))
        signs = [(index, factor > 0) for index, factor in self.weights]
        text = " versus ".join(" + ".join(name(index, context) for index, ours in signs
                                          if ours == side)
                               for side in (True, False) if (side in [o for _, o in signs]))
        return [Linear(text, None, dict(self.weights))]


class Probability(NamedTuple):
    """The probability of the class that another question is about, instead of its score."""

    of: Any

    def resolve(self, context):
        if context.link == "none":
            raise InputError("the net makes no probabilities of its scores; ask for the score")
        seeds = as_question(self.of).resolve(context)
        if any(seed.class_index is None for seed in seeds):
            raise InputError("a probability is asked of one class, not of several together")
        return [likelihood(one, context.link) for one in seeds]


class Against(NamedTuple):
    """What speaks against: the counterfactual of Grad-CAM's section 3.3, for any question."""

    of: Any

    def resolve(self, context):
        return [opposite(seed) for seed in as_question(self.of).resolve(context)]


class At(NamedTuple):
    """A question about one region of a dense score map.

    Attributes
    ----------
    of : question
    region : (float, float, float, float) or numpy.ndarray
        x, y, width, height in pixels of the photograph; or a mask of its size.
    """

    of: Any
    region: Any

    def resolve(self, context):
        if context.scores.ndim != 3:
            raise InputError("the net gives one score per class, not a map of them, so it cannot "
                             "be asked about a region; cut that out of the picture instead")
        if isinstance(self.of, Like):
            raise InputError("likeness is asked of the whole score blob, not of a region of it")
        cells = context.cells_of(self.region)
        local = np.tensordot(context.scores, cells, 2)
        where = "the mask" if not isinstance(self.region, tuple) else ",".join(
            f"{number:g}" for number in self.region)
        return [within(seed, cells, where)
                for seed in as_question(self.of).resolve(context._replace(scores=local))]


class Like(NamedTuple):
    """What makes the score blob like that of a reference image, whatever the scores mean.

    Attributes
    ----------
    reference : numpy.ndarray
        The score blob of the reference image.
    cosine : bool
        Cosine of the angle instead of the dot product.
    """

    reference: Any
    cosine: bool = False

    def resolve(self, context):
        if np.shape(self.reference) != context.scores.shape:
            raise InputError("the reference's scores have another shape than the picture's")
        text = "{} with the reference".format("cosine" if self.cosine else "dot product")
        return [Likeness(text, self.reference, self.cosine)]


def resolve(questions, context):
    """The seeds of some questions about one photograph, in order, each once.

    Parameters
    ----------
    questions : sequence of int or question
    context : Context

    Returns
    -------
    list of seed
        ``Linear``, ``Likelihood``, ``Likeness`` or ``Opposite``.

    Raises
    ------
    InputError
        A class beyond the scores, scores that are no numbers, or a question that these scores
        have no answer to.
    """
    if not np.isfinite(context.scores).all():
        raise InputError("the scores hold NaN or infinity; are weights, mean and scale right?")
    seeds = {}
    for one in questions:
        for seed in as_question(one).resolve(context):
            # Two masks, or two reference images, have the same words.
            key = seed.text, seed.gradients(context.scores[np.newaxis]).tobytes()
            seeds.setdefault(key, seed)
    return list(seeds.values())


def as_question(one):
    """A question as it is; a number is the class with that index."""
    return Class(int(one)) if isinstance(one, (int, np.integer)) else one


def parse(text, find_class):
    """The question that a text says.

    ``281``, ``tabby``: a class; ``top:3``: the three best; ``weighted:3``: they together, by
    their probabilities; ``281+282``: several together; ``281 versus 282``: what tells one from
    the other; ``against 281``: what speaks against it; ``probability of 281``.

    Parameters
    ----------
    text : str
    find_class : callable
        Number or label -> class index; raises InputError.

    Returns
    -------
    question
    """
    text = text.strip()
    for pattern, wrapper in ((r"against\s+(.+)", Against), (r"probability of\s+(.+)", Probability)):
        match = re.match(pattern + "$", text)
        if match:
            return wrapper(parse(match.group(1), find_class))
    best = re.match(r"(top|weighted):([1-9]\d*)$", text)
    if best:
        return (Top if best.group(1) == "top" else Weighted)(int(best.group(2)))
    sides = re.split(r"\s+versus\s+", text)
    if len(sides) > 2:
        raise InputError(f"{text!r} sets more than two sides against each other")
    terms = [(find_class(one.strip()), factor)
             for side, factor in zip(sides, (1.0, -1.0)) for one in side.split("+")]
    if len(dict(terms)) < len(terms):
        raise InputError(f"{text!r} names a class twice")
    return Class(terms[0][0]) if len(terms) == 1 else Sum(tuple(terms))


def ranking(scores):
    """All classes, the highest score first; the first of equals goes first."""
    return np.argsort(-scores, kind="mergesort").tolist()


def name(index, context):
    """``281 tabby, tabby cat``, or the index alone."""
    label = context.label(index)
    return f"{index} {label}" if label else str(index)
