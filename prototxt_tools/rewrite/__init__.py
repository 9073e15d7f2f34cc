"""Changes to net definitions: small functions from Document to Document.

Each gives a ``Rewrite``: the changed document and notes for people. None changes a byte that it
does not mean to; applied twice they change nothing the second time.
"""

from prototxt_tools.rewrite.backward import force_backward, lean_backward
from prototxt_tools.rewrite.cut import cut
from prototxt_tools.rewrite.result import Rewrite
from prototxt_tools.rewrite.softmax import strip_softmax
from prototxt_tools.rewrite.upgrade import upgrade

__all__ = [
    "Rewrite",
    "cut",
    "force_backward",
    "lean_backward",
    "strip_softmax",
    "upgrade",
]
