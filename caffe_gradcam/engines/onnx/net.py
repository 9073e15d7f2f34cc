"""A net, layer by layer, as an ONNX graph."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.engines.fillers import fill
from caffe_gradcam.engines.onnx import layers as _layers  # noqa: F401  (registers)
from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.engines.onnx.registry import TRANSLATIONS, Step, Unsupported
from caffe_gradcam.engines.onnx.writer import OpenSizeError, Shape, Value, Writer
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.engines.subnet import Subnet
from prototxt_tools import layers, shapes
from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.net import Layer, Net

Shapes = Dict[str, Shape]
# By how much open sizes are changed to see which others follow them: odd, and larger than what
# windows may swallow.
_MORE_ROWS, _MORE_PIXELS = 1, 224
# Type of layer -> the axis along which it gives as many numbers as it finds.
_FOUND = {"DetectionOutput": 2, "YoloDetectionOutput": 2, "Yolov3DetectionOutput": 2,
          "Proposal": 0}
# Open size -> what to do where a layer needs it fixed.
_WAYS_OUT = {"size": "; export it for one size",
             "number of boxes": ", and only a run tells how many there are"}


@dataclass(frozen=True, eq=False)
class Translated:
    """A net that was written into a graph.

    Attributes
    ----------
    subnet : Subnet
        The layers, as they were written.
    writer : Writer
    values : dict
        Blob -> Value, after its in-place layers.
    inputs : list of Value
    steps : dict
        Index of the layer in ``subnet.net.layers`` -> Step.
    fixed : dict
        What of "batch" and "size" is the same in every run though it was to be open -> why.
    """

    subnet: Subnet
    writer: Writer
    values: Dict[str, Value]
    inputs: List[Value]
    steps: Dict[int, Step]
    fixed: Dict[str, str]

    @property
    def blobs(self) -> Dict[str, str]:
        """The blobs that layers write -> their names in the graph."""
        return {blob: value.name for blob, value in self.values.items()
                if value not in self.inputs}

    def added(self, name: str) -> Step:
        """What writes nodes of this name that belong to no layer."""
        last = self.steps[max(self.steps)]
        return Step(name, last.message, [], [], [], self.writer)

    def model(self, outputs: Sequence[str], metadata: Optional[Dict[str, str]] = None) -> Any:
        """The graph with some blobs as outputs, as an ``onnx.ModelProto``."""
        return self.model_of([self.values[blob] for blob in outputs], metadata)

    def model_of(self, outputs: Sequence[Value], metadata: Optional[Dict[str, str]] = None,
                 more_inputs: Sequence[Any] = (), inputs: Optional[Sequence[Any]] = None) -> Any:
        """The graph with some values as outputs, and inputs besides the net's, or instead."""
        source = self.inputs[0].name if self.inputs else ""
        same_rows = len({value.shape[:1] for value in self.inputs}) == 1
        return self.writer.model(
            self.subnet.net.name or "net",
            [*(inputs or (described(value, value.name, same_rows) for value in self.inputs)),
             *more_inputs],
            [described(value, source, same_rows) for value in outputs], metadata or {})


def described(value: Value, source: str, same_rows: bool) -> Any:
    """A value as inputs and outputs of graphs are described."""
    sizes: List[Any] = []
    for axis, size in enumerate(value.shape):
        if axis not in value.open_axes:
            sizes.append(size)
        elif axis == 0:
            sizes.append("batch" if same_rows else f"{source}_rows")
        else:
            sizes.append(None)
    return libraries.load("onnx.helper").make_tensor_value_info(value.name, value.kind, sizes)


def outputs_of(net: Net) -> List[str]:
    """The blobs that a deploy net ends in, without what only losses and judges give."""
    kept = net.of([layer for layer in net.layers if not layers.of(layer.type).judges])
    inputs = {entry.blob for entry in net.inputs}
    return [blob for blob in kept.outputs() if blob not in inputs]


