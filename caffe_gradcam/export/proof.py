"""Runs a graph beside the engine that it is to equal, and compares every blob."""

import os
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.session import GraphFailed, RuntimeSession
from caffe_gradcam.engines.onnx.writer import FLOAT
from prototxt_tools import layers
from prototxt_tools.errors import InputError

Arrays = Dict[str, np.ndarray]

# The largest relative L2 distance of a blob, and of a map.
BLOB_TOLERANCE, MAP_TOLERANCE = 1e-5, 1e-4


class NotProven(InputError):
    """A graph computes something else than the net it was made of."""


@dataclass(frozen=True)
class Comparison:
    """How far a value of the graph is from that of the engine.

    Attributes
    ----------
    name : str
        Of the blob or the output.
    shape : tuple of int
    error : float
        The relative L2 distance: that of the difference over that of the engine's value.
    tolerance : float
    """

    name: str
    shape: Sequence[int]
    error: float
    tolerance: float = BLOB_TOLERANCE

    @property
    def passes(self) -> bool:
        """Whether the error is at most the tolerance; NaN is not."""
        return self.error <= self.tolerance


def compare(name: str, actual: np.ndarray, expected: np.ndarray,
            tolerance: float = BLOB_TOLERANCE) -> Comparison:
    """Compare two values; of other shapes, the error is infinite."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        return Comparison(name, expected.shape, float("inf"), tolerance)
    # Infinities that agree are no difference; NaN beside NaN is none either.
    with np.errstate(invalid="ignore", over="ignore"):
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        difference = np.where(same, 0, actual.astype(np.float64) - expected)
        size = float(np.linalg.norm(np.where(np.isfinite(expected), expected, 0)))
        distance = float(np.linalg.norm(difference))
    return Comparison(name, expected.shape, distance / size if size else distance, tolerance)


def run_graph(model: bytes, inputs: Mapping[str, np.ndarray],
              outputs: Optional[Sequence[str]] = None) -> Arrays:
    """Run a graph in ONNX Runtime on the processor.

    Parameters
    ----------
    model : bytes
        Of a .onnx file.
    inputs : dict
        Input -> array; those that the graph does not have are left out.
    outputs : sequence of str, optional
        Without it, all.

    Raises
    ------
    EngineMissing
        ONNX Runtime is not installed.
    NotProven
        It cannot run the graph.
    """
    try:
        session = RuntimeSession(model)
        return session.run(inputs, session.outputs if outputs is None else outputs)
    except GraphFailed as error:
        raise NotProven(f"the graph cannot be run by {error}") from None


def with_all_blobs(model: Any, translated: Translated) -> bytes:
    """A graph in which every blob is an output, as bytes."""
    onnx = libraries.load("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output.name for output in copy.graph.output}
    for name in translated.blobs.values():
        if name not in present:
            copy.graph.output.append(onnx.helper.make_tensor_value_info(name, FLOAT, None))
    return bytes(copy.SerializeToString())


def compare_blobs(translated: Translated, model: Any, inputs: Mapping[str, np.ndarray],
                  expected: Mapping[str, np.ndarray]) -> List[Comparison]:
    """Compare each blob of a graph, in the order in which they are written."""
    names = {blob: name for blob, name in translated.blobs.items() if blob in expected}
    actual = run_graph(with_all_blobs(model, translated), inputs, list(names.values()))
    allowed = tolerances(translated, expected)
    return [compare(blob, actual[name], expected[blob], allowed.get(blob, BLOB_TOLERANCE))
            for blob, name in names.items()]


def tolerances(translated: Translated, expected: Mapping[str, np.ndarray]) -> Dict[str, float]:
    """Blob -> its tolerance, for probabilities.

    Softmax and Sigmoid turn the absolute error of a score into a relative one, so that what was
    rounded in scores of 30 shows 30 times as large.
    """
    allowed = {}
    for step in translated.steps.values():
        bottom = step.message.bottom[0] if step.message.bottom else ""
        if layers.of(step.message.type).role == "link" and bottom in expected:
            largest = float(np.abs(expected[bottom]).max()) if expected[bottom].size else 0.0
            allowed[step.message.top[0]] = BLOB_TOLERANCE * max(1.0, largest)
    return allowed


def written_to_folder(model: bytes) -> "tempfile.TemporaryDirectory[str]":
    """A temporary folder with the graph as ``model.onnx``, for libraries that read files."""
    folder = tempfile.TemporaryDirectory()
    with open(os.path.join(folder.name, "model.onnx"), "wb") as file:
        file.write(model)
    return folder
