"""Which function computes which layer type. This module loads no torch: plugins may import it."""

import dataclasses
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Set

from prototxt_tools import layers

if TYPE_CHECKING:
    import torch

    from prototxt_tools.net.net import Layer

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


def tops_of(layer: "Layer", bottoms: Tensors, weights: Tensors) -> Tensors:
    """The top blobs of a layer, by the function of its type.

    Raises
    ------
    RuntimeError, ValueError, IndexError
        What torch raises where tensors do not fit; or the function of a user raises something
        else, or does not return a list with a tensor for each top.
    """
    function = LAYERS[layer.type]
    if layer.type in BUILT_IN:
        return function(layer.message, bottoms, weights)
    try:
        tops = function(layer.message, bottoms, weights)
    except (RuntimeError, ValueError, IndexError):
        raise
    except Exception as error:
        raise ValueError(f"its function raises {type(error).__name__}: {error}") from error
    is_list = isinstance(tops, (list, tuple))
    if not is_list or len(tops) != len(layer.tops) or not all(
            hasattr(top, "detach") for top in tops):
        returned = f"{len(tops)} values" if is_list else type(tops).__name__
        raise ValueError("its function must return a list with a tensor for each top "
                         f"({len(layer.tops)}), and returned {returned}")
    return tops


def built_in(*types: str) -> Callable[[LayerFunction], LayerFunction]:
    """``layer`` for the functions of this package, which give way to those of users."""
    def register(function: LayerFunction) -> LayerFunction:
        for name in types:
            if LAYERS.setdefault(name, function) is function:
                BUILT_IN.add(name)
        return function
    return register
