"""Gradients times matrices."""

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step


def times(step: Step, rows: str, matrix: np.ndarray) -> str:
    """Rows, N x K, times a matrix, K x C.

    Of rows that choose one class each, only the rows of the matrix that they choose are read.
    """
    classes = step.writer.one_hot.get(rows)
    if classes is None:
        return step.op("MatMul", rows, matrix)
    return step.op("Gather", matrix, step.op("Squeeze", classes, np.array([1], np.int64)), axis=0)
