"""The layers that the engine has itself; importing this registers them."""

from . import (  # noqa: F401
    activations,
    arithmetic,
    blobs,
    convolution,
    detection,
    forks,
    linear,
    normalization,
    pooling,
)
