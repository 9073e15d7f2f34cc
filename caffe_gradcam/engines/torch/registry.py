"""Which function computes which layer type."""

LAYERS = {}


def layer(*types):
    """Register a function as the meaning of one or more layer types.

    The function takes ``(message, bottoms, weights)``: the layer's ``LayerParameter`` (fields and
    defaults of caffe.proto), its bottom blobs and its learned blobs as tensors; it returns the
    list of its top blobs. It must not change its arguments: an in-place layer returns a new
    tensor. What autograd can differentiate needs no backward.

    Examples
    --------
    >>> @layer("Square")
    ... def square(message, bottoms, weights):
    ...     return [bottoms[0] ** 2]
    """
    def register(function):
        for name in types:
            LAYERS[name] = function
        return function
    return register
