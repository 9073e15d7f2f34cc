"""Explainer: forward, seed, backward -> Explanation."""

import copy
import dataclasses
import functools
import itertools
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.asking.questions import Top
from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.explaining import combine, heads, word_relevance
from caffe_gradcam.explaining.anatomy import Anatomy, OpenEngine
from caffe_gradcam.explaining.answering import Answer, Asked, ask, by_image, mean_row
from caffe_gradcam.explaining.evidence import Evidence
from caffe_gradcam.explaining.explanation import Explanation, Result
from caffe_gradcam.explaining.fitting import named_size
from caffe_gradcam.explaining.grouping import Questions, groups, per_image, stacked
from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.explaining.methods import COSTS, METHODS, Method, checked_maps
from caffe_gradcam.explaining.passes import Pass, Seeds
from caffe_gradcam.explaining.settings import Explaining, refuse_box_methods, refuse_clips
from caffe_gradcam.explaining.word_relevance import Words
from caffe_gradcam.model.geometry import Placement
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools.errors import (
    EngineFailed,
    Outcome,
    QuestionError,
)

Image = Union[np.ndarray, Mapping[str, np.ndarray]]
# (rank of the question, method, blob) -> {index of the image: V x h x w, a map for each crop}
Maps = Dict[Tuple[int, str, str], Dict[int, np.ndarray]]

BEST = (Top(1),)
_EXPLAINING, _RUNNING = Explaining(), Running()


