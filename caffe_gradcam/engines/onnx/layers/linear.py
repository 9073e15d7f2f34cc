"""Layers that multiply by a learned matrix."""

from typing import List, Optional, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import INT64, Value
from prototxt_tools.layers.sizes import axis_of


@translation("InnerProduct")
def inner_product(step: Step) -> List[str]:
    x, param = step.bottoms[0], step.message.inner_product_param
    axis = axis_of(param.axis, x.shape)
    x.sizes(axis)  # They have to be those of the matrix.
    rows = x.name if axis == 1 and len(x.shape) == 2 else step.op("Flatten", x, axis=axis)
    operands = [step.weights[0]]
    operands += [step.weights[1].reshape(-1)] if param.bias_term else []
    top = step.op("Gemm", rows, *operands, transB=0 if param.transpose else 1)
    return [top if axis == 1 else step.reshape(top, step.tops[0])]


@translation("Embed")
def embed(step: Step) -> List[str]:
    index = step.op("Cast", step.bottoms[0], to=INT64)
    top = step.op("Gather", step.weights[0], index, axis=0)
    if step.message.embed_param.bias_term:
        top = step.op("Add", top, step.weights[1].reshape(-1))
    return [top]


@translation("LSTM")
def lstm(step: Step) -> List[str]:
    """Gates in Caffe's order: input, forget, output, modulation (``lstm_layer.cpp``)."""
    inputs, continued, (hidden, cell) = _recurrent_inputs(step, 2)
    count = step.message.recurrent_param.num_output
    outputs = []
    for row, flag in zip(inputs, continued):
        gates = step.op("Add", row, _product(step, _kept(step, flag, hidden), step.weights[-1]))
        i, f, o, g = step.ops("Split", 4, gates, np.full(4, count, np.int64), axis=1)
        new = step.op("Mul", step.op("Sigmoid", i), step.op("Tanh", g))
        if cell:
            old = step.op("Mul", step.op("Sigmoid", f), _kept(step, flag, cell))
            new = step.op("Add", old, new)
        cell = new
        hidden = step.op("Mul", step.op("Sigmoid", o), step.op("Tanh", cell))
        outputs.append(hidden)
    return _recurrent_tops(step, outputs, [hidden, cell])


@translation("RNN")
def rnn(step: Step) -> List[str]:
    """``rnn_layer.cpp``: h = tanh(W_hh h + W_xh x + b_h), o = tanh(W_ho h + b_o)."""
    inputs, continued, (hidden,) = _recurrent_inputs(step, 1)
    recurrent, out, out_bias = step.weights[-3:]
    outputs = []
    for row, flag in zip(inputs, continued):
        product = _product(step, _kept(step, flag, hidden), recurrent)
        hidden = step.op("Tanh", step.op("Add", row, product))
        outputs.append(step.op("Tanh", _product(step, hidden, out, out_bias.reshape(-1))))
    return _recurrent_tops(step, outputs, [hidden])


def _product(step: Step, rows: str, matrix: np.ndarray, bias: Optional[np.ndarray] = None) -> str:
    operands = [matrix] if bias is None else [matrix, bias]
    return step.op("Gemm", rows, *operands, transB=1)


def _kept(step: Step, flag: str, state: str) -> str:
    """A state where a sequence goes on, 0 where another begins."""
    return step.op("Mul", flag, state)


def _recurrent_inputs(step: Step, states: int) -> Tuple[List[str], List[str], List[str]]:
    """For each time what the inputs contribute and whether sequences go on; the first states.

    Steps are written one by one, so their number is fixed; a layer that is called anew begins
    with states of 0.
    """
    x, flags = step.bottoms[:2]
    exposed = states if step.message.recurrent_param.expose_hidden else 0
    times, features = x.size(0), int(np.prod(x.sizes(2)))
    batch = Value("", (x.shape[1], features), frozenset({0} & {axis - 1 for axis in x.open_axes}))
    static = None
    if len(step.bottoms) > 2 + exposed:
        rows = step.op("Flatten", step.bottoms[2], axis=1)
        static = _product(step, rows, step.weights[2])
    inputs, continued = [], []
    for time in range(times):
        at = np.array([time], np.int64)
        row = step.reshape(step.op("Gather", x, at, axis=0), batch)
        row = _product(step, row, step.weights[0], step.weights[1].reshape(-1))
        inputs.append(row if static is None else step.op("Add", row, static))
        flag = step.op("Gather", flags, at, axis=0)
        continued.append(step.op("Transpose", flag, perm=[1, 0]))
    initial = [step.op("Squeeze", bottom, np.array([0], np.int64))
               for bottom in step.bottoms[len(step.bottoms) - exposed:]]
    if not exposed:
        # Nothing but zeros, of as many rows as the batch has.
        width = step.message.recurrent_param.num_output
        zeros = np.zeros((1, width), np.float32)
        initial = [step.op("Mul", continued[0], zeros)] * states
    return inputs, continued, initial


def _recurrent_tops(step: Step, outputs: List[str], states: List[str]) -> List[str]:
    first = np.array([0], np.int64)
    rows = [step.op("Unsqueeze", output, first) for output in outputs]
    tops = [step.op("Concat", *rows, axis=0) if len(rows) > 1 else rows[0]]
    if len(step.tops) > 1:
        tops += [step.op("Unsqueeze", state, first) for state in states]
    return tops
