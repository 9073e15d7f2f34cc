"""Convolution and pooling of clips, of C3D and video-caffe (``prototxt_tools.layers.clips``)."""

from typing import List

from caffe_gradcam.engines.onnx.registry import Operand, Step, translation
from prototxt_tools.layers import clips


@translation("Convolution3D", "NdConvolution")
def convolution(step: Step) -> List[str]:
    kernel, stride, pad = clips.convolution_windows(step.message)
    has_bias = clips.convolution_parameters(step.message).bias_term
    tops = []
    for bottom, top in zip(step.bottoms, step.tops):
        operands: List[Operand] = [bottom.name, step.weights[0]]
        operands += [step.weights[1].reshape(-1)] if has_bias else []
        convolved = step.op("Conv", *operands, kernel_shape=kernel, strides=stride,
                            pads=pad + pad, group=clips.groups(step.message))
        is_whole = len(top.shape) == len(bottom.shape)
        tops.append(convolved if is_whole else step.reshape(convolved, top))
    return tops


@translation("Pooling3D", "NdPooling")
def pooling(step: Step) -> List[str]:
    x, top = step.bottoms[0], step.tops[0]
    sizes = x.sizes(2)
    kernel, stride, pad = clips.pooling_windows(step.message, sizes)
    counts = clips.pooled_sizes(step.message, sizes)
    ends = [(count - 1) * s + k - size - p
            for size, count, k, s, p in zip(sizes, counts, kernel, stride, pad)]
    parameters = clips.pooling_parameters(step.message)
    if any(max(p, end) >= k for p, end, k in zip(pad, ends, kernel)):
        raise step.refuse("its padding is not smaller than its kernel")
    windows = {"kernel_shape": kernel, "strides": stride,
               "pads": pad + [max(end, 0) for end in ends]}
    if parameters.pool == parameters.MAX:
        pooled = step.op("MaxPool", x, **windows)
    elif any(pad):
        raise step.refuse("its means count padding, and ONNX counts all of it or none")
    else:
        pooled = step.op("AveragePool", x, count_include_pad=0, **windows)
    return [pooled if len(top.shape) == len(x.shape) else step.reshape(pooled, top)]
