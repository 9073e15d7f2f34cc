"""Gradients of layers that work on each number by itself."""

from typing import List, Optional

import numpy as np

from caffe_gradcam.engines.onnx.backward.registry import Gradients, backward, single
from caffe_gradcam.engines.onnx.layers.activations import scaled_and_shifted
from caffe_gradcam.engines.onnx.layers.forks import per_channel
from caffe_gradcam.engines.onnx.layers.normalization import factors_of
from caffe_gradcam.engines.onnx.registry import Step, aligned
from caffe_gradcam.engines.onnx.writer import FLOAT


@single("ReLU")
def relu(step: Step, gradient: str) -> str:
    slope = step.message.relu_param.negative_slope
    # The top is positive where the bottom is, unless the slope is negative. Libraries compute a
    # convolution and its ReLU at once where nobody reads what is between them.
    sign = step.bottoms[0] if slope < 0 else step.tops[0]
    is_positive = step.op("Greater", sign, np.float32(0))
    smaller = scaled_and_shifted(step, gradient, slope, 0) if slope else np.float32(0)
    return step.op("Where", is_positive, gradient, smaller)


@single("PReLU")
def prelu(step: Step, gradient: str) -> str:
    x, slopes = step.bottoms[0], step.weights[0]
    shape = (1,) if slopes.size == 1 else (slopes.size,) + (1,) * (len(x.shape) - 2)
    smaller = step.op("Mul", gradient, slopes.reshape(shape))
    return step.op("Where", step.op("Greater", x, np.float32(0)), gradient, smaller)


@single("ReLU6")
def relu6(step: Step, gradient: str) -> str:
    return _within(step, gradient, 0, 6, "Less")


@single("Clip")
def clip(step: Step, gradient: str) -> str:
    param = step.message.clip_param
    return _within(step, gradient, param.min, param.max, "LessOrEqual")


def _within(step: Step, gradient: str, low: float, high: float, operator: str) -> str:
    x = step.bottoms[0].name
    above = "Greater" if operator == "Less" else "GreaterOrEqual"
    inside = step.op("And", step.op(above, x, np.float32(low)),
                     step.op(operator, x, np.float32(high)))
    return step.op("Where", inside, gradient, np.float32(0))


@single("Sigmoid")
def sigmoid(step: Step, gradient: str) -> str:
    top = step.tops[0]
    return step.op("Mul", gradient, step.op("Mul", top, step.op("Sub", np.float32(1), top)))


@single("TanH")
def tanh(step: Step, gradient: str) -> str:
    top = step.tops[0]
    return step.op("Mul", gradient, step.op("Sub", np.float32(1), step.op("Mul", top, top)))


@single("ELU")
def elu(step: Step, gradient: str) -> str:
    alpha = step.message.elu_param.alpha
    slope = scaled_and_shifted(step, step.tops[0].name, 1, alpha)
    is_positive = step.op("Greater", step.bottoms[0], np.float32(0))
    return step.op("Where", is_positive, gradient, step.op("Mul", gradient, slope))


@single("Swish")
def swish(step: Step, gradient: str) -> str:
    x, beta = step.bottoms[0], step.message.swish_param.beta
    gate = step.op("Sigmoid", scaled_and_shifted(step, x.name, beta, 0))
    rise = scaled_and_shifted(step, step.op("Sub", np.float32(1), gate), beta, 0)
    slope = step.op("Mul", gate, scaled_and_shifted(step, step.op("Mul", x, rise), 1, 1))
    return step.op("Mul", gradient, slope)


@single("BNLL")
def bnll(step: Step, gradient: str) -> str:
    return step.op("Mul", gradient, step.op("Sigmoid", step.bottoms[0]))


@single("AbsVal")
def absval(step: Step, gradient: str) -> str:
    return step.op("Mul", gradient, step.op("Sign", step.bottoms[0]))


@single("Power")
def power(step: Step, gradient: str) -> str:
    param = step.message.power_param
    if param.power == 1:
        return scaled_and_shifted(step, gradient, param.scale, 0)
    base = scaled_and_shifted(step, step.bottoms[0].name, param.scale, param.shift)
    if param.power != 2:
        base = step.op("Pow", base, np.float32(param.power - 1))
    slope = scaled_and_shifted(step, base, param.power * param.scale, 0)
    return step.op("Mul", gradient, slope)


@single("Dropout")
def dropout(step: Step, gradient: str) -> str:
    param = step.message.dropout_param
    return scaled_and_shifted(step, gradient, 1 if param.scale_train
                              else 1 - param.dropout_ratio, 0)


@single("Softmax")
def softmax(step: Step, gradient: str) -> str:
    top, axis = step.tops[0], step.message.softmax_param.axis
    total = step.op("ReduceSum", step.op("Mul", gradient, top), np.array([axis], np.int64),
                    keepdims=1)
    return step.op("Mul", top, step.op("Sub", gradient, total))


