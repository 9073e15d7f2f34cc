"""The graphs that an engine runs: forwards, and back from each score."""

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.class_maps import MapRequest
from caffe_gradcam.engines.onnx import maps
from caffe_gradcam.engines.onnx.backward.gradients import Gradients
from caffe_gradcam.engines.onnx.backward.shares import Shares
from caffe_gradcam.engines.onnx.identity import identity
from caffe_gradcam.engines.onnx.net import Translated, translate
from caffe_gradcam.engines.onnx.store import Store
from caffe_gradcam.engines.onnx.writer import INT64, Shape, Value, Writer
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.engines.subnet import Subnet
from caffe_gradcam.model import user_folder
from prototxt_tools.files import parse_json

# The input of a graph that leads back: the gradient at the score.
SEED = "gradient at the score"
# Of a graph that makes maps: the classes of each row, an output where they are the best ones.
CLASSES = "classes of the maps"


@dataclass(frozen=True, eq=False)
class Names:
    """What the graph forwards calls things.

    Attributes
    ----------
    values : dict
        Blob -> its value.
    inputs : list of str
    fixed : dict
        See ``Translated``.
    """

    values: Dict[str, str]
    inputs: List[str]
    fixed: Dict[str, str]


@dataclass(frozen=True, eq=False)
class WayBack:
    """A graph from the gradient at a score to gradients at targets, or to their means.

    Attributes
    ----------
    model : bytes
        Of a .onnx file.
    targets : dict
        Target -> output.
    read : list of str
        Values of the graph forwards that it reads.
    """

    model: bytes
    targets: Dict[str, str]
    read: List[str]


@dataclass(frozen=True, eq=False)
class MapGraph:
    """A graph from the inputs to maps of classes.

    Attributes
    ----------
    model : bytes
        Of a .onnx file.
    score : str
        The output with the scores.
    cams : list of str
        The outputs with the maps: by class, then by method, then by layer.
    """

    model: bytes
    score: str
    cams: List[str]


# A graph as the bytes of a .onnx file, and what is to be known of it, as values of JSON.
_Part = Tuple[bytes, Dict[str, Any]]


