"""What questions are resolved against: the scores of one image, and where in them to look."""

import dataclasses
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import (
    Linear,
    Position,
    Seed,
    TwoSided,
    score_vectors,
    sides,
    to_probabilities,
)
from caffe_gradcam.model.geometry import Region
from caffe_gradcam.model.layouts import INDEXED, PLACES, ScoreLayout
from prototxt_tools.errors import QuestionError

_USUAL: Dict[int, Tuple[str, ...]] = {0: (), 1: ("step",), 2: PLACES}
_PLURALS = {"step": "steps", "prior": "priors", "roi": "regions of interest", "cell": "cells"}
_SINGULARS = {"roi": "region of interest"}


@dataclass(frozen=True, eq=False)
class Context:
    """What a question is resolved against: one image's scores.

    Attributes
    ----------
    scores : numpy.ndarray
        K [x positions], such as K x h x w for a map of scores.
    link : str
        "softmax", "sigmoid" or "none": what makes probabilities of them.
    class_name : callable
        Class index -> str or None.
    cells_of : callable
        Region of the image -> h x w weights with sum 1.
    two_sided : bool
        Whether K is 1 and the score tells two classes apart: it speaks for class 1, and its
        negative for class 0.
    layout : ScoreLayout
        What the positions are.
    cells : numpy.ndarray or None
        Weights with sum 1 over the positions that are asked about; None: over all alike.
    position : tuple of (str, int)
        The index along each axis that was picked.
    region_text : str
        The region of the image that was picked, in words.
    """

    scores: np.ndarray
    link: str
    class_name: Callable[[int], Optional[str]]
    cells_of: Callable[[Region], np.ndarray]
    two_sided: bool = False
    layout: ScoreLayout = ScoreLayout()
    cells: Optional[np.ndarray] = None
    position: Position = ()
    region_text: str = ""

    @property
    def axes(self) -> Tuple[str, ...]:
        """A word for each axis of positions."""
        count = self.scores.ndim - 1
        if len(self.layout.positions) == count:
            return self.layout.positions
        return _USUAL.get(count, ("cell",) * count)

    @property
    def open_axes(self) -> Tuple[str, ...]:
        """The axes of which one index is to be picked, and none is yet."""
        picked = dict(self.position)
        return tuple(axis for axis in self.axes if axis in INDEXED and axis not in picked)

    @property
    def class_scores(self) -> np.ndarray:
        """One score per class: of maps the mean, of steps and the like the likeliest one's."""
        if not self.open_axes:
            local = self.scores if self.cells is None else np.tensordot(
                self.scores, self.cells, self.cells.ndim)
            blob = local[np.newaxis]
            of_classes: np.ndarray = score_vectors(sides(blob) if self.two_sided else blob)[0]
            return of_classes
        scores, merits = self._by_position(self._sided()), self._merits()
        likeliest: np.ndarray = scores[np.arange(len(scores)), merits.argmax(axis=1)]
        return likeliest.astype(np.float32)

    @property
    def class_probabilities(self) -> Optional[np.ndarray]:
        """One probability per class, where :attr:`class_scores` has the score."""
        if self.link == "none":
            return None
        if not self.open_axes:
            return to_probabilities(self.class_scores, self.link)
        highest: np.ndarray = self._merits().max(axis=1)
        return highest.astype(np.float32)

    def at_position(self, position: Position) -> "Context":
        """The context at some indices; raises QuestionError."""
        context = self
        for axis, index in position:
            context = context.at_index(axis, index)
        return context

    def best(self, count: int) -> "List[Tuple[int, Context]]":
        """The classes with the highest scores; of steps and the like, the likeliest pairs of a
        class and the context at its step."""
        if not self.open_axes:
            return [(index, self) for index in ranking(self.class_scores)[:count]]
        merits = self._merits()
        if self.layout.background is not None and len(merits) > 1:
            merits[self.layout.background] = -np.inf
        pairs = [divmod(flat, merits.shape[1]) for flat in ranking(merits.reshape(-1))[:count]]
        return [(index, self._picked(cell)) for index, cell in pairs
                if np.isfinite(merits[index, cell])]

    def seed(self, text: str, class_index: Optional[int], weights: Dict[int, float]) -> Seed:
        """The sum of the scores of some classes, each with its factor.

        Where an index is still to be picked, it is the likeliest for them.
        """
        if self.open_axes:
            merits = self._merits()
            total = sum(factor * merits[index] for index, factor in weights.items())
            return self._picked(int(np.argmax(total))).seed(text, class_index, weights)
        linear = Linear(text + self._where(), class_index, weights, self.cells, self.position)
        return TwoSided(linear) if self.two_sided else linear

    def at_index(self, axis: str, index: int) -> "Context":
        """The context at one index of an axis of positions; raises QuestionError."""
        check_index(axis, index, dict(zip(self.axes, self.scores.shape[1:])))
        number = self.axes.index(axis)
        mask = np.zeros(self.scores.shape[1:], np.float32)
        mask[(slice(None),) * number + (index,)] = 1
        return dataclasses.replace(self, cells=self._narrowed(mask),
                                   position=self.position + ((axis, index),))

    def at_region(self, region: Region, region_text: str) -> "Context":
        """The context in one region of the image; raises QuestionError."""
        if not set(PLACES) <= set(self.axes):
            raise QuestionError(
                "the net gives no map of scores, so it cannot be asked about a region; cut the "
                "region out of the image instead")
        local = self.cells_of(region)
        shape = [size if axis in PLACES else 1
                 for axis, size in zip(self.axes, self.scores.shape[1:])]
        mask = local if self.axes == PLACES else np.broadcast_to(
            local.reshape(shape), self.scores.shape[1:])
        return dataclasses.replace(self, cells=self._narrowed(mask), region_text=region_text)

    def at_peak(self, class_index: int) -> "Context":
        """The context in which each position counts by the Softmax of a class's scores over the
        positions; as it is for one score per class."""
        scores = self._sided()[class_index].astype(np.float64)
        if scores.size == 1:
            return self
        powers = np.exp(scores - scores.max())
        return dataclasses.replace(self, cells=self._narrowed(
            (powers / powers.sum()).astype(np.float32)), region_text="its peak")

    def _narrowed(self, mask: np.ndarray) -> np.ndarray:
        """The weights so far, and those of a mask."""
        if self.cells is None and mask.shape == self.scores.shape[1:] and np.isclose(mask.sum(), 1):
            return mask
        weights: np.ndarray = mask if self.cells is None else self.cells * mask
        narrowed: np.ndarray = weights / weights.sum()
        return narrowed.astype(np.float32)

    def _picked(self, cell: int) -> "Context":
        """The context at one of the positions that :meth:`_by_position` lists."""
        open_axes = self.open_axes
        sizes = [self.scores.shape[1 + self.axes.index(axis)] for axis in open_axes]
        indices = map(int, np.unravel_index(cell, sizes))
        return self.at_position(tuple(zip(open_axes, indices)))

    def _where(self) -> str:
        texts = [f"{_SINGULARS.get(axis, axis)} {index}" for axis, index in self.position]
        return "".join(f" at {text}" for text in texts + [self.region_text] if text)

    def _sided(self) -> np.ndarray:
        """The scores of the classes, also of the two that one score tells apart."""
        if not self.two_sided:
            return self.scores
        return sides(self.scores[np.newaxis]).reshape((2,) + self.scores.shape[1:])

    def _merits(self) -> np.ndarray:
        """K x open positions: by what the likeliest ones are found."""
        scores = self._sided()
        flat = scores.reshape((1, len(scores), -1))
        probabilities = to_probabilities(flat, self.link)
        return self._by_position((flat if probabilities is None else probabilities).reshape(
            scores.shape))

    def _by_position(self, values: np.ndarray) -> np.ndarray:
        """K x open positions: means over all others, by the weights so far."""
        numbers = [1 + self.axes.index(axis) for axis in self.open_axes]
        others = tuple(number for number in range(1, values.ndim) if number not in numbers)
        count = int(np.prod([values.shape[number] for number in numbers]))
        weights = (np.full(values.shape[1:], 1.0 / values[0].size, np.float64) if self.cells is None
                   else self.cells.astype(np.float64))
        means: np.ndarray = (values * weights).sum(axis=others) * count
        return means.reshape(len(values), -1)


