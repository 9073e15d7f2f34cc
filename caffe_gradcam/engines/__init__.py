"""What runs a Caffe net: real pycaffe, or the same layers in PyTorch. See ``contract.Engine``."""

from .contract import Engine
from .opening import open_engine
from .running import NetToRun, Running

__all__ = ["Engine", "NetToRun", "Running", "open_engine"]
