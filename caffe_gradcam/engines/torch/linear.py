"""Layers that multiply by a learned matrix."""

from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F

from . import products
from .blobs import indices
from .registry import Message, Tensors, built_in


@built_in("InnerProduct")
def inner_product(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.inner_product_param
    axis = param.axis % x.dim()
    # Old files carry the matrix as 1 x 1 x N x K and the bias as 1 x 1 x 1 x N.
    shape = (-1, param.num_output) if param.transpose else (param.num_output, -1)
    matrix = weights[0].reshape(shape)
    if param.transpose:
        matrix = matrix.t()
    bias = weights[1].reshape(-1) if param.bias_term else None
    return [products.linear(x.flatten(axis), matrix, bias)]


@built_in("Embed")
def embed(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    param = message.embed_param
    index = indices(message, bottoms[0], param.input_dim)
    top = F.embedding(index, weights[0].reshape(param.input_dim, param.num_output))
    return [top + weights[1].reshape(-1) if param.bias_term else top]


def recurrent_inputs(message: Message, bottoms: Tensors, states: int) -> Tuple[
        torch.Tensor, torch.Tensor, Optional[torch.Tensor], List[torch.Tensor]]:
    """Split the bottoms of a recurrent layer: x, cont, static input or None, initial states."""
    exposed = states if message.recurrent_param.expose_hidden else 0
    static = bottoms[2] if len(bottoms) > 2 + exposed else None
    x, cont = bottoms[0].flatten(2), bottoms[1].unsqueeze(-1)
    if exposed:
        # Caffe propagates neither into nor out of exposed states.
        initial = [state[0].detach() for state in bottoms[-states:]]
    else:
        # Caffe carries the state over from its previous call; a fresh net starts at zero.
        shape = (x.shape[1], message.recurrent_param.num_output)
        initial = [x.new_zeros(shape)] * states
    return x, cont, static, initial


def input_transform(x: torch.Tensor, static: Optional[torch.Tensor],
                    weights: Tensors) -> torch.Tensor:
    """Contribution of the inputs at every timestep; weights: W_x, b, then W_static if static."""
    top = F.linear(x, weights[0], weights[1].reshape(-1))
    return top if static is None else top + F.linear(static.flatten(1), weights[2])


@built_in("LSTM")
def lstm(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """Gates in Caffe's order input, forget, output, modulation (caffe/layers/lstm_layer.cpp)."""
    x, cont, static, (hidden, cell) = recurrent_inputs(message, bottoms, 2)
    inputs = input_transform(x, static, weights)
    outputs = []
    for step in range(x.shape[0]):
        gates = inputs[step] + F.linear(cont[step] * hidden, weights[-1])
        i, f, o, g = gates.chunk(4, 1)
        cell = cont[step] * torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(hidden)
    return [torch.stack(outputs), hidden[None].detach(), cell[None].detach()][:len(message.top)]


@built_in("RNN")
def rnn(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    """caffe/layers/rnn_layer.cpp: h = tanh(W_hh h + W_xh x + b_h), o = tanh(W_ho h + b_o)."""
    x, cont, static, (hidden,) = recurrent_inputs(message, bottoms, 1)
    inputs = input_transform(x, static, weights)
    recurrent, out, out_bias = weights[-3:]
    outputs = []
    for step in range(x.shape[0]):
        hidden = torch.tanh(inputs[step] + F.linear(cont[step] * hidden, recurrent))
        outputs.append(torch.tanh(F.linear(hidden, out, out_bias.reshape(-1))))
    return [torch.stack(outputs), hidden[None].detach()][:len(message.top)]
