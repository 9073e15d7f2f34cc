"""The embedded engine: Caffe's layers in PyTorch.

A layer type of your own is one function::

    from caffe_gradcam.engines.torch import layer

    @layer("Square")
    def square(message, bottoms, weights):
        return [bottoms[0] ** 2]
"""

from . import (  # noqa: F401  (they register their layers)
    activations,
    arithmetic,
    blobs,
    convolution,
    forks,
    linear,
    normalization,
    pooling,
)
from .engine import TorchEngine
from .registry import LAYERS, layer

__all__ = ["LAYERS", "TorchEngine", "layer"]
