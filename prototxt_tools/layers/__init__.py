"""One table of layer types: their bottoms and tops, blobs, shapes, receptive fields and roles.

Everything that depends on a layer's type reads it: shapes, receptive fields, costs, ``Graph``, the
check for stock Caffe, the rewrites and the engines.
"""

from prototxt_tools.layers import table  # noqa: F401  (importing it fills the table)
from prototxt_tools.layers.ends import same_shape
from prototxt_tools.layers.layer_type import (
    ROLES,
    TABLE,
    LayerType,
    of,
    register,
    similar,
    stock_types,
)
from prototxt_tools.layers.receptive import pointwise, whole, windowed
from prototxt_tools.layers.sizes import axis_of, check, volume
from prototxt_tools.layers.spans import Span

__all__ = [
    "ROLES",
    "TABLE",
    "LayerType",
    "Span",
    "axis_of",
    "check",
    "of",
    "pointwise",
    "register",
    "same_shape",
    "similar",
    "stock_types",
    "volume",
    "whole",
    "windowed",
]
