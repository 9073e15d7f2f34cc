"""Which function computes which layer type. This module loads no torch: plugins may import it."""

import dataclasses
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Set

from prototxt_tools import layers

if TYPE_CHECKING:
    import torch

# A ``LayerParameter``, whose fields protobuf makes at run time.
Message = Any
Tensors = List["torch.Tensor"]
LayerFunction = Callable[[Message, Tensors, Tensors], Tensors]

LAYERS: Dict[str, LayerFunction] = {}
# The types whose functions are those of this package: their fields are known to be complete.
BUILT_IN: Set[str] = set()


def layer(*types: str, **record: Any) -> Callable[[LayerFunction], LayerFunction]:
    """Register a function as the meaning of one or more layer types.

    The function takes ``(message, bottoms, weights)``: the layer's ``LayerParameter`` (fields and
    defaults of caffe.proto), its bottom blobs and its learned blobs as tensors; it returns the
    list of its top blobs. It must not change its arguments: an in-place layer returns a new
    tensor. What autograd can differentiate needs no backward.

    Parameters
    ----------
    *types : str
        The types, as the prototxt names them. One that the engine has itself is replaced.
    **record
        Fields of ``prototxt_tools.layers.LayerType``, such as ``shape``, ``receptive``, ``role``
        and ``blobs``. Without a shape rule the shapes behind such a layer are unknown, and maps
        at layers behind it have to be asked for by name. Of a type that the table has, fields
        that are not given stay as they are.

    Raises
    ------
    ValueError
        There is no such role.

    Examples
    --------
    >>> from prototxt_tools.layers import pointwise, same_shape
    >>> @layer("Square", shape=same_shape, receptive=pointwise, role="activation")
    ... def square(message, bottoms, weights):
    ...     return [bottoms[0] ** 2]
    """
    if record:
        for name in types:
            layers.register(dataclasses.replace(layers.of(name), **record))

    def register(function: LayerFunction) -> LayerFunction:
        for name in types:
            LAYERS[name] = function
            BUILT_IN.discard(name)
        return function
    return register


def built_in(*types: str) -> Callable[[LayerFunction], LayerFunction]:
    """``layer`` for the functions of this package, which give way to those of users."""
    def register(function: LayerFunction) -> LayerFunction:
        for name in types:
            if LAYERS.setdefault(name, function) is function:
                BUILT_IN.add(name)
        return function
    return register
