"""One HTML file with a net, and with what runs it in a browser."""

import base64
import html
import json
import os

from caffe_gradcam.export.exporting import Exported
from caffe_gradcam.export.source import NetSource, preprocessing_values
from prototxt_tools.errors import InputError, ModelError
from prototxt_tools.files import read_bytes

# Files of the npm package onnxruntime-web, in its folder ``dist``.
RUNTIME, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
ADVICE = ("it must be the folder of the npm package onnxruntime-web, as `npm install "
          "onnxruntime-web` puts it into node_modules")

_TEMPLATE = os.path.join(os.path.dirname(__file__), "templates", "page.html")
_LARGEST = 1 << 27


def page(exported: Exported, source: NetSource, runtime_folder: str) -> bytes:
    """The page: drop a picture, see the heatmap; it connects to nothing.

    Parameters
    ----------
    exported : Exported
        A graph that explains itself, with heatmap and preprocessing.
    source : NetSource
    runtime_folder : str
        That of the npm package onnxruntime-web.

    Raises
    ------
    ModelError
        The net reads several pictures, or is explained at several layers.
    InputError
        The folder does not hold the package.
    """
    model = source.model
    outputs = [comparison.name for comparison in exported.certificate.outputs]
    if model is None or len(model.inputs) != 1 or "cam" not in outputs:
        raise ModelError.about(source.name, "a page shows one image and one map; choose one "
                                            "layer with --layer")
    facts = {"labels": model.class_names, "probability": "probability" in outputs,
             "preprocessing": {key: value for key, value in
                               preprocessing_values(model.preprocessing).items()
                               if key != "mean"}}
    values = {
        "TITLE": html.escape(source.name), "METHOD": html.escape(exported.method),
        "LAYER": html.escape(", ".join(exported.layers)),
        # "</script>" in a class name must not end the script.
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),
        "RUNTIME": _encoded(_read(runtime_folder, RUNTIME)),
        "WASM": _encoded(_read(runtime_folder, WASM)), "NET": _encoded(exported.model),
    }
    text = read_bytes(_TEMPLATE, None).decode("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text.encode("utf-8")


def _read(folder: str, name: str) -> bytes:
    for path in (os.path.join(folder, "dist", name), os.path.join(folder, name)):
        if os.path.isfile(path):
            return read_bytes(path, _LARGEST)
    raise InputError(f"{folder}: there is no {name}; {ADVICE}", folder)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
