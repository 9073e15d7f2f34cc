"""Runs a net in PyTorch: plain tensors up to the targets, autograd from there to the scores."""

import contextlib

import numpy as np
import torch

from ..base import PRECISIONS, Engine, check_precision, check_rule, device_index, rectifies
from ..errors import EngineError, OutOfMemory
from ..fillers import fill
from ..head import Head
from ..subnet import Subnet
from . import memory, trunk
from .registry import LAYERS
from .rules import Gate, Rule

ADVICE = ('add it with @layer("{}") of caffe_gradcam.engines.torch, or run the net in a Caffe '
          'that has it')
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# What torch's allocators say on CUDA and on a CPU; and cuBLAS and cuDNN, whose own memory is short.
MEMORY_WORDS = "out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED"


class TorchEngine(Engine):
    """See ``open_engine`` and ``Engine``."""

    def __init__(self, prototxt, weights, scores, targets, gradient="post", device="cpu",
                 allow_missing=False, trust=False, precision="fp32"):
        self._subnet = Subnet(
            prototxt, weights, scores, targets, gradient, allow_missing, trust)
        self._subnet.refuse_unknown_types(set(LAYERS) | {"Input"}, "the torch engine", ADVICE)
        self._device = _device(device, precision)
        if self._device.type == "cpu":
            memory.keep_freed()
        self._precision = precision
        self._weights = {
            layer.name: [_laid_out(layer, torch.from_numpy(array).to(self._device, torch.float32))
                         for array in _weights(self._subnet, layer)]
            for layer in self._subnet.net.layers}
        self._leaves = _leaves(self._subnet, gradient)
        self._last_use = _last_use(self._subnet.net.layers)
        self._kept = _kept(self._subnet)
        self._heads = {}
        self._rule = Rule()
        self._blobs = None
        self._marked = {}
        self.description = {"engine": "torch", "version": torch.__version__, "device": device,
                            "precision": precision}
        self._trunk = self._accelerated()

    def forward(self, inputs, keep):
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        self._blobs, self._marked = None, {}
        with self._memory():
            return self._forward(arrays, keep)

    def forward_from(self, blob, value, keep, rows=None):
        if self._blobs is None:
            raise EngineError("forward_from needs a forward before it")
        head = self._head(blob, tuple(keep))
        value, rows = head.check(value, rows)
        for side in head.sides:
            if side not in self._blobs:
                raise EngineError("layers behind blob {!r} read blob {!r} too, which is gone; name "
                                  "it in what the forward keeps".format(blob, side))
        with self._memory(), torch.no_grad():
            blobs = {side: self._blobs[side] if chosen is None else self._blobs[side][chosen]
                     for side, chosen in rows.items()}
            blobs[blob] = trunk.laid_out(torch.from_numpy(value).to(self._device))
            return self._run_head(head, blobs, keep)

    def _run_head(self, head, blobs, keep):
        for layer, gone in zip(head.layers, _last_use(head.layers)):
            blobs.update(zip(layer.tops, self._run(layer, blobs)))
            for blob in set(gone).difference(keep):
                del blobs[blob]
        return {name: _array(blobs[name]) for name in keep}

    def _head(self, blob, keep):
        if (blob, keep) not in self._heads:
            self._heads[blob, keep] = Head(self._subnet, blob, keep)
        return self._heads[blob, keep]

    def _forward(self, arrays, keep):
        blobs = {name: _sent(array, self._device) for name, array in arrays.items()}
        self._mark(-1, blobs)
        held = self._kept.union(keep)
        begin = self._run_trunk(blobs, keep)
        for index, layer in enumerate(self._subnet.net.layers[begin:], begin):
            if layer.type != "Input":
                blobs.update(zip(layer.tops, self._run(layer, blobs)))
            self._mark(index, blobs)
            for blob in self._last_use[index]:
                if blob not in held:
                    blobs.pop(blob, None)
        self._blobs = {name: blobs[name] for name in held}
        return {name: _array(blobs[name]) for name in keep}

    def backward(self, score, top_diff, targets, rule="gradient"):
        targets = list(targets)
        check_rule(rule)
        self._subnet.check_backward(score, targets)
        if self._blobs is None:
            raise EngineError("backward needs a forward before it")
        top = self._blobs[score]
        seed = torch.from_numpy(np.array(top_diff, np.float32)).to(self._device)
        gradients = [None] * len(targets)
        if top.requires_grad:
            with self._memory(), self._rule.set(rule):
                gradients = torch.autograd.grad(
                    top, [self._marked[target] for target in targets], seed.reshape(top.shape),
                    retain_graph=True, allow_unused=True)
        for target, gradient in zip(targets, gradients):
            if gradient is None:
                raise EngineError("no gradient reaches blob {!r}: a layer between it and {!r} "
                                  "passes none".format(target, score))
        return {target: _array(gradient) for target, gradient in zip(targets, gradients)}

    def replace_weights(self, weights):
        for name, arrays in self._subnet.check_replaced(weights).items():
            layer = self._subnet.net.layer(name)
            for index, array in arrays.items():
                self._weights[name][index] = _laid_out(
                    layer, torch.from_numpy(array).to(self._device))
        self._blobs, self._marked = None, {}
        if self._trunk is not None:
            self._trunk.forget()

    def close(self):
        self._weights, self._blobs, self._marked = {}, None, {}

    def _accelerated(self):
        """The layers below the lowest target as a ``Trunk``, or None where nothing is gained."""
        layers = self._subnet.net.layers[:min(self._leaves) + 1]
        read = {blob for layer in layers for blob in layer.bottoms}
        if self._device.type != "cpu" or not trunk.VERSION or not read:
            return None
        written = {blob for layer in layers if layer.type != "Input" for blob in layer.tops}
        gone = {blob for blobs in self._last_use[:len(layers)] for blob in blobs}
        return trunk.Trunk(
            layers, self._weights,
            inputs=[entry.blob for entry in self._subnet.net.inputs if entry.blob in read],
            outputs=sorted(written - (gone - self._kept)), precision=self._precision)

    def _run_trunk(self, blobs, keep):
        """Run the layers below the lowest target at once, if possible; how many have run."""
        if self._trunk is None or not self._trunk.gives(keep):
            return 0
        tops = self._trunk.run(blobs)
        if self._trunk.failure:
            self.description["trunk"] = "not openvino: " + self._trunk.failure
            self._trunk = None
        if tops is None:
            return 0
        self.description["trunk"] = "openvino " + trunk.VERSION
        blobs.update(tops)
        last = min(self._leaves)
        self._mark(last, blobs)
        return last + 1

    def _run(self, layer, blobs):
        bottoms = [blobs[bottom] for bottom in layer.bottoms]
        try:
            with self._arithmetic():
                tops = LAYERS[layer.type](layer.message, bottoms, self._weights[layer.name])
            tops = [top.to(self._device, torch.float32) for top in tops]
            if bottoms and bottoms[0].requires_grad and rectifies(layer):
                tops = [Gate.apply(self._rule, bottoms[0], tops[0])]
            return tops
        except (RuntimeError, ValueError, IndexError) as error:
            if _is_about_memory(error):
                raise
            sizes = " and ".join(" x ".join(map(str, bottom.shape)) for bottom in bottoms)
            raise EngineError("layer {} ({}) fails on {}: {}".format(
                layer.name, layer.type, sizes, str(error).split("\n")[0])) from error

    def _arithmetic(self):
        """The context in which layers compute."""
        if self._precision in HALVES:
            return torch.autocast(self._device.type, HALVES[self._precision])
        return contextlib.ExitStack()  # A null context, for Python 3.6 too.

    @contextlib.contextmanager
    def _memory(self):
        """Turn an allocator's complaint into an OutOfMemory, of what computes in this precision."""
        self._set_tf32()
        try:
            yield
        except RuntimeError as error:
            if not _is_about_memory(error):
                raise
            if self._blobs is None:  # It was a forward; otherwise what the last one left stays.
                self._marked = {}
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            raise OutOfMemory("the memory of {} does not hold this batch; give a smaller one ({})"
                              .format(self._device, str(error).strip().split("\n")[0])) from None

    def _set_tf32(self):
        """Before each run, since engines of other precisions may be at work in this process."""
        if self._device.type == "cuda":
            # Caffe multiplies in full float32.
            torch.backends.cuda.matmul.allow_tf32 = self._precision == "tf32"
            torch.backends.cudnn.allow_tf32 = self._precision == "tf32"

    def _mark(self, index, blobs):
        """Let autograd begin, or note its course, at the targets that hold their value now."""
        for target in self._leaves.get(index, ()):
            tensor = blobs[target]
            # A view keeps a target apart from a blob that shares its tensor.
            marked = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach()
            blobs[target] = self._marked[target] = marked.requires_grad_()


