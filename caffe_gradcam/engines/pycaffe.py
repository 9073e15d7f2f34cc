"""Runs a net in real Caffe, backward no further than the targets.

Where Caffe dislikes something it aborts the process, so ``open_engine`` runs this engine in a
process of its own.
"""

import tempfile

import numpy as np

from prototxt_tools import rewrite
from prototxt_tools.document import Document
from prototxt_tools.edits import Edits
from prototxt_tools.errors import InputError

from .base import Engine, EngineError, Subnet, check_precision, device_index

# Stands in a target's diff until Caffe writes there, and is lost in any sum if it only adds.
UNTOUCHED = np.float32(1e-30)


class PycaffeEngine(Engine):
    """See ``open_engine`` and ``Engine``."""

    def __init__(self, prototxt, weights, scores, targets, gradient="post", device="cpu",
                 allow_missing=False, trust=False, precision="fp32"):
        import caffe

        check_precision(precision, ("fp32",), "Caffe")
        prototxt = rewrite.stock(Document.parse(prototxt)).document.text()
        self._subnet = Subnet(
            prototxt, weights, scores, targets, gradient, allow_missing, trust)
        self._subnet.refuse_unknown_types(
            set(caffe.layer_type_list()), "this build of Caffe",
            "run the net in the fork of Caffe it was made for, or with the torch engine")
        # Caffe keeps mode and device for each thread: from here on only this one runs the net.
        index = device_index(device)
        if index is None:
            caffe.set_mode_cpu()
        else:
            caffe.set_device(index)
            caffe.set_mode_gpu()
        self._net = _build(caffe, _switch_on_backward(self._subnet))
        _copy_weights(self._net, self._subnet.weights)
        self._subnet.forget_weights()
        self._wiring = Wiring(self._net)
        self._in_place = gradient == "pre-relu"
        self._ran = False
        self.description = {"engine": "caffe", "version": caffe.__version__, "device": device}

    def forward(self, inputs, keep):
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        blobs = self._net.blobs
        changed = [name for name, array in arrays.items()
                   if tuple(blobs[name].shape) != array.shape]
        for name in changed:
            blobs[name].reshape(*arrays[name].shape)
        if changed:
            self._net.reshape()
        for name, array in arrays.items():
            blobs[name].data[...] = array
        self._net._forward(0, len(self._net.layers) - 1)
        self._ran = True
        return {name: blobs[name].data.copy() for name in keep}

    def backward(self, score, top_diff, targets):
        targets = list(targets)
        self._subnet.check_backward(score, targets)
        if not self._ran:
            raise EngineError("backward needs a forward before it")
        gradients = self._run_backward(score, top_diff, targets)
        for target in targets:
            if (gradients[target] == UNTOUCHED).all():
                raise EngineError("Caffe computed no gradient at blob {!r}".format(target))
        return gradients

    def close(self):
        self._net = None

    def _run_backward(self, score, top_diff, targets):
        """Copies of the targets' diffs; those of upper targets before their in-place layers run."""
        blobs, wiring = self._net.blobs, self._wiring
        start = wiring.writers(score)[-1]
        ends = {target: wiring.end(target, self._in_place) for target in targets}
        for name in targets:
            blobs[name].diff[...] = UNTOUCHED
        for name in wiring.loose_tops(start, min(ends.values())):
            blobs[name].diff[...] = 0
        blobs[score].diff[...] = np.reshape(top_diff, blobs[score].shape)
        gradients = {}
        for target in sorted(targets, key=lambda name: -ends[name]):
            if ends[target] <= start:
                self._net._backward(start, ends[target])
                start = ends[target] - 1
            gradients[target] = blobs[target].diff.copy()
        return gradients


class Wiring:
    """The layers that Caffe built, Split layers included: the blobs each reads and writes."""

    def __init__(self, net):
        names = list(net._blob_names)
        count = len(net.layers)
        self.bottoms = [[names[blob] for blob in net._bottom_ids(i)] for i in range(count)]
        self.tops = [[names[blob] for blob in net._top_ids(i)] for i in range(count)]

    def writers(self, blob):
        return [index for index, tops in enumerate(self.tops) if blob in tops]

    def end(self, blob, in_place):
        """The lowest layer whose backward the diff of a blob needs.

        That is the first one to read its final value; with `in_place` the first one after its
        maker, so that the backward of its in-place layers has run too.
        """
        last = self.writers(blob)[0 if in_place else -1]
        return min(index for index in range(last + 1, len(self.bottoms))
                   if blob in self.bottoms[index])

    def loose_tops(self, start, end):
        """Tops of the layers from `end` to `start` into which no layer up to `start` propagates.

        Their diffs are left from other calls, or are ones that ``loss_weight`` put there.
        """
        loose, read = [], set()
        for index in range(start, end - 1, -1):
            loose += [top for top in self.tops[index] if top not in read]
            read.update(self.bottoms[index])
        return loose


def _switch_on_backward(subnet):
    """The user's net with the backward pass that leads to the targets."""
    edits = Edits(subnet.document)
    for layer in subnet.net.layers:
        # It spares training some work, and here would leave gradients out without a word.
        for field in layer.field.value.all("propagate_down"):
            edits.remove(field)
    plain = document = edits.apply()
    try:
        for score, targets in subnet.reached.items():
            if targets:
                document = rewrite.lean_backward(document, score, targets).document
    except InputError:
        # No weights before a target. Gradients of weights come along this way.
        document = rewrite.force_backward(plain).document
    return document


def _build(caffe, document):
    # A file without a name: nobody could remove a named one where Caffe aborts.
    with tempfile.TemporaryFile() as file:
        file.write(document.encode())
        file.flush()
        file.seek(0)
        try:
            return caffe.Net("/dev/fd/{}".format(file.fileno()), caffe.TEST)
        except Exception as error:
            # Caffe aborts of its own faults; what raises is the code of a Python layer.
            raise EngineError("Caffe could not build the net: {}".format(error)) from error


def _copy_weights(net, weights):
    """Put the arrays into the net's blobs, which have their counts: ``Subnet`` has looked."""
    for name, arrays in weights.items():
        for blob, array in zip(net.params.get(name, ()), arrays):
            blob.data[...] = array.reshape(blob.data.shape)
