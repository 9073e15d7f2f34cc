"""Runs a net in real Caffe, backward no further than the targets.

Where Caffe meets an error it aborts the process, so ``open_engine`` runs this engine in a process
of its own.
"""

import functools
from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools.errors import EngineError

from ..contract import Engine, check_precision, check_rule
from ..head import Head
from ..running import NetToRun, Running, device_index
from ..subnet import Subnet
from . import nets, products
from .means import Diff, Means, Place
from .wiring import UNTOUCHED, Wiring, multiplying, rectifiers

# Where more than one in so many channels has a gradient, Caffe multiplies faster.
RARE = 4


class PycaffeEngine(Engine):
    """See ``open_engine`` and ``Engine``."""

    def __init__(self, net: NetToRun, running: Running) -> None:
        import caffe

        super().__init__()
        check_precision(running.precision, ("fp32",), "Caffe")
        self._subnet = Subnet(net, running, functools.partial(
            nets.adapted, ignore_unknown_fields=running.ignore_unknown_fields))
        self._subnet.refuse_unknown_types(
            set(caffe.layer_type_list()), "this build of Caffe",
            "run the net in the fork of Caffe it was made for, or with the torch engine")
        if not running.ignore_unknown_fields:
            self._subnet.refuse_unknown_fields(caffe.layer_type_list(), nets.knows)
        self._caffe, self._device = caffe, device_index(running.device)
        self._choose_device()
        # Caffe allocates its blobs as it builds the net; the file's are needed only after that.
        self._subnet.let_go_pages()
        self._net = nets.build(caffe, nets.with_backward(self._subnet))
        nets.copy_weights(self._net, {
            name: dict(enumerate(arrays)) for name, arrays in self._subnet.weights.items()},
            self._subnet.let_go_pages)
        self._subnet.forget_weights()
        self._wiring = Wiring(self._net)
        self._rectifiers = rectifiers(self._net, self._subnet.net)
        # On a GPU the diffs would have to come to the host and go back.
        self._products = (multiplying(self._net, self._subnet.net) if self._device is None
                          else set())
        self._heads: Dict[Tuple[str, Tuple[str, ...]], Tuple[Head, Any]] = {}
        self._in_place = net.gradient == "pre-relu"
        self._means = Means(self._subnet, self._net, self._wiring, net.gradient)
        self._ran = False
        self.description = {"engine": "caffe", "version": caffe.__version__,
                            "device": running.device, "precision": "fp32"}

    def forward(self, inputs: Mapping[str, np.ndarray],
                keep: Iterable[str]) -> Dict[str, np.ndarray]:
        self.check_open()
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        self._choose_device()
        self._ran = False
        nets.run(self._net, arrays)
        self._ran = True
        self._subnet.complete_shapes(
            self._net.blobs, lambda blob: tuple(self._net.blobs[blob].data.shape))
        return {name: self._net.blobs[name].data.copy() for name in keep}

    def forward_from(self, blob: str, value: np.ndarray, keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> Dict[str, np.ndarray]:
        self.check_open()
        keep = list(keep)
        if not self._ran:
            raise EngineError("forward_from needs a forward before it")
        head, net = self._head(blob, keep)
        value, chosen_rows = head.check(value, rows)
        self._choose_device()
        if net is None:
            net = nets.build(self._caffe, head.document(len(value)))
            net.share_with(self._net)
            self._heads[blob, tuple(keep)] = head, net
        arrays = {side: self._net.blobs[side].data if chosen is None
                  else self._net.blobs[side].data[chosen]
                  for side, chosen in chosen_rows.items()}
        nets.run(net, dict(arrays, **{blob: value}))
        return {name: net.blobs[name].data.copy() for name in keep}

    def backward(self, score: str, top_diff: np.ndarray, targets: Iterable[str],
                 rule: str = "gradient") -> Dict[str, np.ndarray]:
        self.check_open()
        targets = list(targets)
        check_rule(rule)
        self._subnet.check_backward(score, targets)
        if not self._ran:
            raise EngineError("backward needs a forward before it")
        self._choose_device()
        gradients = self._run_backward(score, top_diff, {
            target: (target, self._wiring.end(target, self._in_place)) for target in targets}, rule)
        for target in targets:
            if (gradients[target] == UNTOUCHED).all():
                raise EngineError(f"Caffe computed no gradient at blob {target!r}", target)
        return gradients

    def mean_gradients(self, score: str, top_diff: np.ndarray, targets: Iterable[str]
                       ) -> Dict[str, np.ndarray]:
        self.check_open()
        targets = list(targets)
        self._subnet.check_backward(score, targets)
        if not self._ran:
            raise EngineError("mean_gradients needs a forward before it")
        self._choose_device()
        return self._means.at(score, top_diff, targets, self._run_backward)

    def replace_weights(self, weights: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.check_open()
        nets.copy_weights(self._net, self._subnet.check_replaced(weights))
        self._means.forget_weights()
        self._ran = False

    def _free(self) -> None:
        self._net, self._heads = None, {}

    def _choose_device(self) -> None:
        """Set mode and device, which Caffe keeps for each thread, in the calling one."""
        if self._device is None:
            self._caffe.set_mode_cpu()
        else:
            self._caffe.set_device(self._device)
            self._caffe.set_mode_gpu()

    def _head(self, blob: str, keep: Sequence[str]) -> Tuple[Head, Any]:
        """The layers behind a blob, and a net of them, or None before it is built."""
        return self._heads.get((blob, tuple(keep))) or (Head(self._subnet, blob, keep), None)

    def _run_backward(self, score: str, top_diff: np.ndarray, places: Mapping[Place, Diff],
                      rule: str = "gradient") -> Dict[Place, np.ndarray]:
        """Copies of diffs, each as it is once the backward of a layer has run.

        ``places`` are the blobs and these layers, by the keys under which the copies come back.
        """
        blobs, wiring = self._net.blobs, self._wiring
        start = wiring.writers(score)[-1]
        for blob, _ in places.values():
            blobs[blob].diff[...] = UNTOUCHED
        for name in wiring.loose_tops(start, min(end for _, end in places.values())):
            blobs[name].diff[...] = 0
        blobs[score].diff[...] = np.reshape(top_diff, blobs[score].shape)
        gradients = {}
        for place, (blob, end) in sorted(places.items(), key=lambda item: -item[1][1]):
            if end <= start:
                self._back(start, end, rule)
                start = end - 1
            gradients[place] = blobs[blob].diff.copy()
        return gradients

    def _back(self, start: int, end: int, rule: str) -> None:
        """Caffe's backward from layer `start` down to `end`, with steps of our own between."""
        for index in range(start, end - 1, -1):
            if index in self._products or (rule != "gradient" and index in self._rectifiers):
                if index < start:
                    self._net._backward(start, index + 1)
                done = self._multiply(index) if index in self._products else self._cut(index, rule)
                start = index - done
        if start >= end:
            self._net._backward(start, end)

    def _ends(self, index: int) -> Tuple[Any, Any]:
        """The first top and the first bottom of a layer."""
        blobs, wiring = self._net.blobs, self._wiring
        return blobs[wiring.tops[index][0]], blobs[wiring.bottoms[index][0]]

    def _cut(self, index: int, rule: str) -> bool:
        """Take the negative part from what comes down to a rectifier; whether its work is done."""
        top, bottom = self._ends(index)
        np.maximum(top.diff, 0, out=top.diff)
        if rule == "deconvnet":
            bottom.diff[...] = top.diff
        return rule == "deconvnet"

    def _multiply(self, index: int) -> bool:
        """The backward of a product by a matrix, if few channels of its top have a gradient, or it
        is a single row.

        Caffe multiplies by all channels, where the gradient of one class has a single one; and by
        a row as by a matrix, which takes three times as long. Returns whether it is done.
        """
        top, bottom = self._ends(index)
        gradient = top.diff.reshape(top.shape[0], top.shape[1], -1)
        active = np.flatnonzero(gradient.any(axis=(0, 2)))
        if len(active) * RARE > gradient.shape[1] and gradient.size > gradient.shape[1]:
            return False
        matrix = self._net.layers[index].blobs[0].data.reshape(gradient.shape[1], -1)
        if gradient.shape[2] == 1:
            bottom.diff[...] = products.times(gradient[:, :, 0], matrix).reshape(bottom.shape)
        else:
            np.matmul(matrix[active].T, gradient[:, active],
                      out=bottom.diff.reshape(len(gradient), -1, gradient.shape[2]))
        return True
