"""Graphs that are ready to run on the processor, in OpenVINO."""

import hashlib
import io
import os
from typing import Any, Dict, Optional, Sequence

import numpy as np

from caffe_gradcam.engines import openvino_library
from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.engines.onnx.session import Arrays, GraphFailed, Session, thread_count
from caffe_gradcam.engines.onnx.store import Store
from caffe_gradcam.model import user_folder


class OpenVinoSession(Session):
    """A graph in OpenVINO.

    What a graph is compiled to is kept beside the graphs, and found there again.

    Parameters
    ----------
    model : bytes
        Of a .onnx file.
    precision : str
        "fp32" or, on processors that have arithmetic for it, "bf16".

    Raises
    ------
    EngineMissing
        OpenVINO is not installed.
    GraphFailed
    """

    def __init__(self, model: bytes, precision: str = "fp32") -> None:
        openvino = libraries.load("openvino")
        try:
            self._compiled = _compiled(openvino, model, precision)
        except RuntimeError as error:
            raise _translated(error) from error
        self._request = self._compiled.create_infer_request()
        self._ports = {name: port for port in self._compiled.outputs for name in port.names}
        self.inputs = [port.any_name for port in self._compiled.inputs]
        self.outputs = list(self._ports)

    def _infer(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            results = self._request.infer(given, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise _translated(error) from error
        # The arrays would change with the next run.
        return {name: np.array(results[self._ports[name]]) for name in outputs}


def _configuration(precision: str) -> Dict[str, Any]:
    """How OpenVINO is told to compile: without the hint, in bf16 on processors that have it."""
    values = dict(openvino_library.SETTINGS,
                  INFERENCE_PRECISION_HINT=openvino_library.HINTS[precision])
    if thread_count() is not None:
        values["INFERENCE_NUM_THREADS"] = thread_count()
    return values


def _compiled(openvino: Any, model: bytes, precision: str) -> Any:
    """The compiled graph, from disk where it was compiled before."""
    core, settings = openvino.Core(), _configuration(precision)
    store = Store(os.path.join(user_folder.path(), "graphs"))
    processor = core.get_property("CPU", "FULL_DEVICE_NAME")
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    key = "compiled " + " ".join(map(str, (
        hashlib.sha256(model).hexdigest(), openvino.__version__, processor, sorted(abilities),
        sorted(settings.items()))))
    content = store.get(key)
    if content is not None:
        compiled = _imported(core, content, settings)
        if compiled is not None:
            return compiled
    compiled = core.compile_model(core.read_model(model, b""), "CPU", settings)
    stream = compiled.export_model()
    store.put(key, stream.getvalue() if isinstance(stream, io.BytesIO) else bytes(stream))
    return compiled


def _imported(core: Any, content: bytes, settings: Dict[str, Any]) -> Optional[Any]:
    """A compiled graph that was kept; None where this OpenVINO does not take it."""
    try:
        return core.import_model(content, "CPU", settings)
    except RuntimeError:
        return None


def _translated(error: RuntimeError) -> GraphFailed:
    """The last line of OpenVINO's message holds the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return GraphFailed("OpenVINO: " + (lines[-1] if lines else "no reason given"))
