"""What runs a Caffe net: real pycaffe, or the same layers in PyTorch. One contract: ``base``."""

from .base import Engine, open_engine
from .errors import EngineError, OutOfMemory

__all__ = ["Engine", "EngineError", "OutOfMemory", "open_engine"]
