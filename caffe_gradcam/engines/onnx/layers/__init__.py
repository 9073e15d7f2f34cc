"""The layer types that can be written as ONNX; importing this registers them."""

from caffe_gradcam.engines.onnx.layers import (  # noqa: F401
    activations,
    arithmetic,
    blobs,
    clips,
    convolution,
    detection,
    forks,
    linear,
    normalization,
    pooling,
    regions,
    resizing,
)
