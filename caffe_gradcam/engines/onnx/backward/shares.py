"""How much a ReLU passes on of a gradient that is the same in all cells of a channel.

This is so below a global mean; see ``closed_forms.below_global_mean``.
"""

from typing import Dict, List

import numpy as np

from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.registry import Step
from caffe_gradcam.engines.onnx.writer import FLOAT, Value


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
