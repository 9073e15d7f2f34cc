"""The layers that the engine has itself; importing this registers them."""

from . import (  # noqa: F401
    activations,
    arithmetic,
    blobs,
    clips,
    convolution,
    detection,
    detection_regions,
    forks,
    linear,
    normalization,
    pooling,
)
