"""Caffe's messages, enums and defaults, without Caffe."""

from prototxt_tools.net.schema.filling import Stranger, fill, strangers
from prototxt_tools.net.schema.messages import is_stock, new
from prototxt_tools.net.schema.tables import SOLVER_FIELDS, V0_TYPES, V1_FORK_TYPES, V1_TYPES
from prototxt_tools.net.schema.values import in_utf8

__all__ = [
    "SOLVER_FIELDS",
    "V0_TYPES",
    "V1_FORK_TYPES",
    "V1_TYPES",
    "Stranger",
    "fill",
    "in_utf8",
    "is_stock",
    "new",
    "strangers",
]
