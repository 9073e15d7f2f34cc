"""The torch engine: Caffe's layers in PyTorch.

A layer type of your own is one function, and what the tools need to know of the type beside it::

    from caffe_gradcam.engines.torch import layer
    from prototxt_tools.layers import pointwise, same_shape

    @layer("Square", shape=same_shape, receptive=pointwise, role="activation")
    def square(message, bottoms, weights):
        return [bottoms[0] ** 2]
"""

from .registry import LAYERS, layer

__all__ = ["LAYERS", "layer"]
