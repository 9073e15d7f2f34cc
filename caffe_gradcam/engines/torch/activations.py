"""Layers that work on each element alone (caffe/layers/neuron_layer.hpp and its family)."""

import math
from typing import Callable

import torch
import torch.nn.functional as F

from .registry import Message, Tensors, built_in

Elementwise = Callable[[torch.Tensor, Message], torch.Tensor]


def _elementwise(name: str) -> Callable[[Elementwise], Elementwise]:
    """Register a function of ``(x, message)`` as a layer of one bottom and one top."""
    def register(function: Elementwise) -> Elementwise:
        built_in(name)(lambda message, bottoms, weights: [function(bottoms[0], message)])
        return function
    return register


@_elementwise("ReLU")
def relu(x: torch.Tensor, message: Message) -> torch.Tensor:
    slope = message.relu_param.negative_slope
    return F.leaky_relu(x, slope) if slope else F.relu(x)


@_elementwise("ELU")
def elu(x: torch.Tensor, message: Message) -> torch.Tensor:
    return F.elu(x, message.elu_param.alpha)


@_elementwise("Sigmoid")
def sigmoid(x: torch.Tensor, message: Message) -> torch.Tensor:
    return torch.sigmoid(x)


@_elementwise("TanH")
def tanh(x: torch.Tensor, message: Message) -> torch.Tensor:
    return torch.tanh(x)


@_elementwise("Swish")
def swish(x: torch.Tensor, message: Message) -> torch.Tensor:
    return x * torch.sigmoid(message.swish_param.beta * x)


@_elementwise("BNLL")
def bnll(x: torch.Tensor, message: Message) -> torch.Tensor:
    return F.softplus(x)


@_elementwise("AbsVal")
def absval(x: torch.Tensor, message: Message) -> torch.Tensor:
    return x.abs()


@_elementwise("Clip")
def clip(x: torch.Tensor, message: Message) -> torch.Tensor:
    # In this order, so that where the limits cross the lower one counts, as clip_layer.cpp has it.
    return x.clamp(max=message.clip_param.max).clamp(min=message.clip_param.min)


@_elementwise("Threshold")
def threshold(x: torch.Tensor, message: Message) -> torch.Tensor:
    return (x > message.threshold_param.threshold).to(x.dtype)


@_elementwise("Power")
def power(x: torch.Tensor, message: Message) -> torch.Tensor:
    param = message.power_param
    base = x * param.scale + param.shift
    return base if param.power == 1 else base.pow(param.power)


@_elementwise("Exp")
def exp(x: torch.Tensor, message: Message) -> torch.Tensor:
    param = message.exp_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    return torch.exp(log_base * (param.scale * x + param.shift))


@_elementwise("Log")
def log(x: torch.Tensor, message: Message) -> torch.Tensor:
    param = message.log_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    return torch.log(param.scale * x + param.shift) / log_base


@_elementwise("Dropout")
def dropout(x: torch.Tensor, message: Message) -> torch.Tensor:
    param = message.dropout_param
    # Fast R-CNN's fork can leave training unscaled and scale here instead.
    return x if param.scale_train else x * (1 - param.dropout_ratio)


@built_in("PReLU")
def prelu(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return [F.prelu(bottoms[0], weights[0].reshape(-1))]
