"""What the doctor runs in a child process, where it may crash, hang or be killed."""

import importlib
import os
import re
import sys
import tempfile
from multiprocessing.connection import Connection
from typing import Any, Dict, Sequence, Tuple

# A net that can be worked out by hand: twice the pixel, cut at 0, summed with weights 1 and -1.
NET = """
input: "data" input_shape { dim: 1 dim: 1 dim: 2 dim: 2 }
layer { name: "twice" type: "Convolution" bottom: "data" top: "twice"
        convolution_param { num_output: 1 kernel_size: 1 } }
layer { name: "relu" type: "ReLU" bottom: "twice" top: "twice" }
layer { name: "score" type: "InnerProduct" bottom: "twice" top: "score"
        inner_product_param { num_output: 2 } }
"""
PIXELS = [[1.0, -1.0], [3.0, 0.5]]
SCORES = [9.0, -9.0]


def serve(pipe: Connection, what: str, *words: str) -> None:
    """Answer "packages" NAME... or "engine" KIND DEVICE."""
    pipe.send(packages(words) if what == "packages" else engine(*words))


def packages(names: Sequence[str]) -> Dict[str, Any]:
    """Import name -> {"version": ...} or {"error": ...}."""
    answers: Dict[str, Any] = {}
    for name in names:
        try:
            module = importlib.import_module(name)
            answers[name] = {"version": str(getattr(module, "__version__", ""))}
        except Exception as error:  # noqa: B902 - broken packages raise all kinds
            answers[name] = {"error": f"{type(error).__name__}: {error}"}
    return answers


def engine(kind: str, device: str) -> Dict[str, Any]:
    """Run the net above: {"description": ..., "build": ..., "off": largest deviation}."""
    import numpy as np

    from caffe_gradcam.engines.opening import open_engine
    from caffe_gradcam.engines.running import NetToRun, Running
    from prototxt_tools import weights

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.caffemodel")
        weights.save(path, {
            "twice": [np.full((1, 1, 1, 1), 2, np.float32), np.zeros(1, np.float32)],
            "score": [np.array([[1] * 4, [-1] * 4], np.float32), np.zeros(2, np.float32)]})
        net = NetToRun(NET, path, ("score",), ("twice",))
        opened = open_engine(net, Running(engine=kind, device=device, isolated=False))
        kept = opened.forward({"data": np.array([[PIXELS]], np.float32)}, ["score", "twice"])
        slopes = opened.backward("score", np.array([[1, 0]], np.float32), ["twice"])["twice"]
    off = max(np.abs(kept["score"].reshape(2) - SCORES).max(), np.abs(slopes - 1).max())
    return {"description": opened.description, "build": build(kind), "off": float(off)}


def build(kind: str) -> Dict[str, Any]:
    """What a library was built for."""
    if kind == "torch":
        import torch

        answer = {"cuda": torch.version.cuda, "cards": []}
        if torch.cuda.is_available():
            answer["archs"] = list(getattr(torch.cuda, "get_arch_list", list)())
            answer["cards"] = [list(torch.cuda.get_device_capability(index))
                               for index in range(torch.cuda.device_count())]
        return answer
    import caffe

    package, keywords = _distribution(("pycaffe", "kendryte-caffe"))
    return {"python": caffe.__file__, "layers": len(caffe.layer_type_list()),
            "package": package, "archs": re.findall(r"\b(?:sm|compute)_\d+", keywords)}


def _distribution(names: Sequence[str]) -> Tuple[str, str]:
    """The first of some packages that pip has installed, with its version; and its keywords."""
    if sys.version_info >= (3, 8):
        from importlib import metadata

        for name in names:
            try:
                fields = metadata.metadata(name)
            except metadata.PackageNotFoundError:
                continue
            return "{} {}".format(name, fields["Version"]), fields["Keywords"] or ""
    return "", ""
