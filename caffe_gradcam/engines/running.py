"""How a net is to be run: the values that an engine is opened with."""

from dataclasses import dataclass
from typing import Optional, Tuple

ENGINES = ("auto", "caffe", "torch")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
GRADIENTS = ("post", "pre-relu")


@dataclass(frozen=True)
class Running:
    """Which engine runs a net, and on what.

    Attributes
    ----------
    engine : str
        "auto" takes Caffe where pycaffe is installed, otherwise torch.
    device : str
        "cpu", "cuda" or "cuda:N".
    precision : str
        "fp32", as Caffe computes. The torch engine also has "tf32" and "fp16", on CUDA, and
        "bf16": matrix products and convolutions then take shorter numbers, blobs do not.
    trust : bool
        Let layers that run Python code or read files do so, instead of refusing the net.
    allow_missing : bool
        Fill layers that the weights file lacks as Caffe would, instead of refusing them.
    timeout : float, optional
        Seconds that one call may take in an engine with a process of its own.
    verbose : bool
        Pass on what Caffe logs.
    isolated : bool
        Whether Caffe gets a process of its own; False where the caller may die with it.
    """

    engine: str = "auto"
    device: str = "cpu"
    precision: str = "fp32"
    trust: bool = False
    allow_missing: bool = False
    timeout: Optional[float] = None
    verbose: bool = False
    isolated: bool = True


@dataclass(frozen=True)
class NetToRun:
    """A net and what will be asked of it.

    Attributes
    ----------
    prototxt : str
        The text of the user's own deploy file; the engine rewrites it for itself.
    weights : str
        The path of a ``.caffemodel`` or ``.caffemodel.h5``.
    scores, targets : tuple of str
        The blobs that ``backward`` will start from and lead to.
    gradient : str
        "post" or "pre-relu"; see ``Engine.backward``.
    """

    prototxt: str
    weights: str
    scores: Tuple[str, ...]
    targets: Tuple[str, ...]
    gradient: str = "post"
