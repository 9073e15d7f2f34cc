"""What the graphs of a net depend on."""

import hashlib
import json
import os
import sys
from typing import List, Mapping, Optional

import numpy as np

import caffe_gradcam
import prototxt_tools
from caffe_gradcam.engines.onnx.store import MOST_EACH
from caffe_gradcam.engines.onnx.writer import IR_VERSION, OPSET, Shape
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.engines.versions import of_distribution

_PART = 1 << 20


def identity(net: NetToRun, running: Running, sizes: Mapping[str, Shape]) -> Optional[str]:
    """A hash of the net, the weights, what is asked, and the programs that make graphs of them.

    Returns
    -------
    str or None
        None where that is not all, since plugins take part, or where the graphs are too large to
        be kept.
    """
    try:
        if running.plugins or os.path.getsize(net.weights) > MOST_EACH:
            return None
        digest = hashlib.sha256()
        with open(net.weights, "rb") as file:
            for part in iter(lambda: file.read(_PART), b""):
                digest.update(part)
    except OSError:
        return None
    facts = [net.prototxt, os.path.splitext(net.weights)[1], digest.hexdigest(), net.scores,
             net.targets, net.gradient, sorted(sizes.items()), running.trust,
             running.allow_missing, running.ignore_unknown_fields, OPSET, IR_VERSION,
             sys.version, np.__version__, of_distribution("onnx"), _modules()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _modules() -> List[object]:
    """The modules of both packages, each with its size and when it was changed."""
    modules: List[object] = []
    for package in (caffe_gradcam, prototxt_tools):
        folder = os.path.dirname(os.path.abspath(str(package.__file__)))
        for path, folders, names in os.walk(folder):
            folders[:] = sorted(set(folders) - {"__pycache__"})
            for name in sorted(names):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(path, name))
                    modules.append([path, name, status.st_size, status.st_mtime_ns])
    return modules