class Explainer:
    """A model on an engine.

    Parameters
    ----------
    model : LoadedModel
    engine : caffe_gradcam.engines.contract.Engine
        Opened with the model's score and layers, and the inputs if a method goes down to them.
    explaining : Explaining
        Its ``layers`` are those of the model here; :meth:`open` sees to that.
    open_another : callable, optional
        Opens an engine for another net (``NetToRun``), which FullGrad needs.

    Attributes
    ----------
    model, engine, explaining
    one_by_one : bool
        Whether images go through the net one after the other, since it uses the statistics of
        each batch.
    on_rerun : callable, optional
        Called with the number of rows each time that a method has run the net, or its head, again:
        for those who show progress.

    Raises
    ------
    QuestionError
        A method has no meaning for this net.
    """

    def __init__(self, model: LoadedModel, engine: Engine, explaining: Explaining = _EXPLAINING,
                 open_another: Optional[OpenEngine] = None) -> None:
        refuse_clips(model)
        self.model, self.engine, self.explaining = model, engine, explaining
        self.one_by_one = not model.items_share or (
            model.depends_on_batch and not explaining.batch_statistics)
        self.on_rerun: Optional[Callable[[int], object]] = None
        self._methods: Dict[str, Method] = {name: METHODS[name] for name in explaining.methods}
        self._blobs = {name: _blobs_of(model, method) for name, method in self._methods.items()}
        blobs = set(itertools.chain(model.layers, *self._blobs.values()))
        self._sources = {blob: model.input_of(blob) for blob in blobs}
        self._fields = model.fields() if explaining.placement == "centres" else {}
        self._placements = model.placements(blobs | {model.score}, self._fields)
        _check_crops(model)
        needs = {need for method in self._methods.values() for need in method.needs}
        self._together = (list(model.layers) if needs & {"gradients", "laid_over"} else []) + (
            list(model.inputs) if "input_gradients" in needs else [])
        self._embedded = word_relevance.embedded_blobs(model)
        self._anatomy = Anatomy(model, open_another or functools.partial(
            open_engine, running=_RUNNING))

    @classmethod
    def open(cls, model: LoadedModel, explaining: Explaining = _EXPLAINING,
             running: Running = _RUNNING) -> "Explainer":
        """Open an engine for a model: ``with Explainer.open(model) as explainer``.

        Where shapes end at a layer of unknown type, so that the model's layers are not certain,
        the net runs once to choose them by the shapes that the engine gives the blobs.

        Parameters
        ----------
        model : LoadedModel
        explaining : Explaining
        running : Running

        Raises
        ------
        ModelError, WeightsError, EngineError
            See ``open_engine``.
        QuestionError
            A layer is unknown, or a method has no meaning for this net.
        """
        refuse_box_methods(explaining)
        if explaining.layers:
            model = model.with_layers(explaining.layers)
        if not model.layers_are_certain or any(
                "class_maps" in METHODS[name].needs for name in explaining.methods):
            model = _with_all_shapes(model, running)
        goes_down = any(METHODS[name].at_input for name in explaining.methods)
        targets = model.layers + (tuple(model.inputs) if goes_down else ()) + tuple(
            word_relevance.embedded_blobs(model).values())
        engine = open_engine(NetToRun(model.prototxt, model.weights, (model.score,), targets,
                                      explaining.engine_gradient, model.path), running)
        try:
            return cls(model, engine, explaining, functools.partial(open_engine, running=running))
        except BaseException:
            engine.close()
            raise

    def __enter__(self) -> "Explainer":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the engine; further calls raise an EngineError."""
        self.engine.close()
        self._anatomy.close()

    def replace_weights(self, weights: Mapping[str, List[np.ndarray]]) -> None:
        """Put other weights into layers, for every method; see ``Engine.replace_weights``."""
        self.engine.replace_weights(weights)
        self._anatomy.replace_weights(weights)

    def only(self, method: str) -> "Explainer":
        """This explainer, on the same engine, with just one of its methods."""
        explainer = copy.copy(self)
        explainer._methods = {method: self._methods[method]}
        return explainer

    def explain(self, images: Sequence[Image], questions: Questions = BEST
                ) -> List[Outcome[Result]]:
        """Explain some images in one batch: one forward pass, and one backward pass for the
        first question about every image, one for the second, and so on.

        Parameters
        ----------
        images : sequence of numpy.ndarray or dict
            H x W x 3 uint8 each, blue first, of any sizes; for nets with several inputs, input
            blob -> such an array.
        questions : sequence of int or Question
            What to ask about each image: classes, or questions of
            ``caffe_gradcam.asking.questions``; what comes twice is asked once. Or a list of
            lists, one for each image.

        Returns
        -------
        list of Outcome
            One per image, in order: a Result, or the error that says why the image cannot be
            explained; the others do not suffer from it.

        Raises
        ------
        EngineError
            The engine failed on the batch.
        QuestionError
            A method does not return maps.
        """
        return self.explain_prepared(
            [Outcome.of(prepare, image, self.model.inputs, self.model.arrays)
             for image in images], questions)

    def explain_prepared(self, prepared: Sequence[Outcome[Prepared]],
                         questions: Questions = BEST) -> List[Outcome[Result]]:
        """As :meth:`explain`, for images that were prepared elsewhere.

        Parameters
        ----------
        prepared : sequence of Outcome
            Of ``caffe_gradcam.model.preprocess.prepare``; errors stay as they are.
        questions
            As for :meth:`explain`.
        """
        lists = per_image(questions, len(prepared))
        outcomes: List[Outcome[Result]] = [Outcome(error=image.error) for image in prepared]
        good = [index for index, image in enumerate(prepared) if image.ok]
        together = groups([(index, prepared[index].unwrap()) for index in good], self.model,
                          self.one_by_one)
        for group in together:
            parts = Outcome.of(self._in_parts, prepared, lists, group)
            # What the engine says of one group need not hold for the others.
            if isinstance(parts.error, EngineFailed) or len(together) == 1:
                parts.unwrap()
            for position, index in enumerate(group):
                outcomes[index] = (parts.unwrap()[position] if parts.ok
                                   else Outcome(error=parts.error))
        return outcomes

    def _in_parts(self, prepared: Sequence[Outcome[Prepared]], questions: List[Sequence[Asked]],
                  group: List[int]) -> List[Outcome[Result]]:
        """The results of a group, in as many parts as the memory needs."""
        parts = in_parts(lambda part: self._explain(
            [prepared[index].unwrap() for index in part], [questions[index] for index in part]),
            group)
        return list(itertools.chain(*parts))

    def source_of(self, blob: str) -> str:
        """The input blob that a layer's blob depends on."""
        return self._sources[blob]

    def placement_of(self, blob: str) -> Optional[Placement]:
        """Where the cells of a layer's blob lie in the input."""
        return self._placements[blob]

    def score_blob(self, image: Image) -> np.ndarray:
        """What the score blob holds for an image: of one row's shape, the mean of its crops."""
        prepared = prepare(image, self.model.inputs, self.model.arrays)
        scores = Pass(self.engine, self.model, prepared.blobs, []).scores
        rows = len(prepared.blobs[self.model.input])
        return mean_row(by_image(scores, 1, rows, self.model)[0], self.model)

    def _explain(self, prepared: List[Prepared], questions: List[Sequence[Asked]]
                 ) -> List[Outcome[Result]]:
        inputs = stacked(prepared, self.model)
        self._placements = self.model.placements(self._placements, self._fields, {
            name: value.shape[2:] for name, value in inputs.items()})
        batch = self._passed(inputs)
        if self.on_rerun is not None:
            batch.on_rerun = self.on_rerun
        for blob in self._sources:
            _check_map(blob, batch.blobs[blob])
        rows = len(inputs[self.model.input])
        views = rows // len(prepared)
        scores = by_image(batch.scores, len(prepared), rows, self.model)
        answers = [Outcome.of(
            ask, self.model, of_image, image.geometries[self.model.input],
            self._placements[self.model.score], asked)
            for of_image, image, asked in zip(scores, prepared, questions)]
        seeds = [answer.unwrap().seeds if answer.ok else [] for answer in answers]
        batch.questions = [of_image for of_image in seeds for _ in range(views)]
        maps = self._maps(batch, seeds, views)
        words = word_relevance.of_questions(batch, seeds, views, self._embedded)
        return [answer.then(self._result, prepared[index], (maps, words), index)
                for index, answer in enumerate(answers)]

    def _passed(self, inputs: Dict[str, np.ndarray]) -> Pass:
        """The forward pass of a batch."""
        with named_size(self.model, inputs):
            return Pass(self.engine, self.model, inputs,
                        keep=[blob for blob in [*self._sources, *self._embedded.values()]
                              if blob not in inputs],
                        together=self._together, one_by_one=self.one_by_one)

    def _maps(self, batch: Pass, seeds: List[List[Seed]], views: int) -> Maps:
        maps: Maps = {}
        # Cheap methods first: those that run the net on something else make the engine forget
        # the first pass.
        for cost in COSTS:
            methods = [name for name, method in self._methods.items() if method.cost == cost]
            for rank in range(max(map(len, seeds)) if methods else 0):
                asked = [of_image[rank] if rank < len(of_image) else None
                         for of_image in seeds for _ in range(views)]
                for method, blob in [(name, blob) for name in methods
                                     for blob in self._blobs[name]]:
                    maps[rank, method, blob] = self._maps_of(method, blob, batch, asked, views)
                # No other question needs these gradients.
                batch.forget()
        return maps

    def _maps_of(self, name: str, blob: str, batch: Pass, asked: Seeds, views: int
                 ) -> Dict[int, np.ndarray]:
        """The maps of one method at one blob, by the index of the image."""
        method, source = self._methods[name], self._sources[blob]
        cam_layer = next((layer for layer in self.model.layers if self._sources[layer] == source),
                         self.model.layers[0])
        evidence = Evidence(batch, asked, blob, source, self.explaining.gradient == "positive",
                            self._anatomy, cam_layer, self._placements[cam_layer])
        # Overflow shows as infinity or NaN in the map, and is reported there.
        with np.errstate(over="ignore", invalid="ignore"):
            maps = method.function(**evidence.arguments(method, self.explaining.samples))
        maps = checked_maps(name, maps, evidence.shape)
        return {row // views: maps[index * views:(index + 1) * views]
                for index, row in enumerate(evidence.rows[::views])}

    def _result(self, answer: Answer, prepared: Prepared, found: Tuple[Maps, List[Words]],
                index: int) -> Result:
        maps, words = found
        explanations: List[Explanation] = []
        for rank, (seed, value) in enumerate(zip(answer.seeds, answer.values)):
            for name in self._methods:
                at_blobs = [self._explanation(answer, seed, value, (name, blob, prepared,
                                              maps[rank, name, blob][index]))
                            for blob in self._blobs[name]]
                if words:
                    at_blobs = [dataclasses.replace(explanation, words=words[rank][index])
                                for explanation in at_blobs]
                explanations += self._fused(at_blobs)
        return Result(answer.scores, answer.probabilities, explanations, answer.predicted)

    def _explanation(self, answer: Answer, seed: Seed, value: float,
                     drawn: Tuple[str, str, Prepared, np.ndarray]) -> Explanation:
        name, blob, prepared, cams = drawn
        index = seed.class_index
        if not np.isfinite(cams).all():
            asked = seed.text if index is None else "class " + seed.text
            raise QuestionError(
                f"the map of {asked} at {blob} by {name} holds NaN or infinity", name)
        source = self._sources[blob]
        cam, geometry, placement = combine.merge(
            cams, prepared.geometries[source],
            None if self._methods[name].at_input else self._placements[blob])
        return Explanation(
            question=seed.text,
            class_index=index,
            class_name=None if index is None else self.model.class_name(index),
            score=value,
            probability=answer.probability(seed),
            method=name,
            layer=blob,
            cam=np.array(cam, np.float32),
            geometry=geometry,
            placement=placement,
            input=source,
            position=seed.position,
        )

    def _fused(self, explanations: List[Explanation]) -> List[Explanation]:
        """One for each input, whose images are different ones, if maps are fused at all."""
        if self.explaining.fuse is None:
            return explanations
        by_input: Dict[str, List[Explanation]] = {}
        for explanation in explanations:
            by_input.setdefault(explanation.input, []).append(explanation)
        return [combine.fuse(group, self.explaining.fuse) if len(group) > 1 else group[0]
                for group in by_input.values()]