def check_index(axis: str, index: int, sizes: Mapping[str, int]) -> None:
    """Raise a QuestionError for an index that an axis of positions does not have."""
    singular, plural = _SINGULARS.get(axis, axis), _PLURALS.get(axis, axis + "s")
    size = sizes.get(axis)
    if size is None:
        raise QuestionError(f"the scores of this net have no {plural}, so none can be asked about")
    if not 0 <= index < size:
        raise QuestionError(f"there is no {singular} {index}; the net gives scores for {size} "
                            f"{plural}, 0 to {size - 1}")


def ranking(scores: np.ndarray, background: Optional[int] = None) -> List[int]:
    """All classes but a detector's background, the highest score first; of equal scores, the
    lower index first."""
    order = [int(index) for index in np.argsort(-scores, kind="mergesort")]
    return [index for index in order if index != background or len(order) == 1]


def likeliest(scores: np.ndarray, probabilities: Optional[np.ndarray], layout: ScoreLayout
              ) -> List[int]:
    """The classes of a ``Result`` in the order in which they are listed.

    By score; but scores at different steps, priors or regions cannot be compared, so by probability
    where each class has its own. A detector's background is left out.
    """
    merits = scores if probabilities is None or not layout.indexed else probabilities
    return ranking(merits, layout.background)
