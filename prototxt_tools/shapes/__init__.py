"""Blob and parameter shapes, without running Caffe.

Each rule follows the ``LayerSetUp`` and ``Reshape`` of the layer in Caffe's ``src/caffe/layers``.
"""

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net.net import Input
from prototxt_tools.shapes import axes, ends, rules, weighted, windows
from prototxt_tools.shapes.rules import axis_of, volume
from prototxt_tools.shapes.windows import (
    convolution_windows,
    pooled_size,
    pooling_windows,
    rounds_up,
    window,
)

__all__ = [
    "axis_of",
    "convolution_windows",
    "infer",
    "parameter_count",
    "parameters",
    "pooled_size",
    "pooling_windows",
    "parameters_of",
    "rounds_up",
    "tops_of",
    "volume",
    "window",
]

# Importing a family registers its rules.
_FAMILIES = (axes, ends, weighted, windows)
_UNBUILDABLE = (ValueError, IndexError, ZeroDivisionError, OverflowError)
_MAX_VALUES = (1 << 31) - 1
_MAX_AXES = 32


def infer(net, inputs=None, problems=None):
    """The shape of every blob, after the last layer that writes it.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        At one phase.
    inputs : dict, optional
        Shapes of blobs by name, of inputs or of what a data layer gives; they go before those of
        the file.
    problems : list, optional
        Where given, it gets the errors, and what lies behind those layers stays unknown.

    Returns
    -------
    dict
        Blob name to tuple of int. Blobs behind layers of unknown type, and behind data layers
        that do not say their size, are absent.

    Raises
    ------
    PrototxtError
        Names the layer that cannot be built, and why.
    """
    given = inputs or {}
    shapes = dict(given)
    for step in net.inputs + net.layers:
        try:
            tops = _input(step) if isinstance(step, Input) else _layer(step, shapes)
        except PrototxtError as error:
            if problems is None:
                raise
            problems.append(error)
            continue
        for top, shape in tops:
            if shape is not None:
                shapes[top] = given.get(top, shape)
    return shapes


def _input(entry):
    try:
        _check_size(entry.shape)
    except _UNBUILDABLE as error:
        problem = f"input {entry.blob} cannot be built: {error}"
        raise entry.field.error(problem) from error
    return [(entry.blob, entry.shape)]


def _layer(layer, shapes):
    return () if layer.type == "Input" else zip(layer.tops, tops_of(layer, shapes))


def tops_of(layer, shapes):
    """The shapes of a layer's tops, None where unknown, from those of its bottoms.

    Raises
    ------
    PrototxtError
        If it cannot be built on them.
    """
    rule = rules.TOPS.get(layer.type)
    bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
    if rule is None or None in bottoms:
        return [None] * len(layer.tops)
    try:
        tops = rule(layer.message, bottoms, len(layer.tops))
        for top in tops:
            _check_size(top)
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, bottoms, error) from error
    return tops


def _check_size(shape):
    """``Blob::Reshape`` in ``src/caffe/blob.cpp``."""
    if shape is not None:
        rules.check(min(shape + (0,)) >= 0, f"{shape} has a size below 0")
        rules.check(len(shape) <= _MAX_AXES, f"{shape} has over {_MAX_AXES} axes")
        if volume(shape) > _MAX_VALUES:
            raise OverflowError(f"{shape} are over 2^31 values")


def parameters(net, shapes, problems=None):
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
        Names the layer that cannot be built, and why.
    """
    found = {}
    for layer in net.layers:
        try:
            blobs = parameters_of(layer, shapes)
        except PrototxtError as error:
            if problems is None:
                raise
            problems.append(error)
            continue
        if blobs:
            found[layer.name] = blobs
    return found


def parameters_of(layer, shapes):
    """The shapes of a layer's learned parameters; empty where unknown. Raises as ``tops_of``."""
    if layer.message.blobs:
        return [_stored_shape(blob) for blob in layer.message.blobs]
    rule = rules.PARAMETERS.get(layer.type)
    bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
    if rule is None or None in bottoms:
        return []
    try:
        return [shape for shape in rule(layer.message, bottoms) if shape is not None]
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, bottoms, error) from error


def _stored_shape(blob):
    """The shape of a blob that the definition itself holds (``Blob::FromProto``)."""
    legacy = ("num", "channels", "height", "width")
    if any(map(blob.HasField, legacy)):
        return tuple(getattr(blob, name) for name in legacy)
    return tuple(blob.shape.dim)


def parameter_count(layer):
    """How many learned parameter blobs a layer has, whatever their shapes."""
    rule = rules.PARAMETERS.get(layer.type)
    if rule is None:
        return 0
    convolution = layer.message.convolution_param
    axes_wanted = max(4, convolution.axis + 1 + len(convolution.kernel_size))
    bottoms = [(1,) * axes_wanted] * len(layer.bottoms)
    try:
        return sum(shape is not None for shape in rule(layer.message, bottoms))
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, [], error) from error


def _unbuildable(layer, bottoms, error):
    said = " on " + " and ".join(map(str, bottoms)) if bottoms else ""
    return layer.field.error(
        f"layer {layer.name} ({layer.type}) cannot be built{said}: {error}"
    )
