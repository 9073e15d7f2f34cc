"""Runs a net in real Caffe, backward no further than the targets.

Where Caffe dislikes something it aborts the process, so ``open_engine`` runs this engine in a
process of its own.
"""

import tempfile

import numpy as np

from prototxt_tools import rewrite
from prototxt_tools.errors import EngineError, InputError
from prototxt_tools.shapes import convolution_windows
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

from .contract import Engine, check_precision, check_rule, device_index, rectifies
from .head import Head
from .subnet import Subnet

# Stands in a target's diff until Caffe writes there, and is lost in any sum if it only adds.
UNTOUCHED = np.float32(1e-30)
# Values of a blob that are copied at a time: 32 MB.
PART = 1 << 23
# Where more than one in so many channels has a gradient, Caffe multiplies faster.
RARE = 4


class PycaffeEngine(Engine):
    """See ``open_engine`` and ``Engine``."""

    def __init__(self, prototxt, weights, scores, targets, gradient="post", device="cpu",
                 allow_missing=False, trust=False, precision="fp32"):
        import caffe

        check_precision(precision, ("fp32",), "Caffe")
        prototxt = _without_cudnn(rewrite.stock(Document.parse(prototxt)).document).text()
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
        # Caffe fills its blobs as it builds the net; until then nobody needs the file's.
        self._subnet.let_go_pages()
        self._caffe, self._net = caffe, _build(caffe, _switch_on_backward(self._subnet))
        _copy_weights(self._net, {
            name: dict(enumerate(arrays)) for name, arrays in self._subnet.weights.items()},
            self._subnet.let_go_pages)
        self._subnet.forget_weights()
        self._wiring = Wiring(self._net)
        self._rectifiers = _rectifiers(self._net, self._subnet.net)
        # On a GPU the diffs would have to come to the host and go back.
        self._products = _products(self._net, self._subnet.net) if index is None else set()
        self._heads = {}
        self._in_place = gradient == "pre-relu"
        self._ran = False
        self.description = {"engine": "caffe", "version": caffe.__version__, "device": device}

    def forward(self, inputs, keep):
        keep = list(keep)
        self._subnet.check_blobs(keep)
        arrays = self._subnet.check_inputs(inputs)
        self._ran = False
        _run(self._net, arrays)
        self._ran = True
        return {name: self._net.blobs[name].data.copy() for name in keep}

    def forward_from(self, blob, value, keep, rows=None):
        keep = list(keep)
        if not self._ran:
            raise EngineError("forward_from needs a forward before it")
        head, net = self._head(blob, keep)
        value, rows = head.check(value, rows)
        if net is None:
            net = _build(self._caffe, head.document(len(value)))
            net.share_with(self._net)
            self._heads[blob, tuple(keep)] = head, net
        arrays = {side: self._net.blobs[side].data if chosen is None
                  else self._net.blobs[side].data[chosen] for side, chosen in rows.items()}
        _run(net, dict(arrays, **{blob: value}))
        return {name: net.blobs[name].data.copy() for name in keep}

    def backward(self, score, top_diff, targets, rule="gradient"):
        targets = list(targets)
        check_rule(rule)
        self._subnet.check_backward(score, targets)
        if not self._ran:
            raise EngineError("backward needs a forward before it")
        gradients = self._run_backward(score, top_diff, targets, rule)
        for target in targets:
            if (gradients[target] == UNTOUCHED).all():
                raise EngineError(f"Caffe computed no gradient at blob {target!r}")
        return gradients

    def replace_weights(self, weights):
        _copy_weights(self._net, self._subnet.check_replaced(weights))
        self._ran = False

    def close(self):
        self._net, self._heads = None, {}

    def _head(self, blob, keep):
        """The layers behind a blob, and a net of them, or None before it is built."""
        return self._heads.get((blob, tuple(keep))) or (Head(self._subnet, blob, keep), None)

    def _run_backward(self, score, top_diff, targets, rule):
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
                self._back(start, ends[target], rule)
                start = ends[target] - 1
            gradients[target] = blobs[target].diff.copy()
        return gradients

    def _back(self, start, end, rule):
        """Caffe's backward from layer `start` down to layer `end`, with our own steps in it."""
        for index in range(start, end - 1, -1):
            if index in self._products or (rule != "gradient" and index in self._rectifiers):
                if index < start:
                    self._net._backward(start, index + 1)
                done = self._multiply(index) if index in self._products else self._cut(index, rule)
                start = index - done
        if start >= end:
            self._net._backward(start, end)

    def _ends(self, index):
        """The first top and the first bottom of a layer."""
        blobs, wiring = self._net.blobs, self._wiring
        return blobs[wiring.tops[index][0]], blobs[wiring.bottoms[index][0]]

    def _cut(self, index, rule):
        """Take the negative part from what comes down to a rectifier; whether its work is done."""
        top, bottom = self._ends(index)
        np.maximum(top.diff, 0, out=top.diff)
        if rule == "deconvnet":
            bottom.diff[...] = top.diff
        return rule == "deconvnet"

    def _multiply(self, index):
        """The backward of a product by a matrix, if few channels of its top have a gradient.

        Caffe multiplies by all of them, where that of one class has a single one. Returns
        whether it is done.
        """
        top, bottom = self._ends(index)
        gradient = top.diff.reshape(top.shape[0], top.shape[1], -1)
        active = np.flatnonzero(gradient.any(axis=(0, 2)))
        if len(active) * RARE > gradient.shape[1]:
            return False
        matrix = self._net.layers[index].blobs[0].data.reshape(gradient.shape[1], -1)[active]
        np.matmul(matrix.T, gradient[:, active],
                  out=bottom.diff.reshape(len(gradient), -1, gradient.shape[2]))
        return True


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


