"""Blob and parameter shapes, without running Caffe.

Each rule follows the ``LayerSetUp`` and ``Reshape`` of the layer in Caffe's ``src/caffe/layers``.
"""

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
_UNBUILDABLE = (ValueError, IndexError, ZeroDivisionError)
_MAX_VALUES = (1 << 31) - 1


def infer(net, inputs=None):
    """The shape of every blob, after the last layer that writes it.

    Parameters
    ----------
    net : prototxt_tools.net.Net
        At one phase.
    inputs : dict, optional
        Shapes of blobs by name, of inputs or of what a data layer gives; they go before those of
        the file.

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
    shapes = {entry.blob: entry.shape for entry in net.inputs if entry.shape is not None}
    shapes.update(given)
    for layer in net.layers:
        if layer.type != "Input":
            for top, shape in zip(layer.tops, tops_of(layer, shapes)):
                if shape is not None and top not in given:
                    shapes[top] = shape
    return shapes


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
        rules.check(min(shape + (0,)) >= 0, "its window is larger than its input")
        rules.check(volume(shape) <= _MAX_VALUES, "{} are over 2^31 values".format(shape))


def parameters(net, shapes):
    """The shapes of the learned parameters of every layer that has some.

    Parameters
    ----------
    net : prototxt_tools.net.Net
    shapes : dict
        As ``infer`` gives them.

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
        blobs = parameters_of(layer, shapes)
        if blobs:
            found[layer.name] = blobs
    return found


def parameters_of(layer, shapes):
    """The shapes of a layer's learned parameters; empty where unknown. Raises as ``tops_of``."""
    rule = rules.PARAMETERS.get(layer.type)
    bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
    if rule is None or None in bottoms:
        return []
    try:
        return [shape for shape in rule(layer.message, bottoms) if shape is not None]
    except _UNBUILDABLE as error:
        raise _unbuildable(layer, bottoms, error) from error


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
        "layer {} ({}) cannot be built{}: {}".format(layer.name, layer.type, said, error)
    )
