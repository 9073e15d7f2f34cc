"""Graphs in ONNX Runtime."""

import os
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from caffe_gradcam.engines.onnx import libraries

# Sets how many threads ONNX Runtime computes with, as it does for other libraries.
THREADS = "OMP_NUM_THREADS"


class Session:
    """A graph that is compiled for the processor.

    Parameters
    ----------
    model : bytes
        Of a .onnx file.

    Attributes
    ----------
    inputs : list of str
        Those that may be left out come last.
    outputs : list of str
    """

    def __init__(self, model: bytes) -> None:
        runtime = libraries.load("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # Errors alone: warnings are about its own optimizations.
        if os.environ.get(THREADS, "").isdigit():
            options.intra_op_num_threads = int(os.environ[THREADS])
        self._session = runtime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"])
        entries = (self._session.get_inputs()
                   + self._session.get_overridable_initializers())
        self.inputs: List[str] = [entry.name for entry in entries]
        self.outputs: List[str] = [entry.name for entry in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
            ) -> Dict[str, np.ndarray]:
        """Run the graph; inputs that it does not have are left out."""
        given = {name: inputs[name] for name in self.inputs if name in inputs}
        return dict(zip(outputs, self._session.run(list(outputs), given)))


def is_of_runtime(error: Exception) -> bool:
    """Whether an exception comes from ONNX Runtime, whose own have no common parent."""
    return "onnxruntime" in type(error).__module__


def reason_of(error: Any) -> str:
    """The first line of what ONNX Runtime said."""
    return str(error).strip().split("\n")[0]
