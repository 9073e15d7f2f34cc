"""Runs a net in PyTorch: plain tensors up to the targets, autograd from there to the scores."""

import contextlib
from typing import (
    Any,
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
import torch

from caffe_gradcam.model.preprocess import Preprocessing
from prototxt_tools import rewrite
from prototxt_tools.errors import EngineError, EngineFailed, OutOfMemory
from prototxt_tools.net.net import Layer

from ..class_maps import MapRequest, PendingMaps
from ..contract import Engine, check_rule, rectifies
from ..head import Head
from ..on_device import OnDevice
from ..running import NetToRun, Running
from ..subnet import Subnet
from . import (  # noqa: F401  (families registers)
    devices,
    families,
    graphs,
    learned,
    maps,
    means,
    memory,
    pictures,
    schedule,
    sending,
    trunk,
)
from .registry import BUILT_IN, LAYERS, tops_of
from .rules import Gate, Rule

ADVICE = ('add it with @layer("{}") of caffe_gradcam in a module that --plugin names (in Python: '
          'plugins=[...]), or run the net in a Caffe that has it')
# What torch's allocators write on CUDA and on a CPU, and cuBLAS and cuDNN without a workspace.
MEMORY_WORDS = "out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED"
# What torch 1 says to gradients after a fork.
_FORK = "fork-based multiprocessing"

Blobs = Dict[str, torch.Tensor]


class TorchEngine(Engine):
    """See ``open_engine`` and ``Engine``."""

    def __init__(self, net: NetToRun, running: Running) -> None:
        super().__init__()
        self._subnet = Subnet(
            net, running, lambda document: rewrite.native(document).document)
        self._subnet.refuse_unknown_types(set(LAYERS) | {"Input"}, "the torch engine", ADVICE)
        if not running.ignore_unknown_fields:
            self._subnet.refuse_unknown_fields(BUILT_IN.intersection(LAYERS))
        devices.survive_fork()
        self._device = devices.find(running.device, running.precision)
        self._precision = devices.usable_precision(self._device, running.precision)
        self._scores = frozenset(net.scores)
        if self._device.type == "cpu":
            memory.keep_freed()
        self._weights = learned.of_net(self._subnet, self._device)
        self._short = learned.Short(self._weights, devices.HALVES.get(self._precision))
        self._leaves = schedule.leaves(self._subnet, net.gradient)
        self._last_use = schedule.last_use(self._subnet.net.layers)
        self._kept = schedule.kept(self._subnet)
        self._heads: Dict[Tuple[str, Tuple[str, ...]], Head] = {}
        self._means = means.Means(self._subnet, self._weights, net.gradient)
        self._rule = Rule()
        self._blobs: Optional[Blobs] = None
        self._marked: Blobs = {}
        self.description = {"engine": "torch", "version": str(torch.__version__),
                            "device": running.device, "precision": self._precision}
        self._sender = sending.Sender(self._device)
        self._pictures: Optional[pictures.Pictures] = None
        self._graphs = graphs.Graphs(self._device)
        self._trunk = self._accelerated()

    def settle(self, rows: int) -> None:
        self._graphs.patience = 0
        if self._trunk is not None:
            self._trunk.rows = rows

    def forward(self, inputs: Mapping[str, np.ndarray],
                keep: Iterable[str]) -> Dict[str, np.ndarray]:
        self.check_open()
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        self._blobs, self._marked = None, {}
        with self._translated_errors():
            return self._forward(arrays, keep)

    def begin_maps(self, inputs: Mapping[str, Union[np.ndarray, OnDevice]], request: MapRequest
                   ) -> Optional[PendingMaps]:
        self.check_open()
        if not set(request.methods) <= set(maps.METHODS):
            return None
        self._subnet.check_backward(request.score, request.layers)
        arrays = self._subnet.check_inputs(inputs)
        self._blobs, self._marked = None, {}
        with self._translated_errors():
            self._choose_products()
            names = list(arrays)
            sent = [self._sender.send(arrays[name]) for name in names]
            try:
                made = self._graphs.run(
                    lambda tensors: self._made(dict(zip(names, tensors)), request), sent,
                    request)
            except maps.NoMaps:
                return None
            if self._graphs.failure:
                self.description["graph"] = "not recorded: " + self._graphs.failure
            return maps.Pending(made, request, self._translated_errors)

    def expect(self, array: np.ndarray) -> None:
        self._sender.expect(array)

    def expect_pictures(self, preprocessing: Preprocessing) -> None:
        self._pictures = pictures.Pictures(self._sender, preprocessing)

    def read_pictures(self, places: np.ndarray, sizes: np.ndarray) -> OnDevice:
        self.check_open()
        assert self._pictures is not None  # expect_pictures comes first
        with self._translated_errors():
            return self._pictures.read(places, sizes)

    def forward_from(self, blob: str, value: np.ndarray, keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> Dict[str, np.ndarray]:
        self.check_open()
        keep = list(keep)
        if self._blobs is None:
            raise EngineError("forward_from needs a forward before it")
        head = self._head(blob, keep)
        value, chosen_rows = head.check(value, rows)
        for side in head.sides:
            if side not in self._blobs:
                raise EngineError(f"layers behind blob {blob!r} read blob {side!r} too, which is "
                                  "gone; name it in what the forward keeps", side)
        with self._translated_errors(), torch.no_grad():
            tensors = {side: self._blobs[side] if chosen is None else self._blobs[side][chosen]
                       for side, chosen in chosen_rows.items()}
            tensors[blob] = trunk.laid_out(torch.from_numpy(value).to(self._device))
            return self._run_head(head, tensors, keep)

    def backward(self, score: str, top_diff: np.ndarray, targets: Iterable[str],
                 rule: str = "gradient") -> Dict[str, np.ndarray]:
        self.check_open()
        targets = list(targets)
        check_rule(rule)
        self._subnet.check_backward(score, targets)
        if self._blobs is None:
            raise EngineError("backward needs a forward before it")
        with self._translated_errors():
            arrays = self._backward(self._blobs[score], top_diff, targets, rule)
        for target in targets:
            if target not in arrays:
                raise EngineError(f"no gradient reaches blob {target!r}: a layer between it and "
                                  f"{score!r} passes none", target)
        return arrays

    def mean_gradients(self, score: str, top_diff: np.ndarray, targets: Iterable[str]
                       ) -> Dict[str, np.ndarray]:
        self.check_open()
        targets = list(targets)
        self._subnet.check_backward(score, targets)
        if self._blobs is None:
            raise EngineError("mean_gradients needs a forward before it")
        top = self._blobs[score]
        with self._translated_errors():
            self._choose_products()
            by_target = self._means_at(score, top, self._seed(top_diff, top), targets)
            return {target: _array(mean) for target, mean in by_target.items()}

    def replace_weights(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.check_open()
        for name, arrays in self._subnet.check_replaced(weights).items():
            layer = self._subnet.net.layer(name)
            assert layer is not None  # The check would have refused it.
            for index, array in arrays.items():
                self._weights[name][index] = learned.laid_out(
                    layer, torch.from_numpy(array).to(self._device))
        self._blobs, self._marked = None, {}
        self._short.forget()
        self._means.forget_weights()
        self._graphs.forget()
        if self._trunk is not None:
            self._trunk.forget()

    def _free(self) -> None:
        self._weights.clear()
        self._blobs, self._marked, self._trunk = None, {}, None
        self._short.forget()
        self._means.forget_weights()
        self._graphs.forget()

    def _forward(self, arrays: Mapping[str, np.ndarray],
                 keep: Sequence[str]) -> Dict[str, np.ndarray]:
        self._choose_products()
        blobs = {name: self._sender.send(array) for name, array in arrays.items()}
        self._run_net(blobs, keep)
        self._subnet.complete_shapes(self._kept.union(keep),
                                     lambda blob: tuple(blobs[blob].shape))
        return {name: _array(blobs[name]) for name in keep}

    def _made(self, blobs: Blobs, request: MapRequest) -> List[torch.Tensor]:
        """Scores, classes and maps from inputs on the device; raises NoMaps."""
        self._run_net(blobs, [request.score])
        top = blobs[request.score]
        return maps.make(
            top, {layer: self._marked[layer] for layer in request.layers}, request,
            lambda seed: self._means_at(request.score, top, seed, request.layers))

    def _run_net(self, blobs: Blobs, keep: Sequence[str]) -> None:
        """Run the net on the inputs among some blobs, to which the kept ones are added."""
        self._marked = {}
        self._means.begin()
        self._mark(-1, blobs)
        held = self._kept.union(keep)
        begin = self._run_trunk(blobs, keep)
        for index, layer in enumerate(self._subnet.net.layers[begin:], begin):
            if layer.type != "Input":
                blobs.update(zip(layer.tops, self._run(layer, blobs)))
            self._mark(index, blobs)
            self._means.note(index, blobs)
            for blob in self._last_use[index]:
                if blob not in held:
                    blobs.pop(blob, None)
        self._blobs = {name: blobs[name] for name in held}

    def _backward(self, top: torch.Tensor, top_diff: np.ndarray, targets: Sequence[str],
                  rule: str) -> Dict[str, np.ndarray]:
        """The gradients, as far as any reaches a target."""
        if not top.requires_grad:
            return {}
        self._choose_products()
        with self._rule.set(rule):
            gradients = torch.autograd.grad(
                top, [self._marked[target] for target in targets], self._seed(top_diff, top),
                retain_graph=True, allow_unused=True)
        return {target: _array(gradient) for target, gradient in zip(targets, gradients)
                if gradient is not None}

    def _seed(self, top_diff: np.ndarray, top: torch.Tensor) -> torch.Tensor:
        """A gradient at a score blob, on the device."""
        seed = torch.from_numpy(np.array(top_diff, np.float32)).to(self._device)
        return seed.reshape(top.shape)

    def _means_at(self, score: str, top: torch.Tensor, seed: torch.Tensor,
                  targets: Sequence[str]) -> Blobs:
        """Mean gradients at the targets that have a closed form."""
        cells = {target: self._marked[target][0, 0].numel() for target in targets
                 if self._marked[target].dim() == 4}
        return self._means.at(score, top, seed, cells)

    def _head(self, blob: str, keep: Sequence[str]) -> Head:
        key = blob, tuple(keep)
        if key not in self._heads:
            self._heads[key] = Head(self._subnet, blob, keep)
        return self._heads[key]

    def _run_head(self, head: Head, blobs: Blobs, keep: Sequence[str]) -> Dict[str, np.ndarray]:
        self._choose_products()
        for layer, gone in zip(head.layers, schedule.last_use(head.layers)):
            blobs.update(zip(layer.tops, self._run(layer, blobs)))
            for blob in set(gone).difference(keep):
                del blobs[blob]
        return {name: _array(blobs[name]) for name in keep}

    def _accelerated(self) -> Optional[trunk.Trunk]:
        """The layers below the lowest target as a ``Trunk``, or None where nothing is gained."""
        if not self._leaves:
            return None
        layers = self._subnet.net.layers[:min(self._leaves) + 1]
        read = {blob for layer in layers for blob in layer.bottoms}
        if self._device.type != "cpu" or not trunk.VERSION or not read:
            return None
        if devices.is_forked():  # OpenVINO's threads do not survive it either.
            return None
        written = {blob for layer in layers if layer.type != "Input" for blob in layer.tops}
        gone = {blob for blobs in self._last_use[:len(layers)] for blob in blobs}
        return trunk.Trunk(
            layers, self._weights,
            inputs=[entry.blob for entry in self._subnet.net.inputs if entry.blob in read],
            outputs=sorted(written - (gone - self._kept)), precision=self._precision)

    def _run_trunk(self, blobs: Blobs, keep: Sequence[str]) -> int:
        """Run the layers below the lowest target at once, if possible; how many have run."""
        if self._trunk is None or not self._trunk.gives(keep):
            return 0
        tops = self._trunk.run(blobs)
        if self._trunk.failure:
            self.description["trunk"] = "not openvino: " + self._trunk.failure
            self._trunk = None
        if tops is None:
            return 0
        self.description["trunk"] = f"openvino {trunk.VERSION}"
        blobs.update(tops)
        last = min(self._leaves)
        self._mark(last, blobs)
        return last + 1

    def _run(self, layer: Layer, blobs: Blobs) -> List[torch.Tensor]:
        bottoms = [blobs[bottom] for bottom in layer.bottoms]
        is_score = not self._scores.isdisjoint(layer.tops)
        is_short = (self._precision in devices.HALVES and layer.type in devices.SHORT
                    and not is_score)
        if not is_short:
            bottoms = [bottom.float() if bottom.is_floating_point() else bottom
                       for bottom in bottoms]
        try:
            with self._arithmetic(is_score):
                tops = tops_of(layer, bottoms, self._short.of(layer) if is_short
                               else self._weights[layer.name])
            tops = [top.to(self._device, top.dtype if is_short else torch.float32)
                    for top in tops]
            if bottoms and bottoms[0].requires_grad and rectifies(layer):
                tops = [Gate.apply(self._rule, bottoms[0], tops[0])]
            return tops
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            if _is_about_memory(error) or devices.is_fatal(error):
                raise
            sizes = " and ".join(" x ".join(map(str, bottom.shape)) for bottom in bottoms)
            reason = str(error).split("\n")[0]
            raise EngineError(f"layer {layer.name} ({layer.type}) fails on {sizes}: {reason}",
                              layer.name) from error

    def _choose_products(self) -> None:
        """The switches of CUDA's libraries are the process's, so each pass sets its own."""
        if self._device.type == "cuda":
            devices.set_tf32(self._precision)

    def _arithmetic(self, is_score: bool) -> ContextManager[Any]:
        """The context in which a layer computes: scores in float32, so that close ones differ."""
        if self._precision in devices.HALVES and not is_score:
            return torch.autocast(self._device.type, devices.HALVES[self._precision])
        return contextlib.ExitStack()  # A null context, for Python 3.6 too.

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise OutOfMemory for torch's errors of memory, EngineFailed where CUDA is lost,
        EngineError after a fork."""
        try:
            yield
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[0]
            if devices.is_fatal(error):
                raise EngineFailed(f"the torch engine can run nothing more in this process "
                                   f"({reason})") from error
            if _FORK in reason:
                raise EngineError("torch computes no gradients in a process that was forked from "
                                  "one in which it had computed some; start processes with "
                                  "multiprocessing.set_start_method('spawn')") from None
            if not _is_about_memory(error):
                raise
            if self._blobs is None:  # It was a forward; otherwise what the last one left stays.
                self._marked = {}
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory(f"the memory of {self._device} does not hold this batch; give a "
                              f"smaller one ({reason})") from None

    def _mark(self, index: int, blobs: Blobs) -> None:
        """Let autograd begin, or note its course, at the targets that hold their value now."""
        for target in self._leaves.get(index, ()):
            # Gradients are summed up in full numbers.
            tensor = blobs[target].float()
            # A view keeps a target apart from a blob that shares its tensor.
            marked = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach()
            blobs[target] = self._marked[target] = marked.requires_grad_()


def _is_about_memory(error: Exception) -> bool:
    return any(words in str(error) for words in MEMORY_WORDS)


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A copy, since the tensor lives on in the graph that backward walks."""
    array = tensor.detach().float().cpu().numpy()
    return np.array(array) if tensor.device.type == "cpu" else array
