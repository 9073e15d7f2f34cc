"""Runs a net in ONNX Runtime or OpenVINO: one graph forwards, and ones back from each score; or
one graph to the maps of classes."""

import dataclasses
import functools
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.errors import EngineError, EngineFailed, ModelError

from .. import openvino_library
from ..class_maps import ClassMaps, MapRequest, MapsAtHand, PendingMaps
from ..contract import Engine, check_precision, check_rule
from ..on_device import OnDevice
from ..running import NetToRun, Running
from ..subnet import Subnet
from . import libraries
from .graphs import CLASSES, SEED, Graphs, MapGraph, Names, WayBack
from .openvino_session import OpenVinoSession
from .session import GraphFailed, RuntimeSession, Session
from .writer import Shape

WAY_OUT = "use --engine torch"

Arrays = Dict[str, np.ndarray]

# Engine -> the library that runs its graphs, and how one is compiled.
SESSIONS: Dict[str, Tuple[str, Callable[[bytes], Session]]] = {
    "onnx": ("onnxruntime", RuntimeSession), "openvino": ("openvino", OpenVinoSession)}
PRECISIONS = {"onnx": ("fp32",), "openvino": tuple(openvino_library.HINTS)}
# The methods whose maps a graph makes as well as double precision does. XGrad-CAM is not among
# them: it divides by sums that may nearly cancel.
MAP_METHODS = {"grad-cam", "grad-cam++", "hirescam", "element-wise", "layer-cam"}


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
        if kind == "onnx" and running.precision == "bf16":
            raise EngineError("ONNX Runtime does not compute in bf16 on a CPU; use --engine "
                              "openvino, or fp32", running.precision)
        check_precision(running.precision, PRECISIONS[kind], f"the {kind} engine")
        if running.device != "cpu":
            raise EngineError(f"the {kind} engine runs on the processor alone, not on "
                              f"{running.device}; {WAY_OUT}", running.device)
        library, self._compile = SESSIONS[kind]
        version = libraries.load(library).__version__
        precision = "fp32"
        if running.precision == "bf16" and openvino_library.has_bf16():
            precision = running.precision
            self._compile = functools.partial(OpenVinoSession, precision=precision)
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
        # Of each kind of request; which classes are asked about makes no difference.
        self._maps: Dict[MapRequest, Tuple[MapGraph, Session]] = {}
        self._inputs: Optional[Arrays] = None
        self._last: Arrays = {}
        self.description = {"engine": kind, "version": f"{library} {version}",
                            "device": "cpu", "precision": precision}
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

    def begin_maps(self, inputs: Mapping[str, Union[np.ndarray, OnDevice]], request: MapRequest
                   ) -> Optional[PendingMaps]:
        self.check_open()
        self._subnet.check_backward(request.score, request.layers)
        arrays = self._subnet.check_inputs(inputs)
        self._inputs, self._last = None, {}
        self._fit(arrays)
        if not self._makes_maps(request):
            return None
        if request.classes:
            rows = self._shape(request.score)[0]
            return MapsAtHand(self._class_maps(arrays, request, np.tile(
                np.array(request.classes, np.int64), (rows, 1))))
        maps = self._class_maps(arrays, request)
        best = request.classes_of(maps.scores.reshape(len(maps.scores), -1))
        if not np.array_equal(best, maps.classes):
            # OpenVINO lists equal scores in any order.
            maps = self._class_maps(arrays, request, best)
        return MapsAtHand(maps)

    def _class_maps(self, arrays: Arrays, request: MapRequest,
                    classes: Optional[np.ndarray] = None) -> ClassMaps:
        """The maps of some classes for each row, N x R, or of the best ones."""
        if classes is None:
            count = self._shape(request.score)[1]
            kind = dataclasses.replace(request, best=min(request.best, count))
        else:
            kind = dataclasses.replace(request, best=0, classes=(0,) * classes.shape[1])
        if kind not in self._maps:
            assert self._graphs is not None
            graph = self._graphs.maps(kind)
            self._maps[kind] = graph, self._compile(graph.model)
        graph, session = self._maps[kind]
        names = [graph.score, *graph.cams]
        values = _run(session, arrays if classes is None else {**arrays, CLASSES: classes},
                      [CLASSES, *names] if classes is None else names)
        classes = values.get(CLASSES, classes)
        assert classes is not None
        return ClassMaps(values[graph.score], classes, {
            key: values[cam] for key, cam in zip(kind.keys(classes.shape[1]), graph.cams)})

    def _makes_maps(self, request: MapRequest) -> bool:
        """Whether a graph can make the maps, of one score for each class."""
        score = self._shape(request.score)
        return (self._net.gradient == "post" and set(request.methods) <= MAP_METHODS
                and bool(request.best or request.classes)
                and len(score) > 1 and int(np.prod(score[2:])) == 1
                and max(request.classes, default=0) < score[1]
                and all(len(self._shape(layer)) == 4 for layer in request.layers))

    def _shape(self, blob: str) -> Shape:
        return tuple(self._subnet.shapes[blob] or ())

    def replace_weights(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        raise EngineError(f"the {self._kind} engine keeps the weights that it was opened with; "
                          f"{WAY_OUT}")

    def _free(self) -> None:
        self._graphs, self._forwards, self._means, self._back = None, {}, {}, {}
        self._sessions, self._inputs, self._last, self._maps = {}, None, {}, {}

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
        self._forwards, self._sessions, self._maps, self._sizes = {}, {}, {}, dict(sizes)
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