class Graphs:
    """The graphs of a net for inputs of some sizes, with an open batch where the net has one.

    They are kept in the folder ``graphs`` of what is kept for a user, and found there again.

    Parameters
    ----------
    net : NetToRun
    running : Running
    subnet : Subnet
        Of that net.
    sizes : dict
        Input -> shape.
    """

    def __init__(self, net: NetToRun, running: Running, subnet: Subnet,
                 sizes: Mapping[str, Shape]) -> None:
        self._net, self._running, self._subnet, self._sizes = net, running, subnet, sizes
        self._translation: Optional[Translated] = None
        self._shares: Optional[Shares] = None
        self._identity = identity(net, running, sizes)
        self._store = Store(os.path.join(user_folder.path(), "graphs"))

    def names(self) -> Names:
        """What the graph forwards calls things."""
        return Names(**self._kept("names", self._make_names)[1])

    def forward(self, outputs: Sequence[str]) -> bytes:
        """The graph forwards with some values as outputs."""
        return self._kept("forward " + json.dumps(outputs), lambda: self._make_forward(outputs))[0]

    def back(self, score: str) -> WayBack:
        """To the gradients at all targets that a score depends on.

        Raises
        ------
        Unsupported
            The gradient of a layer between them is not known.
        """
        model, names = self._kept("back " + score, lambda: self._make_back(score))
        return WayBack(model, **names)

    def means(self, score: str) -> WayBack:
        """To the means of the gradients at those targets that have a closed form, N x C."""
        model, names = self._kept("means " + score, lambda: self._make_means(score))
        return WayBack(model, **names)

    def maps(self, request: MapRequest) -> MapGraph:
        """To the maps of a request; they have to be maps of the blobs' last values.

        Raises
        ------
        Unsupported
            The gradient of a layer is not known.
        """
        # Which classes are asked about is an input; only their number makes a difference.
        facts = dict(dataclasses.asdict(request), classes=len(request.classes))
        model, names = self._kept("maps " + json.dumps(facts, sort_keys=True),
                                  lambda: self._make_maps(request))
        return MapGraph(model, **names)

    def _kept(self, name: str, make: Callable[[], _Part]) -> _Part:
        """A part of the net's graphs from disk, or made and kept there."""
        key = None if self._identity is None else f"{self._identity} {name}"
        content = None if key is None else self._store.get(key)
        if content is not None:
            facts, model = content.split(b"\n", 1)
            return model, parse_json(facts.decode())
        model, values = make()
        if key is not None:
            self._store.put(key, json.dumps(values).encode() + b"\n" + model)
        return model, values

    def _make_names(self) -> _Part:
        translated = self._translated()
        return b"", {"values": {blob: value.name for blob, value in translated.values.items()},
                     "inputs": [value.name for value in translated.inputs],
                     "fixed": dict(translated.fixed)}

    def _make_forward(self, outputs: Sequence[str]) -> _Part:
        translated = self._translated()
        known = {top.name: top for step in translated.steps.values() for top in step.tops}
        if not known.keys() >= set(outputs):
            # Ways back that come from disk read shares that have yet to be written here.
            for score in self._net.scores:
                self._make_means(score)
            known.update((value.name, value) for value in self._written_shares().values)
        return translated.writer.part(
            translated.writer.nodes, translated.inputs, [known[name] for name in outputs]), {}

    def _make_back(self, score: str) -> _Part:
        translated = self._translated()
        targets = {target: self._target(translated, target)
                   for target in self._subnet.reached[score]}
        return _back(translated, self._written_shares(), score, lambda gradients: {
            target: (gradients.at(value), value) for target, value in targets.items()})

    def _make_means(self, score: str) -> _Part:
        translated = self._translated()
        reached = self._subnet.reached[score] if self._net.gradient == "post" else []

        def write(gradients: Gradients) -> Dict[str, Tuple[str, Value]]:
            values = {target: translated.values[target] for target in reached
                      if gradients.terms(target)}
            return {target: (gradients.mean_at(target),
                             Value("", value.shape[:2], value.open_axes & {0}))
                    for target, value in values.items()}

        return _back(translated, self._written_shares(), score, write)

    def _make_maps(self, request: MapRequest) -> _Part:
        translated, shares = self._translated(), self._written_shares()
        writer, score = translated.writer, translated.values[request.score]
        rows, is_open = score.shape[0], score.open_axes & {0}
        count = request.best or len(request.classes)
        classes = Value(CLASSES, (rows, count), is_open, INT64)
        inputs, outputs = list(translated.inputs), [score]
        with _apart(writer) as nodes:
            step = translated.added("maps")
            if request.best:
                _, best = step.ops("TopK", 2, step.op("Flatten", score, axis=1),
                                   np.array([count], np.int64), axis=1)
                writer.rename(best, CLASSES, "maps/classes")
            (outputs if request.best else inputs).append(classes)
            cams = []
            for rank in range(count):
                seed = maps.seed(step, maps.of_rank(step, CLASSES, rank), score)
                gradients = Gradients(translated, request.score, seed, shares)
                cams += [
                    Value(maps.of_layer(method, step, layer, gradients, request.only_positive),
                          (rows, *translated.values[layer].sizes(2)), is_open)
                    for method in request.methods for layer in request.layers]
        return writer.part([*writer.nodes, *nodes], inputs, [*outputs, *cams]), {
            "score": score.name, "cams": [cam.name for cam in cams]}

    def _translated(self) -> Translated:
        if self._translation is None:
            blobs = (*self._net.scores, *self._net.targets)
            self._translation = translate(
                dataclasses.replace(self._net, scores=blobs), self._running,
                input_shapes=self._sizes)
        return self._translation

    def _written_shares(self) -> Shares:
        if self._shares is None:
            self._shares = Shares(self._translated())
        return self._shares

    def _target(self, translated: Translated, target: str) -> Value:
        """Where the gradient of a target is meant: at its last value, or before in-place layers."""
        if self._net.gradient == "post":
            return translated.values[target]
        for value in translated.inputs:
            if value.name == target:
                return value
        for index in sorted(translated.steps):
            for top, name in zip(translated.steps[index].tops,
                                 translated.steps[index].message.top):
                if name == target:
                    return top
        return translated.values[target]


def _back(translated: Translated, shares: Shares, score: str, write: Any) -> _Part:
    """A way back as a graph of its own.

    ``write`` is given the ``Gradients`` of the score, and gives for each target the name of what
    it has written, and a ``Value`` of that shape.
    """
    writer, value = translated.writer, translated.values[score]
    with _apart(writer) as nodes:
        targets = write(Gradients(translated, score, SEED, shares))
    if not targets:
        return b"", {"targets": {}, "read": []}
    written = {name for node in nodes for name in node.output}
    read = sorted({name for node in nodes for name in node.input
                   if name and name not in written and name not in writer.constants})
    known = {top.name: top for step in translated.steps.values()
             for top in [*step.bottoms, *step.tops]}
    known.update((value.name, value) for value in shares.values)
    seed = Value(SEED, value.shape, value.open_axes)
    inputs = [seed if name == SEED else known[name] for name in read]
    outputs = [Value(name, shaped.shape, shaped.open_axes) for name, shaped in targets.values()]
    return writer.part(nodes, inputs, outputs), {
        "targets": {target: name for target, (name, _) in targets.items()},
        "read": [name for name in read if name != SEED]}


@contextlib.contextmanager
def _apart(writer: Writer) -> Iterator[List[Any]]:
    """The nodes that are written meanwhile, which are not to be among the net's."""
    before, writer.nodes = writer.nodes, []
    try:
        yield writer.nodes
    finally:
        writer.nodes = before
