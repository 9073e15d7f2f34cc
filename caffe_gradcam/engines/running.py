"""How a net is to be run: the values that an engine is opened with."""

import math
import re
from dataclasses import dataclass
from typing import Any, Iterable, Optional, Tuple

from prototxt_tools.errors import QuestionError, shortened

ENGINES = ("auto", "caffe", "torch", "onnx", "openvino")
# Those that run the graphs that `export` writes, so that they prove nothing about each other.
GRAPH_ENGINES = ("onnx", "openvino")
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
GRADIENTS = ("post", "pre-relu")
_SWITCHES = ("trust", "allow_missing", "ignore_unknown_fields", "verbose", "isolated")


@dataclass(frozen=True)
class Running:
    """Which engine runs a net, and on what.

    Attributes
    ----------
    engine : str
        "auto" takes Caffe where pycaffe is installed, otherwise torch, otherwise "onnx", which
        is ONNX Runtime, or OpenVINO where that is not installed. "openvino" is OpenVINO.
    device : str
        "cpu", "cuda" or "cuda:N".
    precision : str
        "fp32", as Caffe computes. The engines torch and openvino also have "bf16", and torch on
        CUDA "tf32" and "fp16": matrix products and convolutions then use shorter numbers. In bf16
        and fp16 so do the blobs between most layers; scores and gradients at layers are float32.
    trust : bool
        Let layers that run Python code or read files do so, instead of refusing the net.
    allow_missing : bool
        Fill layers that the weights file lacks as Caffe would, instead of refusing them.
    ignore_unknown_fields : bool
        Run layers with fields of a fork that are not understood as if the fields were absent,
        instead of refusing the net.
    timeout : float, optional
        Time limit in seconds for each call to an engine that has a process of its own.
    verbose : bool
        Pass on what Caffe logs.
    isolated : bool
        Run Caffe in a process of its own, so that only that process dies when Caffe aborts.
    plugins : tuple of str
        Modules that register layer types, imported in each process that builds the net.
        Importing them runs their code, so they are named on the command line or in Python, never
        by a file.

    Raises
    ------
    QuestionError
        No such engine, device or precision, or a value of another type.
    """

    engine: str = "auto"
    device: str = "cpu"
    precision: str = "fp32"
    trust: bool = False
    allow_missing: bool = False
    ignore_unknown_fields: bool = False
    timeout: Optional[float] = None
    verbose: bool = False
    isolated: bool = True
    plugins: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("engine", self.engine, ENGINES)
        if self.precision == "int8":
            raise QuestionError("int8 is a precision of exported graphs alone: caffe-gradcam "
                                "export --precision int8", self.precision)
        _check("precision", self.precision, PRECISIONS)
        device_index(self.device)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise _unusable(name, "True or False", getattr(self, name))
        if self.timeout is not None and not _is_duration(self.timeout):
            raise _unusable("timeout", "a number of seconds above 0", self.timeout)


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
    path : str, optional
        The file of the prototxt, which messages name.

    Raises
    ------
    QuestionError
        No such gradient.
    """

    prototxt: str
    weights: str
    scores: Tuple[str, ...]
    targets: Tuple[str, ...]
    gradient: str = "post"
    path: Optional[str] = None

    def __post_init__(self) -> None:
        _check("gradient", self.gradient, GRADIENTS)


def device_index(device: str) -> Optional[int]:
    """None for "cpu", N for "cuda:N", 0 for "cuda"; QuestionError for anything else."""
    match = re.match(r"cuda(?::(\d+))?$", device) if isinstance(device, str) else None
    if match:
        return int(match.group(1) or 0)
    if device != "cpu":
        raise QuestionError(f"there is no device {device!r}; use cpu, cuda or cuda:N", str(device))
    return None


def _is_duration(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
            and math.isfinite(value))


def _unusable(name: str, expected: str, value: Any) -> QuestionError:
    return QuestionError(f"{name} must be {expected}, not {shortened(repr(value))}", name)


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise QuestionError(f"there is no {what} {name!r}; known: {', '.join(known)}", str(name))
