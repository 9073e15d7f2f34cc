"""Layers that work on each element alone (caffe/layers/neuron_layer.hpp and its family)."""

import math

import torch
import torch.nn.functional as F

from .registry import layer


def _elementwise(name):
    """Register a function of ``(x, message)`` as a layer of one bottom and one top."""
    def register(function):
        layer(name)(lambda message, bottoms, weights: [function(bottoms[0], message)])
        return function
    return register


@_elementwise("ReLU")
def relu(x, message):
    slope = message.relu_param.negative_slope
    return F.leaky_relu(x, slope) if slope else F.relu(x)


@_elementwise("ELU")
def elu(x, message):
    return F.elu(x, message.elu_param.alpha)


@_elementwise("Sigmoid")
def sigmoid(x, message):
    return torch.sigmoid(x)


@_elementwise("TanH")
def tanh(x, message):
    return torch.tanh(x)


@_elementwise("Swish")
def swish(x, message):
    return x * torch.sigmoid(message.swish_param.beta * x)


@_elementwise("BNLL")
def bnll(x, message):
    return F.softplus(x)


@_elementwise("AbsVal")
def absval(x, message):
    return x.abs()


@_elementwise("Clip")
def clip(x, message):
    return x.clamp(message.clip_param.min, message.clip_param.max)


@_elementwise("Threshold")
def threshold(x, message):
    return (x > message.threshold_param.threshold).to(x.dtype)


@_elementwise("Power")
def power(x, message):
    param = message.power_param
    base = x * param.scale + param.shift
    return base if param.power == 1 else base.pow(param.power)


@_elementwise("Exp")
def exp(x, message):
    param = message.exp_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    return torch.exp(log_base * (param.scale * x + param.shift))


@_elementwise("Log")
def log(x, message):
    param = message.log_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    return torch.log(param.scale * x + param.shift) / log_base


@_elementwise("Dropout")
def dropout(x, message):
    param = message.dropout_param
    # Fast R-CNN's fork can leave training unscaled and scale here instead.
    return x if param.scale_train else x * (1 - param.dropout_ratio)


@layer("PReLU")
def prelu(message, bottoms, weights):
    return [F.prelu(bottoms[0], weights[0].reshape(-1))]
