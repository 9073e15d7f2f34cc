"""The libraries of the extras, imported on first use."""

import importlib
from typing import Any

from caffe_gradcam.engines import openvino_library
from prototxt_tools.errors import EngineMissing

ADVICE = {
    "onnx": "pip install 'caffe-gradcam[onnx]'",
    "onnxruntime": "pip install 'caffe-gradcam[onnx]'",
    "openvino": "pip install 'caffe-gradcam[openvino]'",
    "nncf": "pip install 'caffe-gradcam[int8]'",
    "scipy": "pip install 'caffe-gradcam[int8]'",
}


def load(name: str) -> Any:
    """A module of a library in ``ADVICE``, such as ``onnx.numpy_helper``.

    Raises
    ------
    EngineMissing
        The library is not installed.
    """
    library = name.split(".")[0]
    try:
        openvino_library.leave_telemetry_out()
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineMissing(f"{library} cannot be imported ({error}); {ADVICE[library]}",
                            library) from None
