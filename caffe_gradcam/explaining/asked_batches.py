"""Batches of whatever a recipe asks about: classes, of images or of clips, the boxes of a detector,
or words."""

from dataclasses import replace
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.asker import Asker, refuse_crop
from caffe_gradcam.asking.questions import Question
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.explaining import captions, clips, columns, single_pass
from caffe_gradcam.explaining import chain as chains
from caffe_gradcam.explaining.batches import (
    BatchExplainer,
    ImagesOfBatch,
    PendingExplanation,
    with_note,
)
from caffe_gradcam.explaining.box_questions import box_question, wired
from caffe_gradcam.explaining.captions import Caption, Captioner
from caffe_gradcam.explaining.clips import ClipExplainer, ClipExplanation, ClipResult, asker_of
from caffe_gradcam.explaining.columns import BatchExplanation
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.clips import ROWS
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared
from prototxt_tools.errors import EngineError, Outcome, QuestionError
from prototxt_tools.layers.plugins import import_plugins

# Index of an image -> its own questions, and the region that they are about.
OwnQuestions = Mapping[int, Tuple[Tuple[str, ...], Optional[Tuple[float, ...]]]]
_NONE: Tuple[Tuple[str, ...], Optional[Tuple[float, ...]]] = ((), None)


class AskedBatches:
    """What explains batches of prepared images, in a process of its own.

    Attributes
    ----------
    model : LoadedModel
    engine : Engine
        The one that looks at the images.
    """

    model: LoadedModel
    engine: Engine

    def settle(self, batch: int) -> None:
        """Have the engine expect batches of so many images; see ``Engine.settle``."""
        self.engine.settle(batch)

    def begin(self, images: ImagesOfBatch, own: OwnQuestions) -> PendingExplanation:
        """Begin to explain a batch, in which some images may have questions of their own.

        Raises
        ------
        EngineError
            The engine failed on the batch.
        """
        raise NotImplementedError


class ClassBatches(AskedBatches):
    """Batches that are asked about classes."""

    def __init__(self, recipe: Recipe, model: LoadedModel) -> None:
        explainer = Explainer.open(model, recipe.explaining, recipe.running)
        self.model, self.engine = model, explainer.engine
        self._asker = recipe.asker(explainer)
        self._explainer = BatchExplainer(explainer, self._asker.questions())

    def begin(self, images: ImagesOfBatch, own: OwnQuestions) -> PendingExplanation:
        questions: "Optional[List[Outcome[List[Question]]]]" = None
        if own:
            questions = [Outcome.of(self._asker.questions, *own.get(index, _NONE))
                         for index in range(len(images))]
        return self._explainer.begin(images, questions)


class BoxBatches(AskedBatches):
    """Batches whose boxes are found and explained."""

    def __init__(self, recipe: Recipe, model: LoadedModel) -> None:
        self._question = box_question(recipe.asking)
        self._explainer = DetectionExplainer.open(
            model, recipe.explaining, self._question, recipe.running)
        self.model, self.engine = model, self._explainer.engine

    def begin(self, images: ImagesOfBatch, own: OwnQuestions) -> PendingExplanation:
        prepared = [Outcome.of(self._prepared, images, index, *own.get(index, _NONE))
                    for index in range(len(images))]
        results, note = with_note(lambda: self._explainer.explain_prepared(prepared))
        _raise_engine_errors(results)
        explanations = [result.value or [] for result in results]
        reason = f"there is no box with a score of {self._question.min_score:g} or more"
        return _at_hand(BatchExplanation(
            _predicted(explanations), columns.in_groups(explanations), columns.errors_of(results),
            {index: reason for index, result in enumerate(results) if result.value == []}, note))

    def _prepared(self, images: ImagesOfBatch, index: int, texts: Tuple[str, ...],
                  box: Optional[Tuple[float, ...]]) -> Prepared:
        if texts:
            raise QuestionError(f"every box is explained for its own class, so {texts[0]!r} cannot "
                                "be asked about this image", texts[0])
        return images.prepared(index)


class WordBatches(AskedBatches):
    """Batches whose images are described in words, one after the other."""

    def __init__(self, recipe: Recipe, model: LoadedModel) -> None:
        captions.check_asking(recipe.asking)
        self._asking = recipe.asking
        self._captioner = Captioner(model, recipe.explaining, recipe.running)
        self.model, self.engine = model, self._captioner.engine

    def begin(self, images: ImagesOfBatch, own: OwnQuestions) -> PendingExplanation:
        results = [Outcome.of(self._caption, images.prepared(index), *own.get(index, _NONE))
                   for index in range(len(images))]
        _raise_engine_errors(results)
        explanations = [_explanations(result.unwrap()) if result.ok else [] for result in results]
        return _at_hand(BatchExplanation(
            np.full(len(results), -1, np.int32), columns.in_groups(explanations),
            columns.errors_of(results)))

    def _caption(self, prepared: Prepared, texts: Tuple[str, ...],
                 box: Optional[Tuple[float, ...]]) -> Caption:
        """The caption of an image, whose own question is a sentence."""
        if len(texts) > 1:
            raise QuestionError("an image takes one sentence, not " + " and ".join(
                map(repr, texts)), texts[1])
        beam = 1 if texts else self._asking.beam or 1
        return self._captioner.caption_prepared(
            prepared, beam, texts[0] if texts else self._asking.sentence)