def translate(net: NetToRun, running: Optional[Running] = None,
              open_sizes: FrozenSet[str] = frozenset({"batch"}),
              input_shapes: Optional[Mapping[str, Shape]] = None,
              reserved: FrozenSet[str] = frozenset()) -> Translated:
    """Write the layers that some blobs depend on.

    Parameters
    ----------
    net : NetToRun
        A deploy net; its ``scores`` are the blobs that are needed.
    running : Running, optional
        Whether layers may lack weights, and the like.
    open_sizes : set of str
        What may differ from run to run: "batch", "size" or both. Where the net does not allow an
        open batch, it is fixed.
    input_shapes : dict, optional
        Input blob -> shape, where it is not to be that of the file.
    reserved : set of str
        Names that no blob may have in the graph.

    Raises
    ------
    Unsupported
        A layer cannot be expressed exactly, or not for every size.
    EngineMissing
        The library onnx is not installed.
    ModelError, WeightsError, QuestionError
        See ``Subnet``.
    """
    subnet = Subnet(dataclasses.replace(net, targets=()), running or Running())
    for layer in subnet.net.layers:
        if layer.type not in TRANSLATIONS and layer.type != "Input":
            raise Unsupported(f"layer {layer.name} ({layer.type}) cannot be exported: no ONNX "
                              "operators are known for this type", layer.name)
    subnet.refuse_unknown_fields(TRANSLATIONS)
    given = dict(input_shapes or {})
    base = {entry.blob: tuple(given.get(entry.blob, entry.shape or ()))
            for entry in subnet.net.inputs}
    subnet.check_inputs({blob: np.zeros(shape, np.float32) for blob, shape in base.items()})
    fixed: Dict[str, str] = {}
    wanted = frozenset(open_sizes)
    while True:
        try:
            return _written(subnet, _Sizes(base, wanted), fixed, reserved)
        except _Fixed as reason:
            if reason.kind != "batch":
                raise Unsupported(f"{reason}{_WAYS_OUT[reason.kind]}", reason.subject) from None
            fixed["batch"] = str(reason)
            wanted -= {"batch"}


class _Fixed(Exception):
    """A layer needs a size that was to be open."""

    def __init__(self, kind: str, layer: str, reason: str) -> None:
        super().__init__(f"layer {layer} needs a fixed {kind}: {reason}")
        self.kind, self.subject = kind, layer


class _Sizes:
    """The shapes of the blobs that were written so far, and which of their sizes are open.

    They are inferred for the given inputs and again for larger ones: what differs is open. How many
    boxes a layer finds is open too.
    """

    def __init__(self, inputs: Shapes, open_sizes: FrozenSet[str]) -> None:
        self.base = dict(inputs)
        self._larger = {kind: {blob: _enlarged(shape, kind) for blob, shape in self.base.items()}
                        for kind in sorted(open_sizes)}

    def open_axes(self, blob: str) -> FrozenSet[int]:
        return frozenset(axis for kind in self._larger for axis in self.open_to(kind, blob))

    def open_to(self, kind: str, blob: str) -> FrozenSet[int]:
        """The axes of a blob that follow an open size."""
        pairs = enumerate(zip(self.base[blob], self._larger[kind][blob]))
        return frozenset(axis for axis, (size, larger) in pairs if size != larger)

    def add(self, layer: Layer) -> List[Shape]:
        """The shapes of a layer's tops."""
        parameters = shapes.parameters_of(layer, self.base)
        tops = _tops_of(layer, self.base)
        for kind, larger in self._larger.items():
            try:
                tops_then = _tops_of(layer, larger)
                fits = shapes.parameters_of(layer, larger) == parameters
            except PrototxtError as error:
                raise _Fixed(kind, layer.name, error.problem) from None
            if not fits:
                raise _Fixed(kind, layer.name, "its weights depend on it")
            if [len(shape) for shape in tops_then] != [len(shape) for shape in tops]:
                raise _Fixed(kind, layer.name, "its number of axes depends on it")
            larger.update(zip(layer.tops, tops_then))
        self.base.update(zip(layer.tops, tops))
        if layer.type in _FOUND:
            larger = self._larger.setdefault("number of boxes", dict(self.base))
            larger.update({top: _more(shape, _FOUND[layer.type])
                           for top, shape in zip(layer.tops, tops)})
        return tops

    def kind_of(self, layer: Layer, axis: int) -> str:
        """Which open size an axis of a layer's bottoms or tops follows."""
        for kind in self._larger:
            if any(axis in self.open_to(kind, blob) for blob in layer.bottoms + layer.tops):
                return kind
        return next(iter(self._larger))


