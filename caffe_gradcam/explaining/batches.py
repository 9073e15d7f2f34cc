"""Explain a batch without an object for each image, wherever all images are asked alike."""

import warnings
from dataclasses import dataclass, field
from typing import (
    Callable,
    Dict,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np

from caffe_gradcam.asking.questions import Class, Question, Top
from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.engines.class_maps import ClassMaps, MapRequest, PendingMaps
from caffe_gradcam.engines.on_device import OnDevice
from caffe_gradcam.explaining import class_maps, columns, word_relevance
from caffe_gradcam.explaining.answering import ask
from caffe_gradcam.explaining.columns import AskedClass, BatchExplanation, Explanations
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.memory import SmallerBatch, in_parts
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.model import labels
from caffe_gradcam.model.geometry import Placement
from caffe_gradcam.model.preprocess import Prepared
from prototxt_tools.errors import Outcome, OutOfMemory

Value = TypeVar("Value")
Questions = Sequence["Outcome[List[Question]]"]
# What such methods need is at hand after one forward and one backward pass.
_PLAIN_NEEDS = {"activations", "gradients"}


@dataclass(frozen=True, eq=False)
class ImagesOfBatch:
    """Prepared images side by side.

    Attributes
    ----------
    blobs : dict
        Input blob -> N x V x C x h x w float32, V crops of each image.
    geometries : dict
        Input blob -> N x V x 6 float64, see ``columns.geometry_row``.
    others : dict
        Position -> an image that does not lie among them.
    on_device : OnDevice, optional
        The only input of the net, where its images lie on the engine's device instead.
    """

    blobs: Mapping[str, np.ndarray]
    geometries: Mapping[str, np.ndarray]
    others: Mapping[int, Prepared] = field(default_factory=dict)
    on_device: Optional[OnDevice] = None

    def __len__(self) -> int:
        return len(next(iter(self.blobs.values())))

    def part(self, start: int, stop: int) -> "ImagesOfBatch":
        """The images from one position up to another, of which none lies elsewhere."""
        return ImagesOfBatch({name: values[start:stop] for name, values in self.blobs.items()},
                             {name: rows[start:stop] for name, rows in self.geometries.items()},
                             on_device=self.on_device and self.on_device.part(start, stop))

    def prepared(self, position: int) -> Prepared:
        """One image."""
        if position in self.others:
            return self.others[position]
        values_of = {blob: values[position] for blob, values in self.blobs.items()}
        if self.on_device is not None:
            values_of = dict.fromkeys(
                self.blobs, self.on_device.part(position, position + 1).array())
        return Prepared(
            values_of,
            {blob: list(map(columns.geometry_of, rows[position]))
             for blob, rows in self.geometries.items()})


# The best classes, and the explanations.
_Answer = Tuple[np.ndarray, List[Explanations]]


class PendingExplanation:
    """Explanations of a batch on their way.

    Parameters
    ----------
    finish : callable
        Gives them.
    maps : PendingMaps, optional
        What they wait for.
    """

    def __init__(self, finish: Callable[[], BatchExplanation],
                 maps: Optional[PendingMaps] = None) -> None:
        self._finish, self._maps = finish, maps

    def is_done(self) -> bool:
        """Whether :meth:`result` gives them at once."""
        return self._maps is None or self._maps.is_done()

    def result(self) -> BatchExplanation:
        """The explanations; raises an EngineError where the engine failed on the batch."""
        return self._finish()


class BatchExplainer:
    """Explains batches of prepared images.

    Parameters
    ----------
    explainer : Explainer
    default : list of Question
        What is asked about images without questions of their own.
    """

    def __init__(self, explainer: Explainer, default: Sequence[Question]) -> None:
        self._explainer, self._default = explainer, list(default)
        self._asked: Dict[int, AskedClass] = {}
        self._is_plain = _is_plain(explainer, self._default)
        self._placements: Dict[str, Optional[Placement]] = {}
        if self._is_plain:
            self._placements = {layer: explainer.placement_of(layer)
                                for layer in explainer.model.layers}
            self._request = _request(explainer, self._default)

    def begin(self, images: ImagesOfBatch, questions: Optional[Questions] = None
              ) -> PendingExplanation:
        """Begin to explain a batch; while a device computes, the next one may be begun.

        Parameters
        ----------
        images : ImagesOfBatch
            The arrays must not change before the result is there.
        questions : sequence of Outcome, optional
            For each image, where not all are asked the same.

        Returns
        -------
        PendingExplanation
            Of what ``Explainer.explain_prepared`` gives for the same images, as columns.

        Raises
        ------
        EngineError
            The engine failed on the batch.
        """
        if questions is not None or not self._is_plain or images.others:
            explanation = self._separately(images, questions)
            return PendingExplanation(lambda: explanation)
        try:
            maps = self._begun(images)
        except OutOfMemory:
            explanation = self._in_parts(images)
            return PendingExplanation(lambda: explanation)
        return PendingExplanation(lambda: self._finished(images, maps), maps)

    def explain(self, images: ImagesOfBatch, questions: Optional[Questions] = None
                ) -> BatchExplanation:
        """Explain a batch; see :meth:`begin`."""
        return self.begin(images, questions).result()

    def _finished(self, images: ImagesOfBatch, maps: PendingMaps) -> BatchExplanation:
        try:
            answer = self._of_maps(images, maps.result(), 0)
        except OutOfMemory:
            return self._in_parts(images)
        if answer is None:
            return self._separately(images, None)
        return BatchExplanation(*answer)

    def _separately(self, images: ImagesOfBatch, questions: Optional[Questions]
                    ) -> BatchExplanation:
        """The explanations of a batch in which images need a look of their own."""
        if questions is None:
            questions = [Outcome(self._default)] * len(images)
        prepared = [asked.then(lambda _, position=position: images.prepared(position))
                    for position, asked in enumerate(questions)]
        lists: List[List[Union[int, Question]]] = [
            list(asked.value or ()) for asked in questions]
        results, note = with_note(lambda: self._explainer.explain_prepared(prepared, lists))
        return columns.of_results(results, note)

    def _in_parts(self, images: ImagesOfBatch) -> BatchExplanation:
        """The explanations of a batch that does not fit the memory as a whole."""
        answers, note = with_note(lambda: in_parts(
            lambda part: self._of_part(images, part[0], part[-1] + 1),
            list(range(len(images)))))
        complete = [answer for answer in answers if answer is not None]
        if len(complete) < len(answers):
            return self._separately(images, None)
        return BatchExplanation(np.concatenate([predicted for predicted, _ in complete]),
                                [group for _, groups in complete for group in groups], note=note)

    def _of_part(self, images: ImagesOfBatch, start: int, stop: int) -> Optional[_Answer]:
        part = images.part(start, stop)
        return self._of_maps(part, self._begun(part).result(), start)

    def _begun(self, images: ImagesOfBatch) -> PendingMaps:
        engine = self._explainer.engine
        if images.on_device is not None:
            sent = dict.fromkeys(images.blobs, images.on_device)
            return class_maps.begin(engine, sent, self._request)
        inputs = self._explainer.model.net_inputs(
            {name: values[:, 0] for name, values in images.blobs.items()})
        return class_maps.begin(engine, inputs, self._request)

    def _of_maps(self, images: ImagesOfBatch, maps: ClassMaps, first: int) -> Optional[_Answer]:
        """The answer about images from a position on; None where one of them needs a look of its
        own."""
        scores = self._scores(maps.scores)
        if scores is None or not all(
                cams.ndim == 3 and cams[0].size > 1 and np.isfinite(cams).all()
                for cams in maps.cams.values()) or maps.classes.shape[1] == 0:
            return None
        groups = [self._group((method, layer), cams, (scores, maps.classes[:, rank]),
                              (images, first))
                  for (rank, method, layer), cams in maps.cams.items()]
        return np.argmax(scores, axis=1).astype(np.int32), groups

    def _group(self, source: Tuple[str, str], cams: np.ndarray,
               answers: Tuple[np.ndarray, np.ndarray], place: Tuple[ImagesOfBatch, int]
               ) -> Explanations:
        """The maps of a method at a layer, with the scores of the classes asked about."""
        (method, layer), (scores, index), (images, first) = source, answers, place
        input_blob, rows = self._explainer.source_of(layer), np.arange(len(scores))
        probabilities = to_probabilities(scores, self._explainer.model.link)
        different, codes = np.unique(index, return_inverse=True)
        asked = [self._asked_class(int(number), scores) for number in different]
        return Explanations(
            method, layer, input_blob, self._placements[layer], asked,
            (rows + first).astype(np.int32), codes.reshape(-1).astype(np.int32),
            scores[rows, index].astype(np.float64),
            np.full(len(rows), np.nan, np.float64) if probabilities is None
            else probabilities[rows, index].astype(np.float64),
            cams, images.geometries[input_blob][:, 0])

    def _scores(self, blob: np.ndarray) -> Optional[np.ndarray]:
        """N x K scores; None where they are not one finite number for each class."""
        model = self._explainer.model
        rows = model.layout.rows(blob)
        scores: np.ndarray = blob.reshape(len(blob), -1)
        if rows.ndim < 2 or rows.shape[:2] != scores.shape or not np.isfinite(scores).all():
            return None
        is_two_sided = labels.are_sides(model.class_names, scores.shape[1], model.link)
        return None if is_two_sided else scores

    def _asked_class(self, index: int, scores: np.ndarray) -> AskedClass:
        """The question about a class, which is the same for all images."""
        if index not in self._asked:
            model = self._explainer.model
            seed = ask(model, scores[:1], [], None, [Class(index)]).seeds[0]
            self._asked[index] = AskedClass(seed.text, index, model.class_name(index))
        return self._asked[index]


def _is_plain(explainer: Explainer, questions: Sequence[Question]) -> bool:
    """Whether all images are asked about classes, and maps are made of one backward pass each."""
    explaining, model = explainer.explaining, explainer.model
    methods = [METHODS[name] for name in explaining.methods]
    return (
        not explainer.one_by_one and explaining.fuse is None and not model.arrays
        and not model.layout.indexed and not word_relevance.embedded_blobs(model)
        and all(values.crops == 1 for values in model.inputs.values())
        and all(set(method.needs) <= _PLAIN_NEEDS and not method.at_input for method in methods)
        and all(isinstance(question, Top) or isinstance(question, Class) and
                isinstance(question.index, int) and question.index >= 0 for question in questions)
        and (len(questions) == 1 or all(isinstance(question, Class) for question in questions))
        and len(set(questions)) == len(questions))


def _request(explainer: Explainer, questions: Sequence[Question]) -> MapRequest:
    explaining, model = explainer.explaining, explainer.model
    return MapRequest(
        model.score, tuple(model.layers), tuple(explaining.methods),
        questions[0].count if isinstance(questions[0], Top) else 0,
        tuple(question.index for question in questions if isinstance(question, Class)),
        explaining.gradient == "positive")


def with_note(function: Callable[[], Value]) -> Tuple[Value, Optional[str]]:
    """What a function gives, and a note if it had to divide a batch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SmallerBatch)
        value = function()
    smaller = [str(entry.message) for entry in caught if entry.category is SmallerBatch]
    return value, "; ".join(smaller) or None
