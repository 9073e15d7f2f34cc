"""Changes to net definitions: small functions from Document to Document.

Each gives a ``Rewrite``: the changed document and notes for people. None changes a byte that it
does not mean to, and applied a second time it changes nothing.
"""

from prototxt_tools.rewrite.backward import force_backward, lean_backward
from prototxt_tools.rewrite.batch import batch_size
from prototxt_tools.rewrite.cut import cut
from prototxt_tools.rewrite.deploy import deploy
from prototxt_tools.rewrite.fold import fold
from prototxt_tools.rewrite.in_place import un_in_place
from prototxt_tools.rewrite.inputs import fill_open_sizes
from prototxt_tools.rewrite.native import native
from prototxt_tools.rewrite.result import Rewrite
from prototxt_tools.rewrite.separate import WithWeights, separate
from prototxt_tools.rewrite.softmax import strip_softmax
from prototxt_tools.rewrite.stock import stock
from prototxt_tools.rewrite.upgrade import upgrade

__all__ = [
    "Rewrite",
    "WithWeights",
    "batch_size",
    "cut",
    "deploy",
    "fill_open_sizes",
    "fold",
    "force_backward",
    "lean_backward",
    "native",
    "separate",
    "stock",
    "strip_softmax",
    "un_in_place",
    "upgrade",
]
