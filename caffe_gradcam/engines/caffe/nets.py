"""Builds Caffe's nets, fills them with weights and runs them forward."""

import tempfile
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from prototxt_tools import rewrite, shapes
from prototxt_tools.errors import EngineError, InputError
from prototxt_tools.net import fork_fields
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

from ..subnet import Subnet

# Layers that abort where a gradient with respect to what they read is asked for.
_WITHOUT_GRADIENT = ("Embed",)
# Values of a blob that are copied at a time: 32 MB.
PART = 1 << 23


def adapted(document: Document, ignore_unknown_fields: bool) -> Document:
    """The net as this build of Caffe reads it."""
    document = rewrite.stock(document).document
    if ignore_unknown_fields:
        document = without_unknown_fields(document)
    return without_cudnn(document)


def without_cudnn(document: Document) -> Document:
    """The net with the choice of engine left to Caffe where the file asks for cuDNN.

    A build without cuDNN aborts when it reads the word; one with cuDNN uses it by default.
    """
    edits = Edits(document)
    for layer in document.root.all("layer") + document.root.all("layers"):
        for parameters in layer.value if layer.is_message else ():
            for field in parameters.value.all("engine") if parameters.is_message else ():
                if not field.is_message and field.value.text in ("CUDNN", "2"):
                    edits.remove(field)
    return edits.apply()


def knows(layer: Layer) -> bool:
    """Whether this build of Caffe knows every field of a layer: it may be a fork."""
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    field = layer.field
    try:
        text_format.Merge(field.source.text[field.start:field.end], caffe_pb2.NetParameter())
    except text_format.ParseError:
        return False
    return True


def without_unknown_fields(document: Document) -> Document:
    """The net without the fields of layers that neither this build of Caffe nor a table knows."""
    edits = Edits(document)
    for layer in Net.parse(document).layers:
        for field in [] if knows(layer) else fork_fields.material(layer):
            edits.remove(field)
    return edits.apply()


def with_backward(subnet: Subnet) -> Document:
    """The user's net with the backward pass that leads to the targets switched on."""
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
        # No weights before a target. This way gradients of weights are computed too.
        refusing = any(layer.type in _WITHOUT_GRADIENT for layer in subnet.net.layers)
        document = _down_to_inputs(plain, subnet) if refusing else (
            rewrite.force_backward(plain).document)
    return document


def _down_to_inputs(document: Document, subnet: Subnet) -> Document:
    """The net with the backward pass that leads to targets among its inputs, and through no layer
    that other inputs go into: ``force_backward`` would have all of them run."""
    inputs = {entry.blob for entry in subnet.net.inputs}
    below = [target for targets in subnet.reached.values() for target in targets
             if target in inputs]
    document = _behind_factors(document, below)
    readers = [layer for layer in Net.parse(document).layers if set(layer.bottoms) & set(below)]
    for score, targets in subnet.reached.items():
        tops = [layer.tops[0] for layer in readers if set(layer.bottoms) & set(targets)]
        document = rewrite.lean_backward(
            document, score, [target for target in targets if target not in inputs] + tops).document
    edits = Edits(document)
    for layer in Net.parse(document).layers:
        if set(layer.bottoms) & set(below):
            edits.append(layer.field, "".join(
                f"propagate_down: {str(bottom in below).lower()} " for bottom in layer.bottoms))
    return edits.apply()


def _behind_factors(document: Document, inputs: Sequence[str]) -> Document:
    """The net with a learned factor, of 1, between some inputs and the layers that read them.

    Caffe propagates to what has weights before it. An input that a layer with weights reads, or
    that is changed in place, stays as it is.
    """
    edits = Edits(document)
    net = Net.parse(document).at("TEST")
    for blob in inputs:
        readers = [layer for layer in net.layers if blob in layer.bottoms]
        if any(blob in layer.tops for layer in readers) or all(
                shapes.parameter_count(layer) for layer in readers):
            continue
        passed = quoted(blob + "/passed")
        edits.insert_before(readers[0].field, (
            f"layer {{ name: {passed} type: \"Scale\" bottom: {quoted(blob)} top: {passed} "
            "scale_param { axis: 0 num_axes: 0 filler { value: 1 } } }"))
        for layer in readers:
            for field in layer.field.value.all("bottom"):
                if field.string() == blob:
                    edits.replace(field.value, passed)
    return edits.apply()


def build(caffe: Any, document: Document) -> Any:
    """A ``caffe.Net`` of a document; its blobs are as the fillers leave them."""
    # A file without a name, of which nothing is left when Caffe aborts.
    with tempfile.TemporaryFile() as file:
        file.write(document.encode())
        file.flush()
        file.seek(0)
        try:
            return caffe.Net(f"/dev/fd/{file.fileno()}", caffe.TEST)
        except Exception as error:
            # Caffe aborts on its own errors; exceptions come from the code of Python layers.
            raise EngineError(f"Caffe could not build the net: {error}") from error


def run(net: Any, inputs: Mapping[str, np.ndarray]) -> None:
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


def copy_weights(net: Any, weights: Mapping[str, Mapping[int, np.ndarray]],
                 after_each: Callable[[], None] = lambda: None) -> None:
    """Copy the arrays into the net's blobs; ``Subnet`` has checked that their counts agree.

    ``after_each`` is called after each ``PART`` values, so that never all are in memory twice.
    """
    for name, arrays in weights.items():
        blobs = net.params.get(name, ())
        for index, array in arrays.items() if blobs else ():
            source, goal = array.reshape(-1), blobs[index].data.reshape(-1)
            for begin in range(0, len(goal), PART):
                goal[begin:begin + PART] = source[begin:begin + PART]
                after_each()
