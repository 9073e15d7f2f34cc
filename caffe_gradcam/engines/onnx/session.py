"""Graphs that are ready to run on the processor, in ONNX Runtime."""

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.engines.onnx import libraries

# Sets how many threads libraries compute with.
THREADS = "OMP_NUM_THREADS"

Arrays = Dict[str, np.ndarray]


class GraphFailed(Exception):
    """A library cannot compile or run a graph; the message names the library and the reason."""


class Session:
    """A graph that is compiled for the processor.

    Attributes
    ----------
    inputs : list of str
        Those that may be left out come last.
    outputs : list of str
    """

    inputs: List[str]
    outputs: List[str]

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]) -> Arrays:
        """Run the graph; inputs that it does not have are left out.

        Raises
        ------
        GraphFailed
        """
        return self._infer({name: inputs[name] for name in self.inputs if name in inputs}, outputs)

    def _infer(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        raise NotImplementedError


class RuntimeSession(Session):
    """A graph in ONNX Runtime.

    Parameters
    ----------
    model : bytes
        Of a .onnx file.

    Raises
    ------
    EngineMissing
        ONNX Runtime is not installed.
    GraphFailed
    """

    def __init__(self, model: bytes) -> None:
        runtime = libraries.load("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # Errors alone: warnings are about its own optimizations.
        if thread_count() is not None:
            options.intra_op_num_threads = thread_count()
        try:
            self._session = runtime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _translated(error) from error
        entries = (self._session.get_inputs()
                   + self._session.get_overridable_initializers())
        self.inputs = [entry.name for entry in entries]
        self.outputs = [entry.name for entry in self._session.get_outputs()]

    def _infer(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        try:
            return dict(zip(outputs, self._session.run(list(outputs), inputs)))
        except Exception as error:
            raise _translated(error) from error


def thread_count() -> Optional[int]:
    """How many threads to compute with, where the environment specifies it."""
    count = os.environ.get(THREADS, "")
    return int(count) if count.isdigit() and int(count) else None


def _translated(error: Any) -> Exception:
    """An error of ONNX Runtime, whose own have no common parent, as GraphFailed; others as is."""
    if "onnxruntime" not in type(error).__module__:
        return error  # type: ignore[no-any-return]
    return GraphFailed(f"ONNX Runtime: {reason_of(error)}")


def reason_of(error: Any) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0]
