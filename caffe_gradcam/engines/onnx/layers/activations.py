"""Layers that work on each number by itself."""

import math
from typing import List

import numpy as np

from caffe_gradcam.engines.onnx.registry import Step, translation
from caffe_gradcam.engines.onnx.writer import FLOAT


@translation("ReLU")
def relu(step: Step) -> List[str]:
    slope = step.message.relu_param.negative_slope
    if slope:
        return [step.op("LeakyRelu", step.bottoms[0], alpha=slope)]
    return [step.op("Relu", step.bottoms[0])]


@translation("ReLU6")
def relu6(step: Step) -> List[str]:
    return [step.op("Clip", step.bottoms[0], np.float32(0), np.float32(6))]


@translation("PReLU")
def prelu(step: Step) -> List[str]:
    x, slopes = step.bottoms[0], step.weights[0]
    shape = (1,) if slopes.size == 1 else (slopes.size,) + (1,) * (len(x.shape) - 2)
    return [step.op("PRelu", x, slopes.reshape(shape))]


@translation("ELU")
def elu(step: Step) -> List[str]:
    return [step.op("Elu", step.bottoms[0], alpha=step.message.elu_param.alpha)]


@translation("Sigmoid")
def sigmoid(step: Step) -> List[str]:
    return [step.op("Sigmoid", step.bottoms[0])]


@translation("TanH")
def tanh(step: Step) -> List[str]:
    return [step.op("Tanh", step.bottoms[0])]


@translation("Swish")
def swish(step: Step) -> List[str]:
    x = step.bottoms[0]
    scaled = scaled_and_shifted(step, x.name, step.message.swish_param.beta, 0)
    return [step.op("Mul", x, step.op("Sigmoid", scaled))]


@translation("BNLL")
def bnll(step: Step) -> List[str]:
    return [step.op("Softplus", step.bottoms[0])]


@translation("AbsVal")
def absval(step: Step) -> List[str]:
    return [step.op("Abs", step.bottoms[0])]


@translation("Clip")
def clip(step: Step) -> List[str]:
    param = step.message.clip_param
    if param.min > param.max:  # Clip would give the upper limit, and clip_layer.cpp the lower one.
        lowered = step.op("Min", step.bottoms[0], np.float32(param.max))
        return [step.op("Max", lowered, np.float32(param.min))]
    return [step.op("Clip", step.bottoms[0], np.float32(param.min), np.float32(param.max))]


@translation("Threshold")
def threshold(step: Step) -> List[str]:
    level = np.float32(step.message.threshold_param.threshold)
    return [step.op("Cast", step.op("Greater", step.bottoms[0], level), to=FLOAT)]


@translation("Power")
def power(step: Step) -> List[str]:
    param = step.message.power_param
    base = scaled_and_shifted(step, step.bottoms[0].name, param.scale, param.shift)
    if param.power == 1:
        return [base]
    if param.power == 2:
        return [step.op("Mul", base, base)]
    return [step.op("Pow", base, np.float32(param.power))]


@translation("Exp")
def exp(step: Step) -> List[str]:
    param = step.message.exp_param
    log_base = 1.0 if param.base == -1 else math.log(param.base)
    scaled = scaled_and_shifted(step, step.bottoms[0].name, param.scale, param.shift)
    return [step.op("Exp", scaled_and_shifted(step, scaled, log_base, 0))]


@translation("Log")
def log(step: Step) -> List[str]:
    param = step.message.log_param
    factor = 1.0 if param.base == -1 else 1 / math.log(param.base)
    scaled = scaled_and_shifted(step, step.bottoms[0].name, param.scale, param.shift)
    return [scaled_and_shifted(step, step.op("Log", scaled), factor, 0)]


@translation("Dropout")
def dropout(step: Step) -> List[str]:
    param = step.message.dropout_param
    # Fast R-CNN's fork can leave training unscaled and scale here instead.
    factor = 1 if param.scale_train else 1 - param.dropout_ratio
    return [scaled_and_shifted(step, step.bottoms[0].name, factor, 0)]


def scaled_and_shifted(step: Step, value: str, factor: float, summand: float) -> str:
    """``factor * value + summand``, without the operators that change nothing."""
    if factor != 1:
        value = step.op("Mul", value, np.float32(factor))
    return step.op("Add", value, np.float32(summand)) if summand else value
