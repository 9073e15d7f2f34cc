"""A graph as OpenVINO's own files."""

import os
from dataclasses import dataclass
from typing import Any, Dict, List

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.export.certificate import sha256_of
from caffe_gradcam.export.exporting import Exported
from caffe_gradcam.export.proof import Comparison, NotProven, compare, written_to_folder
from prototxt_tools.files import read_bytes, write_bytes

# The largest relative L2 distance of an output whose weights were rounded to fp16.
_HALF_TOLERANCE = 2e-2
_NAME = "model"


@dataclass(frozen=True, eq=False)
class Converted:
    """A graph in OpenVINO's form.

    Attributes
    ----------
    topology, weights : bytes
        Of the .xml and the .bin file.
    comparisons : list of Comparison
        Of the outputs in OpenVINO, computed in f32, with those in ONNX Runtime.
    """

    topology: bytes
    weights: bytes
    comparisons: List[Comparison]

    def write(self, path: str) -> None:
        """Write both files.

        Raises
        ------
        NotProven
            OpenVINO gives something else; nothing is written.
        """
        for comparison in self.comparisons:
            if not comparison.passes:
                raise NotProven(f"nothing is written: in OpenVINO, {comparison.name} differs by "
                                f"{comparison.error:.2g} (at most {comparison.tolerance:g} is "
                                "allowed)", comparison.name)
        write_bytes(os.path.splitext(path)[0] + ".bin", self.weights)
        write_bytes(path, self.topology)

    @property
    def hashes(self) -> Dict[str, str]:
        """SHA-256 of both files."""
        return {"xml": sha256_of(self.topology), "bin": sha256_of(self.weights)}


def convert(exported: Exported, half: bool = False) -> Converted:
    """Convert a graph, and run what came out of it.

    Parameters
    ----------
    exported : Exported
    half : bool
        Whether weights are stored as fp16; OpenVINO computes in f32 with them all the same.

    Raises
    ------
    EngineMissing
        OpenVINO is not installed.
    """
    openvino = libraries.load("openvino")
    core = openvino.Core()
    with written_to_folder(exported.model) as folder:
        path = os.path.join(folder, _NAME + ".xml")
        openvino.save_model(core.read_model(os.path.join(folder, _NAME + ".onnx")), path,
                            compress_to_fp16=half)
        topology = read_bytes(path, None)
        weights = read_bytes(os.path.join(folder, _NAME + ".bin"), None)
        model = core.read_model(path)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(_given(compiled, exported))
    comparisons = [
        compare(name, np.asarray(results[port]), exported.outputs[name],
                _HALF_TOLERANCE if half else exported.tolerance(name))
        for port in compiled.outputs for name in port.names if name in exported.outputs]
    return Converted(topology, weights, comparisons)


def _given(compiled: Any, exported: Exported) -> Dict[str, np.ndarray]:
    """The inputs of the proof, of the names that the graph has."""
    names = {name for port in compiled.inputs for name in port.names}
    return {name: array for name, array in exported.inputs.items() if name in names}