def _more(shape: Shape, axis: int) -> Shape:
    return tuple(size + _MORE_ROWS * (axis == index) for index, size in enumerate(shape))


def _enlarged(shape: Shape, kind: str) -> Shape:
    if kind == "batch":
        return _more(shape, 0)
    spatial = len(shape) == 4
    return tuple(size + _MORE_PIXELS * (spatial and axis > 1) for axis, size in enumerate(shape))


def _tops_of(layer: Layer, blob_shapes: Shapes) -> List[Shape]:
    tops = []
    for shape in shapes.tops_of(layer, blob_shapes):
        if shape is None:
            raise Unsupported(f"layer {layer.name} ({layer.type}) cannot be exported: the shape "
                              "that it gives is not known", layer.name)
        tops.append(tuple(shape))
    return tops


def _written(subnet: Subnet, sizes: _Sizes, fixed: Dict[str, str],
             reserved: FrozenSet[str]) -> Translated:
    writer = Writer()
    for blob in [*subnet.net.blobs(), *reserved]:
        writer.reserve(blob)
    values = {blob: Value(blob, shape, sizes.open_axes(blob))
              for blob, shape in sizes.base.items()}
    inputs = list(values.values())
    taken, steps = reserved.union(values), {}
    last_writer = {top: index for index, layer in enumerate(subnet.net.layers)
                   for top in layer.tops}
    for index, layer in enumerate(subnet.net.layers):
        if layer.type == "Input":
            continue
        bottoms = [values[bottom] for bottom in layer.bottoms]
        tops = []
        for top, shape in zip(layer.tops, sizes.add(layer)):
            is_final = last_writer[top] == index and top not in taken
            name = top if is_final else writer.unique(f"{top}@{layer.name}")
            tops.append(Value(name, shape, sizes.open_axes(top)))
        step = Step(layer.name, layer.message, bottoms, tops, _weights(subnet, layer, sizes.base),
                    writer)
        try:
            _write(step)
        except OpenSizeError as error:
            raise _Fixed(sizes.kind_of(layer, error.axis), layer.name,
                         f"it computes with the size of axis {error.axis}") from None
        values.update(zip(layer.tops, tops))
        steps[index] = step
    return Translated(subnet, writer, values, inputs, steps, fixed)


def _write(step: Step) -> None:
    """Write a layer, and let its tops and its main node have their names."""
    begin = len(step.writer.nodes)
    results = TRANSLATIONS[step.message.type](step)
    written = {name for node in step.writer.nodes[begin:] for name in node.output}
    for result, top in zip(results, step.tops):
        if result in written:
            step.writer.rename(result, top.name, step.name)
            written.discard(result)
        else:
            step.writer.node("Identity", [result], [top.name], step.name)


def _weights(subnet: Subnet, layer: Layer, blob_shapes: Shapes) -> List[np.ndarray]:
    """The learned blobs of a layer in the shapes that it expects; old files have other ones."""
    expected = shapes.parameters_of(layer, blob_shapes)
    arrays = subnet.weights.get(layer.name, ())
    if layer.name in subnet.missing:
        arrays = fill(layer, subnet.missing[layer.name])
    return [np.asarray(array, np.float32).reshape(shape)
            for array, shape in zip(arrays, expected)]
