"""Explainer: forward, seed, backward -> Explanation."""

import itertools
from typing import Any, List, NamedTuple

import numpy as np

from caffe_gradcam.asking.questions import Context, Top, resolve
from caffe_gradcam.asking.seeds import score_vectors, to_probabilities
from caffe_gradcam.engines.subnet import share
from caffe_gradcam.explaining import combine, heads
from caffe_gradcam.explaining.evidence import Evidence, Pass, laid_over_input
from caffe_gradcam.explaining.explanation import Explanation, Result
from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.model import choices
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError

BEST = (Top(1),)
PLACEMENTS = ("centres", "stretch")
# Cheap methods first: those that run the net on something else make the first pass forgotten.
_ORDER = ("nothing", "gradients", "head", "net")


class Explainer:
    """A model on an engine.

    Parameters
    ----------
    model : caffe_gradcam.model.model.Model
    engine : caffe_gradcam.engines.contract.Engine
        Opened with the model's score and targets, and the inputs if a method goes down to them.
    methods : sequence of str
        Names of ``METHODS``.
    samples : int, optional
        Noisy copies, masks or steps, for methods that take some; without, each one's own number.
    only_positive : bool
        Whether negative gradients at the target count as 0.
    placement : str
        "centres": a cell's value stands at the centre of its receptive field; "stretch": maps are
        pulled over the input, as most tools do.
    fuse : str, optional
        A key of ``combine.FUSIONS``: one map of all targets instead of one for each.
    open_another : callable, optional
        Opens an engine for another net and other blobs, which FullGrad wants.
    """

    def __init__(self, model, engine, methods=("grad-cam",), samples=None, only_positive=False,
                 placement="centres", fuse=None, open_another=None):
        choices.check(methods, METHODS, "method")
        choices.check([placement], PLACEMENTS, "placement")
        choices.check([fuse] if fuse else [], combine.FUSIONS, "fusion")
        self.model, self.engine, self.methods = model, engine, list(methods)
        self.samples, self.only_positive, self.fuse = samples, only_positive, fuse
        self.places = {name: _places(model, METHODS[name]) for name in self.methods}
        blobs = {place for places in self.places.values() for place in places}.union(model.targets)
        self._sources = {blob: model.input_of(blob) for blob in blobs}
        blobs.add(model.score)
        self._placements = (model.placements(blobs) if placement == "centres"
                            else dict.fromkeys(blobs))
        wanted = {need for name in self.methods for need in METHODS[name].needs}
        self._together = (model.targets if wanted & {"gradients", "laid_over"} else []) + (
            list(model.inputs) if "input_gradients" in wanted else [])
        self._open_another = open_another
        self._biased = None
        self._weights = None

    @classmethod
    def open(cls, model, engine="auto", methods=("grad-cam",), samples=None, gradient="post",
             placement="centres", fuse=None, **options):
        """Open an engine for a model: ``with Explainer.open(model) as explainer``.

        Parameters
        ----------
        model : caffe_gradcam.model.model.Model
        engine : str
            "auto", "caffe" or "torch".
        methods, samples, placement, fuse
            As for the class.
        gradient : str
            "post", "pre-relu" (see ``caffe_gradcam.engines.open_engine``), or "positive": as
            "post", but negative gradients count as 0.
        **options
            ``device, verbose, timeout, allow_missing, trust, precision``: see ``open_engine``.

        Raises
        ------
        InputError
            See ``open_engine``; or a method is unknown, or has no meaning for this net.
        """
        from caffe_gradcam.engines import open_engine

        choices.check(methods, METHODS, "method")
        goes_down = any(METHODS[name].at_input for name in methods)

        def open_another(prototxt, score, targets):
            return open_engine(engine, prototxt=prototxt, weights=model.weights, scores=[score],
                               targets=targets, **options)

        opened = open_engine(
            engine, prototxt=model.prototxt, weights=model.weights, scores=[model.score],
            targets=model.targets + (list(model.inputs) if goes_down else []),
            gradient="post" if gradient == "positive" else gradient, **options)
        try:
            return cls(model, opened, methods, samples, gradient == "positive", placement, fuse,
                       open_another)
        except BaseException:
            opened.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close the engine."""
        self.engine.close()
        if self._biased:
            self._biased[0].close()

    def replace_weights(self, weights):
        """Put other weights into layers, for every method; see ``Engine.replace_weights``."""
        self.engine.replace_weights(weights)
        self._weights = dict(self._loaded_weights(), **weights)
        if self._biased:
            engine = self._biased[0]
            engine.replace_weights(weights)
            self._biased = engine, self._biased_net()

    def explain(self, photographs, questions=BEST):
        """Explain some photographs in one batch: one forward pass, and one backward pass for
        the first question about every photograph, one for the second, and so on.

        Parameters
        ----------
        photographs : list of numpy.ndarray or dict
            H x W x 3 uint8 each, blue first, of any sizes; see ``preprocess.prepare``
            for nets with several inputs.
        questions : sequence of int or question
            What to ask about each photograph: classes, or questions of
            ``caffe_gradcam.asking.questions``; what comes twice is asked once. Or a list of lists,
            one for each photograph.

        Returns
        -------
        list of Result or InputError
            One per photograph, in order. An error stands for the photograph that cannot be
            explained, and says why; the others do not suffer from it.

        Raises
        ------
        InputError
            The engine failed on the batch.
        """
        return self.explain_prepared(
            [attempt(prepare, one, self.model.inputs) for one in photographs], questions)

    def explain_prepared(self, prepared, questions=BEST):
        """As :meth:`explain`, for photographs that were prepared elsewhere.

        Parameters
        ----------
        prepared : list of Prepared or InputError
        questions
            As for :meth:`explain`.
        """
        outcomes = list(prepared)
        lists = per_photograph(questions, len(outcomes))
        good = [index for index, one in enumerate(outcomes) if not isinstance(one, InputError)]
        made = in_parts(lambda part: self._explain([outcomes[index] for index in part],
                                                   [lists[index] for index in part]), good)
        for index, outcome in zip(good, itertools.chain(*made)):
            outcomes[index] = outcome
        return outcomes

    def score_blob(self, photograph):
        """What the score blob holds for a photograph: of one row's shape, the mean of its crops."""
        prepared = prepare(photograph, self.model.inputs)
        return _mean_row(Pass(self.engine, self.model.score, prepared.blobs, []).blobs[
            self.model.score])

    def _explain(self, prepared, questions):
        inputs = {name: np.concatenate([one.blobs[name] for one in prepared])
                  for name in self.model.inputs}
        batch = Pass(self.engine, self.model.score, inputs,
                     keep=[place for place in self._sources if place not in inputs],
                     together=self._together)
        batch.blobs.update(inputs)
        views = len(inputs[self.model.input]) // len(prepared)
        scores = batch.blobs[self.model.score].reshape(
            (len(prepared), views) + batch.blobs[self.model.score].shape[1:])
        answers = [attempt(self._ask, *one) for one in zip(scores, prepared, questions)]
        maps = self._maps(batch, [[] if isinstance(one, InputError) else one.seeds
                                  for one in answers], views)
        return [one if isinstance(one, InputError) else
                attempt(self._result, one, prepared[index], maps, index)
                for index, one in enumerate(answers)]

    def _ask(self, scores, prepared, questions):
        """What is to be explained of one photograph, from the scores of its crops."""
        mean = _mean_row(scores)
        geometries = prepared.geometries[self.model.input]

        def cells_of(region):
            if len(geometries) > 1:
                raise InputError("a region cannot be asked about in ten crops; take one")
            return geometries[0].cells_of(
                region, scores.shape[2:], self._placements[self.model.score])

        seeds = resolve(questions, Context(mean, self.model.link, self.model.label, cells_of))
        vectors = score_vectors(scores)
        chances = to_probabilities(vectors, self.model.link)
        return _Answer(vectors.mean(axis=0), None if chances is None else chances.mean(axis=0),
                       seeds, [float(seed.values(scores).mean()) for seed in seeds])

    def _maps(self, batch, seeds, views):
        """(rank of the question, method, place) -> {index of the photograph: V x h x w}."""
        maps = {}
        for cost in _ORDER:
            methods = [name for name in self.methods if METHODS[name].cost == cost]
            for rank in range(max(map(len, seeds)) if methods else 0):
                asked = [own[rank] if rank < len(own) else None
                         for own in seeds for _ in range(views)]
                for name, place in [(one, place) for one in methods
                                    for place in self.places[one]]:
                    evidence = self._evidence(batch, asked, place)
                    # Overflow shows as infinity or NaN in the map, and is reported there.
                    with np.errstate(over="ignore", invalid="ignore"):
                        found = METHODS[name].function(**self._needed(METHODS[name], evidence))
                    maps[rank, name, place] = {
                        row // views: found[at * views:(at + 1) * views]
                        for at, row in enumerate(evidence.rows[::views])}
                # No other question will want these gradients.
                batch.forget()
        return maps

    def _evidence(self, batch, asked, place):
        source = self._sources[place]

        def lay_over(cams_of):
            target = next((one for one in self.model.targets if self._sources[one] == source),
                          self.model.targets[0])
            return laid_over_input(cams_of(target), self._placements[target],
                                   batch.inputs[source].shape[2:])

        return Evidence(batch, asked, place, source, self.only_positive, lay_over,
                        {"class_maps": self._class_maps, "bias_gradients": self._bias_gradients})

    def _needed(self, method, evidence):
        arguments = {name: getattr(evidence, name) for name in method.needs}
        if method.samples:
            arguments["samples"] = self.samples or method.samples
        return arguments

    def _class_maps(self, batch, seeds, rows, source):
        blob, layer = heads.pooled_blob(self.model.graph, self.model.score, self.model.shapes)
        return heads.class_maps(batch.blobs[blob][rows], layer, self._loaded_weights())

    def _bias_gradients(self, batch, seeds, rows, source):
        """Bias times gradient, for every layer that adds one and looks at an input."""
        if self._biased is None:
            net = self._biased_net()
            if not net.biases:
                return []
            self._biased = self._open_another(net.prototxt, net.score, list(net.biases)), net
        engine, net = self._biased
        chosen = [blob for blob in net.biases if source in net.inputs[blob]]
        again = Pass(engine, net.score, batch.inputs, [], together=chosen)
        # One by one: together they are larger than all that the net holds.
        return (again.gradients(seeds, blob)[rows] * net.biases[blob][:, np.newaxis, np.newaxis]
                for blob in chosen)

    def _biased_net(self):
        return heads.biased_net(self.model.prototxt, self.model.score, self._loaded_weights())

    def _loaded_weights(self):
        if self._weights is None:
            self._weights = share(self.model.graph.net, weight_files.load(self.model.weights))
        return self._weights

    def _result(self, answer, prepared, maps, index):
        explanations = []
        for rank, (seed, value) in enumerate(zip(answer.seeds, answer.values)):
            for name in self.methods:
                made = [self._explanation(answer, seed, value, name, place, prepared,
                                          maps[rank, name, place][index])
                        for place in self.places[name]]
                explanations += self._fused(made) if self.fuse else made
        return Result(answer.scores, answer.probabilities, explanations)

    def _explanation(self, answer, seed, value, name, place, prepared, cams):
        if not np.isfinite(cams).all():
            raise InputError("the map of {} at {} holds NaN or infinity".format(
                seed.text if seed.class_index is None else "class " + seed.text, place))
        source, own = self._sources[place], METHODS[name].at_input
        cam, geometry, placement = combine.merge(
            cams, prepared.geometries[source], None if own else self._placements[place])
        known = answer.probabilities is not None and seed.class_index is not None
        return Explanation(
            question=seed.text,
            class_index=seed.class_index,
            label=None if seed.class_index is None else self.model.label(seed.class_index),
            score=value,
            probability=float(answer.probabilities[seed.class_index]) if known else None,
            method=name,
            target=place,
            cam=np.array(cam, np.float32),
            geometry=geometry,
            placement=placement,
            input=source,
        )

    def _fused(self, explanations):
        """One for each input, whose photographs are different ones."""
        by_input = {}
        for one in explanations:
            by_input.setdefault(one.input, []).append(one)
        return [combine.fuse(group, self.fuse) if len(group) > 1 else group[0]
                for group in by_input.values()]


class _Answer(NamedTuple):
    """What is to be explained of one photograph."""

    scores: Any
    probabilities: Any
    seeds: List
    values: List[float]


def per_photograph(questions, count):
    """Questions as a list for each of so many photographs."""
    if any(isinstance(one, list) for one in questions):
        if len(questions) != count:
            raise InputError(f"{len(questions)} lists of questions about {count} photographs")
        return list(questions)
    return [questions] * count


def attempt(function, *arguments):
    """What a function gives, or the InputError that it raises."""
    try:
        return function(*arguments)
    except InputError as error:
        return error


def _mean_row(scores):
    """The mean over a photograph's crops: K scores, or K x h x w where there is a map of them."""
    mean = scores.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean if mean.ndim == 3 and mean[0].size > 1 else mean.reshape(-1)


def _places(model, method):
    """The blobs that a method makes maps of."""
    if method.at_input:
        return list(model.inputs)
    if "class_maps" in method.needs:
        return [heads.pooled_blob(model.graph, model.score, model.shapes)[0]]
    return model.targets
