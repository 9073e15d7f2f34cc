"""What runs a Caffe net: real pycaffe, or the same layers in PyTorch. One contract: ``base``."""

from .base import Engine, EngineError, OutOfMemory, open_engine

__all__ = ["Engine", "EngineError", "OutOfMemory", "open_engine"]
