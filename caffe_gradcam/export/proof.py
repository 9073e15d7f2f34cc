"""Runs a graph beside the engine that it is to equal, and compares every blob."""

import os
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

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
# How many numbers are compared at once, in double precision.
_PART = 1 << 22
# Types of layers that choose by comparing numbers, or go by such a choice: where two are nearly
# equal, rounding decides.
_CHOOSING = frozenset({"ArgMax", "DetectionOutput", "Filter", "Proposal", "Threshold", "Upsample",
                       "YoloDetectionOutput", "Yolov3DetectionOutput"})


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
    layer_error : float, optional
        Of a blob that a choice between nearly equal numbers has changed: the same distance where
        the layer that writes it is given the engine's own blobs.
    """

    name: str
    shape: Sequence[int]
    error: float
    tolerance: float = BLOB_TOLERANCE
    layer_error: Optional[float] = None

    @property
    def passes(self) -> bool:
        """Whether the error is at most the tolerance; NaN is not."""
        return (self.error if self.layer_error is None else self.layer_error) <= self.tolerance


def compare(name: str, actual: np.ndarray, expected: np.ndarray,
            tolerance: float = BLOB_TOLERANCE) -> Comparison:
    """Compare two values; of other shapes, the error is infinite."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        return Comparison(name, expected.shape, float("inf"), tolerance)
    squares = np.zeros(2)
    for start in range(0, expected.size, _PART):
        parts = (values.reshape(-1)[start:start + _PART].astype(np.float64)
                 for values in (actual, expected))
        squares += _squares(*parts)
    distance, size = map(float, np.sqrt(squares))
    return Comparison(name, expected.shape, distance / size if size else distance, tolerance)


def _squares(actual: np.ndarray, expected: np.ndarray) -> Tuple[float, float]:
    """The sums of the squares of the differences, and of the expected numbers."""
    # Infinities that agree are no difference; NaN beside NaN is none either.
    with np.errstate(invalid="ignore", over="ignore"):
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        difference = np.where(same, 0, actual - expected)
        size = np.where(np.isfinite(expected), expected, 0)
        return float(np.dot(difference, difference)), float(np.dot(size, size))


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
    names = _names(translated, expected)
    return _compared(translated, expected,
                     run_graph(with_all_blobs(model, translated), inputs, list(names.values())))


def layer_errors(translated: Translated, model: Any, inputs: Mapping[str, np.ndarray],
                 expected: Mapping[str, np.ndarray], differing: Set[str]) -> Dict[str, float]:
    """The errors of differing blobs where each layer is run by itself, on the engine's blobs.

    Where all of these blobs lie behind a layer that chooses among numbers, and every layer agrees
    by itself, so does the graph: what differs was nearly equal. An output may differ where no
    blob does, since ONNX Runtime joins layers whose blobs are not asked for.

    Returns
    -------
    dict
        Blob -> error; empty where the graph does not agree so either.
    """
    if not differing or not differing <= _behind_choices(translated):
        return {}
    names = _names(translated, expected)
    given = {name: expected[blob] for blob, name in names.items()}
    alone = _compared(translated, expected, run_layers(model, inputs, given))
    if not all(entry.passes for entry in alone):
        return {}
    return {entry.name: entry.error for entry in alone if entry.name in differing}


def _names(translated: Translated, expected: Mapping[str, np.ndarray]) -> Dict[str, str]:
    """Blob -> its name in the graph."""
    return {blob: name for blob, name in translated.blobs.items() if blob in expected}


def _compared(translated: Translated, expected: Mapping[str, np.ndarray],
              actual: Arrays) -> List[Comparison]:
    allowed = tolerances(translated, expected)
    return [compare(blob, actual[name], expected[blob], allowed.get(blob, BLOB_TOLERANCE))
            for blob, name in _names(translated, expected).items()]


def run_layers(model: Any, inputs: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]
               ) -> Arrays:
    """Run each layer by itself, on given values instead of those that the layers before it write.

    Parameters
    ----------
    model : onnx.ModelProto
    inputs : dict
        Input -> array.
    given : dict
        Value of the graph -> array.

    Returns
    -------
    dict
        Value -> what its layer makes of the given ones.
    """
    onnx = libraries.load("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    fed = {name: name + " given" for name in given}
    for node in copy.graph.node:
        node.input[:] = [fed.get(name, name) for name in node.input]
    del copy.graph.output[:]
    describe = onnx.helper.make_tensor_value_info
    copy.graph.output.extend(describe(name, FLOAT, None) for name in given)
    copy.graph.input.extend(describe(name, FLOAT, None) for name in fed.values())
    arrays = dict(inputs, **{fed[name]: array for name, array in given.items()})
    return run_graph(copy.SerializeToString(), arrays, list(given))


def choice_notes(compared: Sequence[Comparison]) -> List[str]:
    """A sentence about the blobs that a choice between nearly equal numbers has changed."""
    changed = list(dict.fromkeys(
        entry.name for entry in compared if entry.layer_error is not None))
    if not changed:
        return []
    subject = f"blob {changed[0]} differs" if len(changed) == 1 else (
        f"{len(changed)} blobs, the first of them {changed[0]}, differ")
    return [f"{subject} because a layer chooses between numbers that are nearly equal; every layer "
            "agrees when it is given the engine's blobs"]


def _behind_choices(translated: Translated) -> Set[str]:
    """The blobs that depend on a choice by comparing numbers."""
    blobs: Set[str] = set()
    for step in translated.steps.values():
        message = step.message
        gives_places = message.type == "Pooling" and len(message.top) > 1
        if gives_places or message.type in _CHOOSING or blobs.intersection(message.bottom):
            blobs.update(message.top)
    return blobs


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
