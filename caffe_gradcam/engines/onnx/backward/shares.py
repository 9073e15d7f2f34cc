"""How much a ReLU passes on of a gradient that is the same in all cells of a channel.

This is so below a global mean, as at the end of SqueezeNet and NiN: the sum of what the ReLU passes
on is the gradient at the mean times the share of positive cells.
"""

from typing import Dict, List, Optional, Set, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.layers.pooling import Windows
from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import FLOAT, Value

# Layers, each with those of its bottoms that a gradient is asked for.
Path = List[Tuple[Step, Set[str]]]


class Shares:
    """The shares of positive cells, N x C, written among the layers of the net.

    They do not depend on the gradient. Computed with the scores, they leave nothing of the size of
    the blob to be kept for the way back.

    Parameters
    ----------
    translated : Translated
    """

    def __init__(self, translated: Translated) -> None:
        self._writer, self._nodes = translated.writer, translated.writer.nodes
        self._of_blob: Dict[str, Value] = {}

    @property
    def values(self) -> List[Value]:
        """Those that were written."""
        return list(self._of_blob.values())

    def of(self, relu: Step) -> Value:
        """The share of the cells of each channel in which a ReLU's top is positive."""
        top = relu.tops[0]
        if top.name not in self._of_blob:
            current, self._writer.nodes = self._writer.nodes, self._nodes
            is_positive = relu.op("Cast", relu.op("Greater", top, np.float32(0)), to=FLOAT)
            name = relu.op("ReduceMean", is_positive, axes=[2, 3], keepdims=0)
            self._writer.nodes = current
            self._of_blob[top.name] = Value(name, top.shape[:2], top.open_axes & {0})
        return self._of_blob[top.name]


def below_global_mean(value: Value, path: Path, score: Value) -> Optional[Tuple[Step, Step]]:
    """The ReLU that alone reads a value, and the global mean that alone reads that ReLU.

    Parameters
    ----------
    value : Value
    path : list of (Step, set of str)
        The layers that depend on the value.
    score : Value
        What the gradient comes from. Layers behind it do not count.

    Returns
    -------
    (Step, Step) or None
    """
    relu = _only_reader(value, path)
    if relu is None or relu.message.type != "ReLU" or relu.message.relu_param.negative_slope:
        return None
    pool = _only_reader(relu.tops[0], path)
    if pool is None or score.name in (value.name, relu.tops[0].name):
        return None
    return (relu, pool) if _is_global_mean(pool) else None


def _only_reader(value: Value, path: Path) -> Optional[Step]:
    readers = [step for step, bottoms in path if value.name in bottoms]
    return readers[0] if len(readers) == 1 else None


def _is_global_mean(step: Step) -> bool:
    param, x = step.message.pooling_param, step.bottoms[0]
    if step.message.type != "Pooling" or param.pool != param.AVE or len(x.shape) != 4:
        return False
    if x.open_axes.intersection((2, 3)):
        return bool(param.global_pooling)
    return Windows.of(step).is_global
