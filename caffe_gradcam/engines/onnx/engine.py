"""Runs a net in ONNX Runtime or OpenVINO: one graph forwards, and ones back from each score."""

from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.errors import EngineError, EngineFailed, ModelError

from ..contract import Engine, check_precision, check_rule
from ..running import NetToRun, Running
from ..subnet import Subnet
from . import libraries
from .graphs import SEED, Graphs, Names, WayBack
from .openvino_session import OpenVinoSession
from .session import GraphFailed, RuntimeSession, Session
from .writer import Shape

WAY_OUT = "use --engine torch"

Arrays = Dict[str, np.ndarray]

# Engine -> the library that runs its graphs, and how one is compiled.
SESSIONS: Dict[str, Tuple[str, Callable[[bytes], Session]]] = {
    "onnx": ("onnxruntime", RuntimeSession), "openvino": ("openvino", OpenVinoSession)}


class OnnxEngine(Engine):
    """See ``open_engine`` and ``Engine``.

    Graphs are made for the sizes of inputs that come, with an open batch where the net has one.
    ``forward_from``, other rules than "gradient" and other weights are left to other engines.

    Parameters
    ----------
    net : NetToRun
    running : Running
    kind : str
        "onnx" or "openvino".
    """

    def __init__(self, net: NetToRun, running: Running, kind: str = "onnx") -> None:
        super().__init__()
        check_precision(running.precision, ("fp32",), f"the {kind} engine")
        if running.device != "cpu":
            raise EngineError(f"the {kind} engine runs on the processor alone, not on "
                              f"{running.device}; {WAY_OUT}", running.device)
        library, self._compile = SESSIONS[kind]
        version = libraries.load(library).__version__
        self._kind = kind
        self._net, self._running = net, running
        self._subnet = Subnet(net, running)
        self._graphs: Optional[Graphs] = None
        self._names = Names({}, [], {})
        self._sizes: Dict[str, Shape] = {}
        self._forwards: Dict[Tuple[str, ...], Session] = {}
        # Of each score; of means, of gradients.
        self._means: Dict[str, WayBack] = {}
        self._back: Dict[str, WayBack] = {}
        self._sessions: Dict[WayBack, Session] = {}
        self._inputs: Optional[Arrays] = None
        self._last: Arrays = {}
        self.description = {"engine": kind, "version": f"{library} {version}",
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
        self._inputs = None
        self._fit(arrays)
        names = self._names.values
        self._run_forward(arrays, [names[blob] for blob in [*keep, *self._net.scores]])
        self._inputs = arrays
        return {blob: np.array(self._last[names[blob]]) for blob in keep}

    def forward_from(self, blob: str, value: np.ndarray, keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> Arrays:
        raise EngineError(f"the {self._kind} engine cannot begin in the middle of a net, as this "
                          f"method needs; {WAY_OUT}", blob)

    def backward(self, score: str, top_diff: np.ndarray, targets: Iterable[str],
                 rule: str = "gradient") -> Arrays:
        self.check_open()
        check_rule(rule)
        if rule != "gradient":
            raise EngineError(f"the {self._kind} engine has no rule {rule!r}; {WAY_OUT}", rule)
        targets = list(targets)
        inputs = self._last_inputs("backward", score, targets)
        if score not in self._back:
            assert self._graphs is not None
            self._back[score] = self._graphs.back(score)
        if not self._last.keys() >= set(self._back[score].read):
            # The last forward did not know that this would be asked; later ones do.
            self._run_forward(inputs, [self._names.values[name] for name in self._net.scores])
        return self._run_back(self._back[score], score, top_diff, targets)

    def mean_gradients(self, score: str, top_diff: np.ndarray, targets: Iterable[str]) -> Arrays:
        self.check_open()
        targets = list(targets)
        self._last_inputs("mean_gradients", score, targets)
        way = self._means[score]
        means = self._run_back(way, score, top_diff,
                               [target for target in targets if target in way.targets])
        return {target: mean[:, :, np.newaxis, np.newaxis] for target, mean in means.items()}

    def replace_weights(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        raise EngineError(f"the {self._kind} engine keeps the weights that it was opened with; "
                          f"{WAY_OUT}")

    def _free(self) -> None:
        self._graphs, self._forwards, self._means, self._back = None, {}, {}, {}
        self._sessions, self._inputs, self._last = {}, None, {}

    def _last_inputs(self, call: str, score: str, targets: List[str]) -> Arrays:
        """The inputs of the last forward, after a check of what is asked."""
        self._subnet.check_backward(score, targets)
        if self._inputs is None:
            raise EngineError(f"{call} needs a forward before it")
        return self._inputs

    def _run_forward(self, arrays: Arrays, names: Sequence[str]) -> None:
        """Run the graph forwards, and hold these values, and those that ways back read."""
        ways = [*self._means.values(), *self._back.values()]
        read = [name for way in ways for name in way.read]
        outputs = tuple(sorted({*names, *read}.difference(self._names.inputs)))
        if outputs not in self._forwards:
            assert self._graphs is not None
            self._forwards[outputs] = self._compile(self._graphs.forward(outputs))
        self._last = dict(_run(self._forwards[outputs], arrays, outputs), **arrays)

    def _run_back(self, way: WayBack, score: str, top_diff: np.ndarray, targets: Sequence[str]
                  ) -> Arrays:
        if not targets:
            return {}
        if way not in self._sessions:
            self._sessions[way] = self._compile(way.model)
        scores = self._last[self._names.values[score]]
        seed = np.ascontiguousarray(top_diff, np.float32).reshape(scores.shape)
        inputs = dict({name: self._last[name] for name in way.read}, **{SEED: seed})
        values = _run(self._sessions[way], inputs, [way.targets[name] for name in targets])
        return {target: values[way.targets[target]] for target in targets}

    def _fit(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Have graphs for inputs of these sizes, made anew where they differ from the last ones."""
        sizes = {name: array.shape for name, array in arrays.items()}
        if self._graphs is None or {name: size[1:] for name, size in sizes.items()} != {
                name: size[1:] for name, size in self._sizes.items()}:
            self._build(sizes)
        if "batch" in self._names.fixed and sizes != self._sizes:
            raise ModelError(f"the net takes no other batch: {self._names.fixed['batch']}; "
                             f"{WAY_OUT}")

    def _build(self, sizes: Mapping[str, Shape]) -> None:
        self._forwards, self._sessions, self._sizes = {}, {}, dict(sizes)
        self._graphs = graphs = Graphs(self._net, self._running, self._subnet, sizes)
        self._names = graphs.names()
        scores = [score for score in self._net.scores if self._subnet.reached[score]]
        self._means = {score: graphs.means(score) for score in scores}
        # What has no closed form will be asked for, so let a refusal come at once.
        self._back = {score: graphs.back(score) for score in scores
                      if set(self._means[score].targets) != set(self._subnet.reached[score])}


def _run(session: Session, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Arrays:
    try:
        return session.run(inputs, outputs)
    except GraphFailed as error:
        raise EngineFailed(f"the net cannot be run by {error}") from error