def _device(name, precision):
    index = device_index(name)
    check_precision(precision, ("fp32", "bf16") if index is None else PRECISIONS,
                    "torch on {}".format(name))
    if precision in HALVES and not hasattr(torch, "autocast"):
        raise EngineError("torch {} does not compute in {}; torch 1.10 and newer do".format(
            torch.__version__, precision))
    if index is None:
        return torch.device("cpu")
    if index >= torch.cuda.device_count():
        raise EngineError("torch sees {} CUDA devices here, so there is no {}".format(
            torch.cuda.device_count(), name))
    return torch.device("cuda", index)


def _weights(subnet, layer):
    if layer.name in subnet.missing:
        return fill(layer, subnet.missing[layer.name])
    return subnet.weights.get(layer.name, ())


def _laid_out(layer, tensor):
    """The tensor in the order that torch convolves fastest in; blobs follow their kernels."""
    if layer.type == "Convolution" and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def _leaves(subnet, gradient):
    """Layer index (-1: before all) -> the targets whose wanted value exists after that layer."""
    inputs = {entry.blob for entry in subnet.net.inputs}
    leaves = {}
    for target in subnet.targets:
        writers = [index for index in subnet.graph.writers(target)
                   if subnet.net.layers[index].type != "Input"]
        if target in inputs:
            writers = [-1] + writers
        leaves.setdefault(writers[-1 if gradient == "post" else 0], []).append(target)
    return leaves


def _last_use(layers):
    """For each layer, the blobs that no later layer reads."""
    last = {}
    for index, layer in enumerate(layers):
        for blob in layer.bottoms + layer.tops:
            last[blob] = index
    blobs = [[] for _ in layers]
    for blob, index in last.items():
        blobs[index].append(blob)
    return blobs


def _kept(subnet):
    """Blobs that every forward keeps: the scores, and what ``forward_from`` a target needs."""
    kept = set(subnet.scores)
    for score, targets in subnet.reached.items():
        for target in targets:
            with contextlib.suppress(EngineError):
                kept.update(Head(subnet, target, [score]).sides)
    return kept


def _sent(array, device):
    """The array on the device, on its way while the processor goes on."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        # Otherwise the memory is pinned for the first card, which takes half a gigabyte of it.
        with torch.cuda.device(device):
            tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _is_about_memory(error):
    return any(words in str(error) for words in MEMORY_WORDS)


def _array(tensor):
    """A copy, since the tensor lives on in the graph that backward walks."""
    array = tensor.detach().cpu().numpy()
    return np.array(array) if tensor.device.type == "cpu" else array