@single("BatchNorm")
def batch_norm(step: Step, gradient: str) -> str:
    param, x = step.message.batch_norm_param, step.bottoms[0]
    if param.HasField("use_global_stats") and not param.use_global_stats:
        raise step.refuse("the gradient of a BatchNorm of each batch is not known here")
    factor = step.weights[2].reshape(-1)[0]
    variance = step.weights[1].reshape(-1) * (1 / factor if factor else factor)
    slope = 1 / np.sqrt(variance + np.float32(param.eps))
    return step.op("Mul", gradient, slope.reshape(aligned(slope.shape, 1, len(x.shape))))


@single("BN")
def batch_normalization(step: Step, gradient: str) -> str:
    param, x = step.message.bn_param, step.bottoms[0]
    slope = step.weights[0].reshape(-1)
    if len(step.weights) == 4:
        slope = slope / np.sqrt(step.weights[3].reshape(-1) + np.float32(param.eps))
    elif param.bn_mode == param.LEARN:
        raise step.refuse("the gradient of a BN of each batch is not known here")
    return step.op("Mul", gradient, slope.reshape(aligned(slope.shape, 1, len(x.shape))))


@backward("Scale")
def scale(step: Step, gradients: List[Optional[str]]) -> Gradients:
    assert gradients[0] is not None
    scaled = step.op("Mul", gradients[0], factors_of(step))
    if len(step.bottoms) == 1:
        return [scaled]
    x, factors = step.bottoms
    axis = step.message.scale_param.axis % len(x.shape) if factors.shape else 0
    product = step.op("Mul", gradients[0], x)
    return [scaled, _summed_to(step, product, axis, len(factors.shape), len(x.shape))]


@backward("Bias")
def bias(step: Step, gradients: List[Optional[str]]) -> Gradients:
    assert gradients[0] is not None
    if len(step.bottoms) == 1:
        return [gradients[0]]
    x, summands = step.bottoms
    axis = step.message.bias_param.axis % len(x.shape) if summands.shape else 0
    return [gradients[0],
            _summed_to(step, gradients[0], axis, len(summands.shape), len(x.shape))]


def _summed_to(step: Step, value: str, axis: int, count: int, axes: int) -> str:
    """A value summed over all axes but ``count`` from ``axis`` on."""
    others = [other for other in range(axes) if not axis <= other < axis + count]
    return step.op("ReduceSum", value, np.array(others, np.int64), keepdims=0) if others else value


@backward("Axpy")
def axpy(step: Step, gradients: List[Optional[str]]) -> Gradients:
    gradient = gradients[0]
    assert gradient is not None
    factors, x, _ = step.bottoms
    return [_of_channels(step, step.op("Mul", gradient, x)),
            step.op("Mul", gradient, per_channel(step, factors, x)), gradient]


@backward("BroadcastMul")
def broadcast_multiply(step: Step, gradients: List[Optional[str]]) -> Gradients:
    gradient = gradients[0]
    assert gradient is not None
    x, factors = step.bottoms
    return [step.op("Mul", gradient, per_channel(step, factors, x)),
            _of_channels(step, step.op("Mul", gradient, x), factors is step.bottoms[1])]


def _of_channels(step: Step, product: str, is_second: bool = False) -> str:
    """A value summed over its cells, in the shape of the factors for each channel."""
    factors = step.bottoms[1] if is_second else step.bottoms[0]
    summed = step.op("ReduceSum", product, np.array([2, 3], np.int64), keepdims=1)
    return summed if len(factors.shape) == 4 else step.reshape(summed, factors)


@backward("Eltwise")
def eltwise(step: Step, gradients: List[Optional[str]]) -> Gradients:
    gradient, param = gradients[0], step.message.eltwise_param
    assert gradient is not None
    names = [bottom.name for bottom in step.bottoms]
    if param.operation == param.SUM:
        factors = list(param.coeff) or [1] * len(names)
        return [scaled_and_shifted(step, gradient, factor, 0) for factor in factors]
    if param.operation == param.PROD:
        products = []
        for index in range(len(names)):
            product = gradient
            for other in names[:index] + names[index + 1:]:
                product = step.op("Mul", product, other)
            products.append(product)
        return products
    # A tie goes to the second of the first two bottoms, and later to the earlier one.
    best = step.op("Max", *names[:2])
    first = mask_of(step, "Greater", names[0], names[1])
    shares = [first, step.op("Sub", np.float32(1), first)]
    for name in names[2:]:
        is_better = mask_of(step, "Greater", name, best)
        kept = step.op("Sub", np.float32(1), is_better)
        shares = [step.op("Mul", share, kept) for share in shares] + [is_better]
        best = step.op("Max", best, name)
    return [step.op("Mul", gradient, share) for share in shares]


def mask_of(step: Step, operator: str, left: str, right: str) -> str:
    """1.0 where a comparison of two values holds, else 0.0."""
    return step.op("Cast", step.op(operator, left, right), to=FLOAT)
