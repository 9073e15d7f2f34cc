"""Read, understand and change Caffe's net definitions (prototxt) and weights (caffemodel).

Examples
--------
>>> from prototxt_tools import Document, Graph, Net, rewrite, shapes
>>> document = rewrite.strip_softmax(Document.load("deploy.prototxt")).document
>>> net = Net.parse(document).at("TEST")
>>> Graph(net).targets("fc8", shapes.infer(net))[0].blob
'conv5'
"""

from typing import TYPE_CHECKING

from prototxt_tools.errors import (
    EngineError,
    EngineFailed,
    EngineMissing,
    FetchError,
    ImageError,
    InputError,
    ModelError,
    Outcome,
    OutOfMemory,
    PrototxtError,
    QuestionError,
    WeightsError,
)
from prototxt_tools.lazy import export

if TYPE_CHECKING:
    from prototxt_tools import layers, rewrite, shapes, weights
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Net
    from prototxt_tools.text.document import Document
    from prototxt_tools.text.edits import Edits

__version__ = "0.1.0"

__all__ = [
    "Document",
    "Edits",
    "EngineError",
    "EngineFailed",
    "EngineMissing",
    "FetchError",
    "Graph",
    "ImageError",
    "InputError",
    "ModelError",
    "Net",
    "OutOfMemory",
    "Outcome",
    "PrototxtError",
    "QuestionError",
    "WeightsError",
    "__version__",
    "layers",
    "rewrite",
    "shapes",
    "weights",
]

# These load protobuf, NumPy or h5py, so they are imported when they are first used.
export(__name__, {
    "Document": "prototxt_tools.text.document",
    "Edits": "prototxt_tools.text.edits",
    "Graph": "prototxt_tools.net.graph",
    "Net": "prototxt_tools.net.net",
    "layers": "prototxt_tools.layers",
    "rewrite": "prototxt_tools.rewrite",
    "shapes": "prototxt_tools.shapes",
    "weights": "prototxt_tools.weights",
})
