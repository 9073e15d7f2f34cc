"""Blob and parameter shapes, without running Caffe.

Each rule follows the ``LayerSetUp`` and ``Reshape`` of the layer in Caffe's ``src/caffe/layers``.
"""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

from prototxt_tools import layers
from prototxt_tools.errors import PrototxtError
from prototxt_tools.layers.sizes import Message, Shape, Tops, check, volume
from prototxt_tools.net.net import Input, Layer, Net

Shapes = Dict[str, Shape]
_UNBUILDABLE = (ValueError, IndexError, ZeroDivisionError, OverflowError)
_MAX_VALUES = (1 << 31) - 1
_MAX_AXES = 32


def infer(net: Net, inputs: Optional[Shapes] = None,
          problems: Optional[List[PrototxtError]] = None) -> Shapes:
    """The shape of every blob, after the last layer that writes it.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        At one phase.
    inputs : dict, optional
        Shapes by blob, for inputs or the tops of data layers; they take precedence over those of
        the file.
    problems : list, optional
        If given, errors are added to it instead of raised, and the shapes behind those layers
        stay unknown.

    Returns
    -------
    dict
        Blob name to tuple of int. Blobs behind layers of unknown type, and behind data layers
        without a size, are absent; see ``unknown``.

    Raises
    ------
    PrototxtError
        If a layer cannot be built; the message names it and the reason.
    """
    given = inputs or {}
    shapes = dict(given)
    for step in net.inputs + net.layers:
        try:
            tops: Iterable[Tuple[str, Optional[Shape]]]
            if isinstance(step, Input):
                tops = [] if step.blob in given else _input(step)
            else:
                tops = _layer(step, shapes)
        except PrototxtError as error:
            if problems is None:
                raise
            problems.append(error)
            continue
        for top, shape in tops:
            if shape is not None:
                shapes[top] = given.get(top, shape)
    return shapes


@dataclass(frozen=True)
class Unknown:
    """A place from which on shapes are unknown.

    Attributes
    ----------
    name, type : str
        Of the layer; of an ``input:`` field the blob and "input".
    line : int
        Counted from 1.
    blobs : tuple of str
        The tops whose shapes are unknown.
    reason : str
    """

    name: str
    type: str
    line: int
    blobs: Tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.name or '(unnamed)'} ({self.type}, line {self.line}): {self.reason}"


def unknown(net: Net, shapes: Shapes) -> List[Unknown]:
    """Where shapes become unknown: the first such layers, not those behind them.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
    shapes : dict
        As ``infer`` gives them.

    Returns
    -------
    list of Unknown
        In the order of the file; empty where every shape is known.
    """
    ends = [
        Unknown(entry.blob, "input", entry.field.line, (entry.blob,), "it has no shape")
        for entry in net.inputs if entry.blob not in shapes
    ]
    written = {entry.blob for entry in net.inputs}
    behind = {entry.blob for entry in net.inputs if entry.blob not in shapes}
    for layer in net.layers:
        blobs = tuple(top for top in layer.tops if top not in shapes)
        if blobs and layer.type != "Input" and not behind.intersection(layer.bottoms):
            reason = _why_unknown(layer, shapes, written)
            ends.append(Unknown(layer.name, layer.type, layer.field.line, blobs, reason))
        behind.update(blobs)
        written.update(layer.tops)
    return ends


def _why_unknown(layer: Layer, shapes: Shapes, written: Set[str]) -> str:
    unwritten = [bottom for bottom in layer.bottoms if bottom not in written]
    if unwritten:
        return f"it reads {unwritten[0]}, which no layer before it writes"
    layer_type = layers.of(layer.type)
    if layer_type.shape is not None:
        try:
            tops_of(layer, shapes)
        except PrototxtError as error:
            return error.problem
    if layer_type.is_data:
        return "the file does not give the size of its data"
    meant = layers.similar(layer.type)
    advice = f"; did you mean {meant}?" if meant else ""
    return f"the shapes that a layer of type {layer.type} gives are not known{advice}"


def _input(entry: Input) -> List[Tuple[str, Optional[Shape]]]:
    try:
        _check_size(entry.shape)
    except _UNBUILDABLE as error:
        problem = f"input {entry.blob} cannot be built: {error}"
        raise entry.field.error(problem) from error
    return [(entry.blob, entry.shape)]


def _layer(layer: Layer, shapes: Shapes) -> Iterable[Tuple[str, Optional[Shape]]]:
    return () if layer.type == "Input" else zip(layer.tops, tops_of(layer, shapes))