class ClipBatches(AskedBatches):
    """Batches of clips, which go through the net one by one."""

    def __init__(self, recipe: Recipe, model: LoadedModel) -> None:
        self._asker = asker_of(recipe.asking, model)
        self._explainer = ClipExplainer(model, recipe.explaining, recipe.running)
        self.model, self.engine = model, self._explainer.engine

    def settle(self, batch: int) -> None:
        clip = self._explainer.clip
        self.engine.settle(clip.length if clip.axis == ROWS else 1)

    def begin(self, images: ImagesOfBatch, own: OwnQuestions) -> PendingExplanation:
        results = [Outcome.of(self._explained, images.prepared(index), *own.get(index, _NONE))
                   for index in range(len(images))]
        _raise_engine_errors(results)
        predicted = [int(result.unwrap().scores.argmax()) if result.ok else -1
                     for result in results]
        explanations = [list(map(_to_explanation, result.unwrap().explanations))
                        if result.ok else [] for result in results]
        return _at_hand(BatchExplanation(
            np.array(predicted, np.int32), columns.in_groups(explanations),
            columns.errors_of(results)))

    def _explained(self, prepared: Prepared, texts: Tuple[str, ...],
                   box: Optional[Tuple[float, ...]]) -> ClipResult:
        name = self._explainer.model.input
        return self._explainer.explain_views(
            prepared.blobs[name], prepared.geometries[name], self._asker.questions(texts))


def asked_batches(recipe: Recipe) -> AskedBatches:
    """Open what explains the batches of a recipe.

    Raises
    ------
    InputError
        The model, the question or the engine cannot be used.
    """
    import_plugins(recipe.running.plugins)
    model = recipe.model.load()
    if model.clips:
        return ClipBatches(recipe, model)
    if recipe.asking.is_caption:
        return WordBatches(recipe, model)
    kind = BoxBatches if recipe.asking.detections else ClassBatches
    return kind(recipe, model)


def checked(recipe: Recipe, model: LoadedModel) -> LoadedModel:
    """The recipe's model as batches are read for it, after a look whether the questions have an
    answer.

    Of a net that describes images, images alone are read: it writes the words itself.

    Raises
    ------
    QuestionError
        There is no such class or word, the net lists no boxes, or a method does not explain them.
    ModelError
        The net writes no words.
    """
    asking, explaining = recipe.asking, recipe.explaining
    refuse_crop(asking)
    if model.clips:
        clips.check(model, explaining)
        asker_of(asking, model)
        return model
    if asking.is_caption:
        captions.check_asking(asking)
        single_pass.check_methods(explaining.methods, "captions")
        chain = chains.of_model(model)
        if asking.sentence is not None:
            chain.vocabulary.parse(asking.sentence)
        return replace(model, arrays={})
    if asking.detections:
        wired(model, explaining, box_question(asking))
    else:
        Asker(asking, model)
    return model


def _raise_engine_errors(results: "Sequence[Outcome[Any]]") -> None:
    """Raise what an engine says, which holds for the batch: it is tried again, then divided."""
    for result in results:
        if isinstance(result.error, EngineError):
            raise result.error


def _at_hand(explanation: BatchExplanation) -> PendingExplanation:
    return PendingExplanation(lambda: explanation)


def _predicted(explanations: Sequence[Sequence[Explanation]]) -> np.ndarray:
    """The class of the surest box of each image; -1 without one."""
    return np.array([of_image[0].class_index if of_image else -1 for of_image in explanations],
                    np.int32)


def _explanations(caption: Caption) -> List[Explanation]:
    """Those of the words in their order, and then those of the whole sentence."""
    return [explanation for word in caption.words for explanation in word.explanations
            ] + caption.explanations


def _to_explanation(explanation: ClipExplanation) -> Explanation:
    """A clip's explanation as columns take it, with a map of t x h x w."""
    return Explanation(
        explanation.question, explanation.class_index, explanation.class_name, explanation.score,
        explanation.probability, explanation.method, explanation.layer, explanation.cams,
        explanation.geometries[0], None, explanation.input)