def _with_all_shapes(model: LoadedModel, running: Running) -> LoadedModel:
    """The model with the shapes that the engine gives the blobs, and layers chosen by them."""
    graph = model.graph
    blobs = [blob for index in sorted(graph.ancestors([model.score]))
             for blob in graph.net.layers[index].tops if blob not in model.inputs]
    if model.layers_are_certain and all(model.shapes.get(blob) for blob in blobs):
        return model
    inputs = {name: np.zeros((1,) + tuple(model.shapes[name][1:]), np.float32)
              for name in model.inputs}
    inputs.update((name, np.zeros(spec.shape, np.float32) if spec.default is None else spec.default)
                  for name, spec in model.arrays.items())
    net = NetToRun(model.prototxt, model.weights, (model.score,), model.layers, path=model.path)
    with open_engine(net, running) as engine:
        values = engine.forward(model.net_inputs(inputs), keep=list(dict.fromkeys(blobs)))
    return model.with_shapes({blob: value.shape for blob, value in values.items()})


def _check_crops(model: LoadedModel) -> None:
    if not model.items_share and any(values.crops > 1 for values in model.inputs.values()):
        raise QuestionError("only one image at a time goes through this net, so it cannot take "
                            "ten crops; use one crop", "--crops")


def _check_map(blob: str, value: np.ndarray) -> None:
    """Raise a QuestionError for a blob whose cells cannot be laid over the image."""
    if value.ndim != 4 or value.shape[2] * value.shape[3] < 2:
        size = "x".join(map(str, value.shape[1:]))
        raise QuestionError(f"blob {blob} ({size}) has no spatial extent; choose another layer",
                            blob)


def _blobs_of(model: LoadedModel, method: Method) -> List[str]:
    """The blobs that a method makes maps of."""
    if method.at_input:
        return list(model.inputs)
    if "class_maps" in method.needs:
        return [heads.pooled_blob(model.graph, model.score, model.shapes)[0]]
    return list(model.layers)