def tops_of(layer: Layer, shapes: Shapes) -> Tops:
    """The shapes of a layer's tops, None where unknown, from those of its bottoms.

    Raises
    ------
    PrototxtError
        If the layer cannot be built on them.
    """
    rule = layers.of(layer.type).shape
    bottoms = [shapes[bottom] for bottom in layer.bottoms if shapes.get(bottom) is not None]
    if rule is None or len(bottoms) < len(layer.bottoms):
        return [None] * len(layer.tops)
    try:
        tops = rule(layer.message, bottoms, len(layer.tops))
        for top in tops:
            _check_size(top)
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, bottoms, error) from error
    return tops


def _check_size(shape: Optional[Shape]) -> None:
    """``Blob::Reshape`` in ``src/caffe/blob.cpp``."""
    if shape is not None:
        check(min(shape + (0,)) >= 0, f"{shape} has a size below 0")
        check(len(shape) <= _MAX_AXES, f"{shape} has over {_MAX_AXES} axes")
        if volume(shape) > _MAX_VALUES:
            raise OverflowError(f"{shape} are over 2^31 values")


def parameters(net: Net, shapes: Shapes, problems: Optional[List[PrototxtError]] = None
               ) -> Dict[str, List[Shape]]:
    """The shapes of the learned parameters of every layer that has some.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
    shapes : dict
        As ``infer`` gives them.
    problems : list, optional
        As in ``infer``.

    Returns
    -------
    dict
        Layer name to list of tuples, in the order of Caffe's ``layer.blobs``.

    Raises
    ------
    PrototxtError
        If a layer cannot be built; the message names it and the reason.
    """
    blobs_by_layer: Dict[str, List[Shape]] = {}
    for layer in net.layers:
        try:
            blobs = parameters_of(layer, shapes)
        except PrototxtError as error:
            if problems is None:
                raise
            problems.append(error)
            continue
        if blobs:
            blobs_by_layer[layer.name] = blobs
    return blobs_by_layer


def parameters_of(layer: Layer, shapes: Shapes) -> List[Shape]:
    """The shapes of a layer's learned parameters; empty where unknown. Raises as ``tops_of``."""
    if layer.message.blobs:
        return [_stored_shape(blob) for blob in layer.message.blobs]
    rule = layers.of(layer.type).blobs
    bottoms = [shapes[bottom] for bottom in layer.bottoms if shapes.get(bottom) is not None]
    if rule is None or len(bottoms) < len(layer.bottoms):
        return []
    try:
        return [shape for shape in rule(layer.message, bottoms) if shape is not None]
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, bottoms, error) from error


def _stored_shape(blob: Message) -> Shape:
    """The shape of a blob that the definition itself holds (``Blob::FromProto``)."""
    legacy = ("num", "channels", "height", "width")
    if any(map(blob.HasField, legacy)):
        return tuple(getattr(blob, name) for name in legacy)
    return tuple(blob.shape.dim)


def parameter_count(layer: Layer) -> int:
    """How many learned parameter blobs a layer has, for any shapes of its bottoms."""
    rule = layers.of(layer.type).blobs
    if rule is None:
        return 0
    convolution = layer.message.convolution_param
    axes = max(4, convolution.axis + 1 + len(convolution.kernel_size))
    has_kernel = convolution.kernel_size or convolution.HasField("kernel_h")
    if layer.type in ("Convolution", "Deconvolution") and not has_kernel:
        axes = max(2, convolution.axis + 1)  # It can only be built over no axes.
    bottoms = [(1,) * axes] * len(layer.bottoms)
    try:
        return sum(shape is not None for shape in rule(layer.message, bottoms))
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, [], error) from error


def namesakes(net: Net) -> Dict[str, List[Layer]]:
    """The layers with weights that share their name with another such layer, by name."""
    by_name: Dict[str, List[Layer]] = {}
    for layer in net.layers:
        if layers.of(layer.type).blobs is not None and parameter_count(layer):
            by_name.setdefault(layer.name, []).append(layer)
    return {name: group for name, group in by_name.items() if len(group) > 1}


def _unbuildable(layer: Layer, bottoms: Sequence[Optional[Shape]],
                 error: Exception) -> PrototxtError:
    given = " on " + " and ".join(map(str, bottoms)) if bottoms else ""
    return layer.field.error(
        f"layer {layer.name} ({layer.type}) cannot be built{given}: {error}"
    )
