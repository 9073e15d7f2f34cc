"""The weights of a net: ``.caffemodel`` of all three forms and ``.caffemodel.h5``."""

from prototxt_tools.weights.checks import (
    Check,
    Difference,
    Statistics,
    check,
    compare,
    describe,
)
from prototxt_tools.weights.files import (
    StoredShape,
    Weights,
    load,
    occurrences,
    read_mean,
    save,
)

__all__ = [
    "Check",
    "Difference",
    "Statistics",
    "StoredShape",
    "Weights",
    "check",
    "compare",
    "describe",
    "load",
    "occurrences",
    "read_mean",
    "save",
]
