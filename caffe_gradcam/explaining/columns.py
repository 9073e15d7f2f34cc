"""Explanations of a batch as columns: arrays over the images, instead of an object for each."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.explaining.explanation import Explanation, Result
from caffe_gradcam.model.geometry import Geometry, Placement
from prototxt_tools.errors import InputError, Outcome

if TYPE_CHECKING:
    from caffe_gradcam.explaining.word_relevance import WordRelevance


@dataclass(frozen=True)
class AskedClass:
    """A question that some images of a batch were asked.

    Attributes
    ----------
    text : str
        In words, as in ``Explanation.question``.
    class_index : int or None
        The one class that it is about.
    class_name : str or None
    position, box, sentence, words
        As in ``Explanation``.
    """

    text: str
    class_index: Optional[int]
    class_name: Optional[str]
    position: Tuple[Tuple[str, int], ...] = ()
    box: Optional[Tuple[float, float, float, float]] = None
    sentence: Optional[str] = None
    words: "Tuple[WordRelevance, ...]" = ()


@dataclass(frozen=True, eq=False)
class Explanations:
    """Explanations by one method at one layer, one for each of M images of a batch.

    Attributes
    ----------
    method, layer, input : str
        As in ``Explanation``.
    placement : Placement or None
        Of the cells in the part of the image that the net saw.
    asked : list of AskedClass
        The different questions.
    images : numpy.ndarray
        M int32: positions in the batch, increasing.
    codes : numpy.ndarray
        M int32: indices of ``asked``.
    scores : numpy.ndarray
        M float64.
    probabilities : numpy.ndarray
        M float64; NaN where there is none.
    cams : numpy.ndarray
        M x h x w float32; of clips M x t x h x w.
    geometries : numpy.ndarray
        M x 6 float64: see :func:`geometry_row`.
    """

    method: str
    layer: str
    input: str
    placement: Optional[Placement]
    asked: List[AskedClass]
    images: np.ndarray
    codes: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray
    cams: np.ndarray
    geometries: np.ndarray

    def at(self, positions: np.ndarray) -> "Explanations":
        """The same of a batch that lies at these positions of another one."""
        return replace(self, images=positions[self.images])

    @property
    def is_ok(self) -> np.ndarray:
        """M bool: whether anything speaks for the class, as ``Explanation.status`` tells."""
        cells = self.cams.reshape(len(self.cams), -1)
        ok: np.ndarray = cells.max(axis=1) > np.maximum(cells.min(axis=1), 0)
        return ok


@dataclass(frozen=True, eq=False)
class BatchExplanation:
    """What a net answers about the images of a batch.

    Attributes
    ----------
    predicted : numpy.ndarray
        N int32: ``Result.predicted``; -1 where there is an error.
    groups : list of Explanations
        An image's explanations, in the order of the groups, are those of its ``Result``.
    errors : dict
        Position -> why that image cannot be explained.
    nothing : dict
        Position -> why that image has no explanations, although nothing is wrong with it.
    note : str or None
        Of a batch that was smaller than usual, on which the last bits depend.
    """

    predicted: np.ndarray
    groups: List[Explanations]
    errors: Dict[int, InputError] = field(default_factory=dict)
    nothing: Dict[int, str] = field(default_factory=dict)
    note: Optional[str] = None


def geometry_row(geometry: Geometry) -> Tuple[float, ...]:
    """Height and width of the image, then x0, y0, x1, y1 of the rectangle: six numbers."""
    return tuple(geometry.image_size) + tuple(geometry.rectangle)


def geometry_of(row: Sequence[float]) -> Geometry:
    """The geometry of such numbers."""
    height, width, x0, y0, x1, y1 = map(float, row)
    return Geometry((int(height), int(width)), (x0, y0, x1, y1))


def merged(groups: Sequence[Explanations]) -> Explanations:
    """Explanations by the same method at the same layer, with maps of the same size, as one group.

    Their ``images`` are positions among all of them.
    """
    first = groups[0]
    if len(groups) == 1:
        return first
    asked: Dict[AskedClass, int] = {}
    codes = [np.array([asked.setdefault(entry, len(asked)) for entry in group.asked],
                      np.int32)[group.codes] for group in groups]
    return replace(
        first, asked=list(asked), codes=np.concatenate(codes),
        images=np.concatenate([group.images for group in groups]),
        scores=np.concatenate([group.scores for group in groups]),
        probabilities=np.concatenate([group.probabilities for group in groups]),
        cams=np.concatenate([group.cams for group in groups]),
        geometries=np.concatenate([group.geometries for group in groups]))


def group_key(group: Explanations) -> Tuple[object, ...]:
    """What groups that can be merged have in common."""
    return group.method, group.layer, group.input, group.placement, group.cams.shape[1:]


def of_results(results: Sequence["Outcome[Result]"], note: Optional[str] = None
               ) -> BatchExplanation:
    """The answers about single images as those about a batch."""
    predicted = [result.unwrap().predicted if result.ok else -1 for result in results]
    return BatchExplanation(
        np.array(predicted, np.int32),
        in_groups([result.unwrap().explanations if result.ok else () for result in results]),
        errors_of(results), note=note)


def errors_of(outcomes: "Sequence[Outcome[Any]]") -> Dict[int, InputError]:
    """Position -> the error, of those outcomes that hold one."""
    return {position: outcome.error for position, outcome in enumerate(outcomes)
            if outcome.error is not None}


def in_groups(explanations: Sequence[Sequence[Explanation]]) -> List[Explanations]:
    """The explanations of each image as groups; those of an image stay in their order."""
    ranks: List[Dict[Tuple[object, ...], List[Tuple[int, Explanation]]]] = []
    for position, of_image in enumerate(explanations):
        for rank, explanation in enumerate(of_image):
            if rank == len(ranks):
                ranks.append({})
            ranks[rank].setdefault(_key(explanation), []).append((position, explanation))
    return [_group(entries) for by_key in ranks for entries in by_key.values()]


def _key(explanation: Explanation) -> Tuple[object, ...]:
    """What the explanations of a group have in common."""
    return (explanation.method, explanation.layer, explanation.input, explanation.placement,
            explanation.cam.shape)


def _group(entries: Sequence[Tuple[int, Explanation]]) -> Explanations:
    explanations = [explanation for _, explanation in entries]
    first = explanations[0]
    asked, codes = _coded(
        AskedClass(explanation.question, explanation.class_index, explanation.class_name,
                   explanation.position, explanation.box, explanation.sentence,
                   explanation.words) for explanation in explanations)
    return Explanations(
        first.method, first.layer, first.input, first.placement, asked,
        np.array([position for position, _ in entries], np.int32), codes,
        np.array([explanation.score for explanation in explanations], np.float64),
        np.array([np.nan if explanation.probability is None else explanation.probability
                  for explanation in explanations], np.float64),
        np.stack([explanation.cam for explanation in explanations]),
        np.array([geometry_row(explanation.geometry) for explanation in explanations]))


def _coded(values: Iterable[AskedClass]) -> Tuple[List[AskedClass], np.ndarray]:
    codes: Dict[AskedClass, int] = {}
    indices = [codes.setdefault(value, len(codes)) for value in values]
    return list(codes), np.array(indices, np.int32)
