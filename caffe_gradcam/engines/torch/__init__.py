"""The embedded engine: Caffe's layers in PyTorch."""

from . import activations, arithmetic, blobs, convolution, linear, normalization, pooling  # noqa: F401
from .registry import LAYERS, layer

__all__ = ["LAYERS", "layer"]
