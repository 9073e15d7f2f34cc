"""What runs a Caffe net: real pycaffe, or the same layers in PyTorch. One contract: ``base``."""

from prototxt_tools.errors import EngineError, OutOfMemory

from .contract import Engine, open_engine

__all__ = ["Engine", "EngineError", "OutOfMemory", "open_engine"]
