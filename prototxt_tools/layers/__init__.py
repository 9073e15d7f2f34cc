"""One table of layer types: what each takes, learns, gives, sees and is for.

Everything that treats layers by type reads it: shapes, receptive fields, costs, Graph, the check
for stock Caffe, the rewrites and the engines.
"""

from prototxt_tools.layers.layer_type import ROLES, TABLE, LayerType, of, register
from prototxt_tools.layers.spans import Span

__all__ = ["ROLES", "TABLE", "LayerType", "Span", "of", "register"]
