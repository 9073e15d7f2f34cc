"""Runs a net in ONNX Runtime: one graph forwards, and one back from each score."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.errors import EngineError, EngineFailed, ModelError

from ..contract import Engine, check_precision, check_rule
from ..running import NetToRun, Running
from ..subnet import Subnet
from . import libraries
from .backward.gradients import Gradients
from .net import Translated, translate
from .session import Session, is_of_runtime, reason_of
from .writer import Shape, Value

WAY_OUT = "use --engine torch"
# The input of a graph that leads back: the gradient at the score.
_SEED = "gradient at the score"

Arrays = Dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Back:
    """The graph from a score to the targets.

    Attributes
    ----------
    session : Session
    targets : dict
        Target -> output.
    read : list of str
        Values of the graph forwards that it reads.
    """

    session: Session
    targets: Dict[str, str]
    read: List[str]


class OnnxEngine(Engine):
    """See ``open_engine`` and ``Engine``.

    Graphs are made for the sizes of inputs that come, with an open batch where the net has one.
    ``forward_from``, other rules than "gradient" and other weights are left to other engines.
    """

    def __init__(self, net: NetToRun, running: Running) -> None:
        super().__init__()
        check_precision(running.precision, ("fp32",), "the onnx engine")
        if running.device != "cpu":
            raise EngineError(f"the onnx engine runs on the processor alone, not on "
                              f"{running.device}; {WAY_OUT}", running.device)
        runtime = libraries.load("onnxruntime")
        self._net, self._running = net, running
        self._subnet = Subnet(net, running)
        self._translated: Optional[Translated] = None
        self._sizes: Dict[str, Shape] = {}
        self._forwards: Dict[Tuple[str, ...], Session] = {}
        self._back: Dict[str, _Back] = {}
        self._last: Optional[Arrays] = None
        self._scores: Dict[str, Shape] = {}
        self.description = {"engine": "onnx", "version": f"onnxruntime {runtime.__version__}",
                            "device": "cpu", "precision": "fp32"}
        if all(entry.shape for entry in self._subnet.net.inputs):
            self._build({entry.blob: tuple(entry.shape or ())
                         for entry in self._subnet.net.inputs})

    def forward(self, inputs: Mapping[str, np.ndarray],
                keep: Iterable[str]) -> Arrays:
        self.check_open()
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        self._last = None
        translated = self._fitting(arrays)
        names = {blob: translated.values[blob].name for blob in [*keep, *self._net.scores]}
        read = [name for back in self._back.values() for name in back.read]
        given = {value.name for value in translated.inputs}
        outputs = tuple(sorted({*names.values(), *read} - given))
        if outputs not in self._forwards:
            self._forwards[outputs] = Session(_graph(translated, outputs))
        values = dict(self._run(self._forwards[outputs], arrays, outputs), **arrays)
        self._last = {name: values[name] for name in read}
        self._scores = {score: values[names[score]].shape for score in self._net.scores}
        return {blob: np.array(values[names[blob]]) for blob in keep}

    def forward_from(self, blob: str, value: np.ndarray, keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> Arrays:
        raise EngineError("the onnx engine cannot begin in the middle of a net, as this method "
                          f"needs; {WAY_OUT}", blob)

    def backward(self, score: str, top_diff: np.ndarray, targets: Iterable[str],
                 rule: str = "gradient") -> Arrays:
        self.check_open()
        check_rule(rule)
        if rule != "gradient":
            raise EngineError(f"the onnx engine has no rule {rule!r}; {WAY_OUT}", rule)
        targets = list(targets)
        self._subnet.check_backward(score, targets)
        if self._last is None:
            raise EngineError("backward needs a forward before it")
        back = self._back[score]
        seed = np.ascontiguousarray(top_diff, np.float32).reshape(self._scores[score])
        outputs = [back.targets[target] for target in targets]
        values = self._run(back.session, dict(self._last, **{_SEED: seed}), outputs)
        return {target: values[back.targets[target]] for target in targets}

    def replace_weights(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        raise EngineError(f"the onnx engine keeps the weights that it was opened with; {WAY_OUT}")

    def _free(self) -> None:
        self._forwards, self._back, self._last, self._translated = {}, {}, None, None

    def _run(self, session: Session, inputs: Mapping[str, np.ndarray],
             outputs: Sequence[str]) -> Arrays:
        try:
            return session.run(inputs, outputs)
        except Exception as error:
            if not is_of_runtime(error):
                raise
            raise EngineFailed(f"ONNX Runtime failed: {reason_of(error)}") from error

    def _fitting(self, arrays: Mapping[str, np.ndarray]) -> Translated:
        """The graphs for inputs of these sizes, made anew where they differ from the last ones."""
        sizes = {name: array.shape for name, array in arrays.items()}
        if self._translated is None or {name: size[1:] for name, size in sizes.items()} != {
                name: size[1:] for name, size in self._sizes.items()}:
            self._build(sizes)
        assert self._translated is not None
        if "batch" in self._translated.fixed and sizes != self._sizes:
            raise ModelError(f"the net takes no other batch: {self._translated.fixed['batch']}; "
                             f"{WAY_OUT}")
        return self._translated

    def _build(self, sizes: Mapping[str, Shape]) -> None:
        self._forwards, self._back, self._sizes = {}, {}, dict(sizes)
        blobs = (*self._net.scores, *self._net.targets)
        translated = translate(dataclasses.replace(self._net, scores=blobs), self._running,
                               input_shapes=sizes)
        for score in self._net.scores:
            if self._subnet.reached[score]:
                self._back[score] = self._backwards(translated, score)
        self._translated = translated

    def _backwards(self, translated: Translated, score: str) -> _Back:
        """Write the way back from a score, as a graph of its own."""
        writer, value = translated.writer, translated.values[score]
        before, writer.nodes = writer.nodes, []
        gradients = Gradients(translated, score, _SEED)
        targets = {target: gradients.at(self._target(translated, target))
                   for target in self._subnet.reached[score]}
        nodes, writer.nodes = writer.nodes, before
        made = {name for node in nodes for name in node.output}
        read = sorted({name for node in nodes for name in node.input
                       if name and name not in made and name not in writer.constants})
        known = {top.name: top for step in translated.steps.values()
                 for top in [*step.bottoms, *step.tops]}
        seed = Value(_SEED, value.shape, value.open_axes)
        inputs = [seed if name == _SEED else known[name] for name in read]
        outputs = [Value(name, self._target(translated, target).shape,
                         self._target(translated, target).open_axes)
                   for target, name in targets.items()]
        model = writer.part(nodes, inputs, outputs)
        return _Back(Session(model), targets, [name for name in read if name != _SEED])

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


def _graph(translated: Translated, outputs: Sequence[str]) -> bytes:
    """The graph forwards, as bytes, with some values as outputs."""
    known = {top.name: top for step in translated.steps.values() for top in step.tops}
    model: Any = translated.writer.part(
        translated.writer.nodes, translated.inputs, [known[name] for name in outputs])
    return bytes(model)