def _rectifiers(net, definition):
    """Indices of the layers that Caffe built to which the rules of ``backward`` apply."""
    names = {layer.name for layer in definition.layers if rectifies(layer)}
    return {index for index, name in enumerate(net._layer_names)
            if name in names and net.layers[index].type in ("ReLU", "Clip")}


def _products(net, definition):
    """Indices of the layers that Caffe built that multiply each place by one matrix.

    InnerProduct along axis 1, and Convolution with windows of 1 x 1.
    """
    found = set()
    for index, name in enumerate(net._layer_names):
        layer = definition.layer(name)
        if layer is None or len(layer.bottoms) != 1 or net.layers[index].type != layer.type:
            continue
        inner, convolution = layer.message.inner_product_param, layer.message.convolution_param
        if layer.type == "InnerProduct" and inner.axis == 1 and not inner.transpose:
            found.add(index)
        elif (layer.type == "Convolution" and convolution.group == convolution.axis == 1
              and len(net.blobs[layer.bottoms[0]].shape) == 4):
            kernel, stride, pad, _ = convolution_windows(convolution, 2)
            if set(kernel) == set(stride) == {1} and not any(pad):
                found.add(index)
    return found


def _run(net, inputs):
    """A forward pass of a net on inputs of any shape."""
    changed = [name for name, array in inputs.items()
               if tuple(net.blobs[name].shape) != array.shape]
    for name in changed:
        net.blobs[name].reshape(*inputs[name].shape)
    if changed:
        net.reshape()
    for name, array in inputs.items():
        net.blobs[name].data[...] = array
    net._forward(0, len(net.layers) - 1)


def _without_cudnn(document):
    """The net with the choice of engine left to Caffe where the file says cuDNN.

    A build without cuDNN dies of the word, and one with it takes cuDNN by itself.
    """
    edits = Edits(document)
    for layer in document.root.all("layer") + document.root.all("layers"):
        for parameters in layer.value if layer.is_message else ():
            for field in parameters.value.all("engine") if parameters.is_message else ():
                if not field.is_message and field.value.text in ("CUDNN", "2"):
                    edits.remove(field)
    return edits.apply()


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
            return caffe.Net(f"/dev/fd/{file.fileno()}", caffe.TEST)
        except Exception as error:
            # Caffe aborts of its own faults; what raises is the code of a Python layer.
            raise EngineError(f"Caffe could not build the net: {error}") from error


def _copy_weights(net, weights, after_each=lambda: None):
    """Put the arrays into the net's blobs, which have their counts: ``Subnet`` has looked.

    ``after_each`` is called between parts of ``PART`` values, so that never all are in memory
    twice.
    """
    for name, arrays in weights.items():
        blobs = net.params.get(name, ())
        for index, array in arrays.items() if blobs else ():
            source, goal = array.reshape(-1), blobs[index].data.reshape(-1)
            for begin in range(0, len(goal), PART):
                goal[begin:begin + PART] = source[begin:begin + PART]
                after_each()
