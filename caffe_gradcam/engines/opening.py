"""Opens engines: the only module that knows all kinds."""

import importlib
import importlib.util
import logging
import sys

from prototxt_tools.errors import EngineMissing
from prototxt_tools.layers.plugins import import_plugins

from .contract import Engine, precision_note
from .running import GRAPH_ENGINES, NetToRun, Running

# What to do where the library of an engine is missing; "auto" takes the first that is there.
ADVICE = {"caffe": "pycaffe is not installed; use the image, or the torch engine",
          "torch": "torch is not installed; pip install torch",
          "onnx": "onnx and onnxruntime are not installed; pip install 'caffe-gradcam[onnx]'",
          "openvino": "onnx and openvino are not installed; pip install "
                      "'caffe-gradcam[openvino]'"}
# What has to be there for an engine, where that is not a library of its name alone.
_LIBRARIES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
_logger = logging.getLogger(__name__)


def open_engine(net: NetToRun, running: Running) -> Engine:
    """Open an engine for a net: ``with open_engine(net, running) as engine``.

    Caffe gets a process of its own, so that only that process dies where Caffe aborts, unless
    ``running.isolated`` is False.

    Returns
    -------
    Engine

    Raises
    ------
    EngineMissing
        The engine's library is not installed.
    EngineError
        The engine cannot run this net, or has no such device or precision.
    ModelError, WeightsError, QuestionError
        The net, the weights or the blobs cannot be used, or a plugin cannot be imported.
    """
    kind = resolve_engine(running.engine)
    if kind == "caffe" and running.isolated:
        from .isolated import IsolatedEngine

        return _told(IsolatedEngine(net, running), running)
    import_plugins(running.plugins)
    if kind == "caffe":
        from .caffe.engine import PycaffeEngine

        return PycaffeEngine(net, running)
    if kind in GRAPH_ENGINES:
        from .onnx.engine import OnnxEngine

        return _told(OnnxEngine(net, running, kind), running)
    from .torch.engine import TorchEngine

    return _told(TorchEngine(net, running), running)


def resolve_engine(name: str) -> str:
    """The engine that runs: "caffe", "torch", "onnx" or "openvino".

    Of "auto" it is the first that is installed, and OpenVINO runs the graphs of "onnx" where
    ONNX Runtime is not installed.

    Raises
    ------
    EngineMissing
        It is not installed.
    """
    if name == "auto":
        installed = [kind for kind in ADVICE if _has_libraries(kind)]
        if not installed:
            raise EngineMissing("none of pycaffe, torch, onnxruntime and openvino is "
                                "installed; pip install torch")
        return installed[0]
    if name == "onnx" and not _has_libraries(name) and _has_libraries("openvino"):
        return "openvino"
    if not _has_libraries(name):
        raise EngineMissing(ADVICE[name], name)
    return name


def _has_libraries(kind: str) -> bool:
    return all(is_installed(library) for library in _LIBRARIES.get(kind, (kind,)))


def is_installed(library: str) -> bool:
    """Whether a library is there; a mere folder of its name, such as Caffe's source, is not."""
    if library in sys.modules:
        return True
    spec = importlib.util.find_spec(library)
    return spec is not None and spec.origin not in (None, "namespace")


def _told(engine: Engine, running: Running) -> Engine:
    """The engine, after a warning where it computes in another precision than was asked for."""
    note = precision_note(engine.description, running.precision)
    if note:
        _logger.warning(note)
    return engine
