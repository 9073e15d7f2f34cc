"""Layers that combine or reduce elements: Eltwise, Softmax, Reduction, ArgMax."""

from functools import reduce

import torch

from .registry import Message, Tensors, built_in


@built_in("Eltwise")
def eltwise(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    param = message.eltwise_param
    if param.operation == param.PROD:
        return [reduce(torch.mul, bottoms)]
    if param.operation == param.MAX:
        # A tie gives the whole gradient to the second of the first two bottoms, and later to
        # the earlier one, as caffe/layers/eltwise_layer.cpp does; torch.max would split it.
        top = torch.where(bottoms[0] > bottoms[1], bottoms[0], bottoms[1])
        return [reduce(lambda best, x: torch.where(x > best, x, best), bottoms[2:], top)]
    terms = [x if factor == 1 else x * factor
             for x, factor in zip(bottoms, list(param.coeff) or [1] * len(bottoms))]
    return [reduce(torch.add, terms)]


@built_in("Softmax")
def softmax(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    return [torch.softmax(bottoms[0], message.softmax_param.axis)]


@built_in("Reduction")
def reduction(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.reduction_param
    rows = x.reshape(tuple(x.shape[:param.axis % x.dim()]) + (-1,))
    top = {param.SUM: lambda: rows.sum(-1), param.ASUM: lambda: rows.abs().sum(-1),
           param.SUMSQ: lambda: (rows * rows).sum(-1), param.MEAN: lambda: rows.mean(-1),
           }[param.operation]()
    return [top * param.coeff]


@built_in("ArgMax")
def argmax(message: Message, bottoms: Tensors, weights: Tensors) -> Tensors:
    x, = bottoms
    param = message.argmax_param
    axis = param.axis % x.dim() if param.HasField("axis") else 1
    rows = x.transpose(axis, -1) if param.HasField("axis") else x.flatten(1)
    # Of equal values Caffe takes the one with the larger index: sort (value, index) pairs.
    values = rows.detach().cpu().numpy()
    order = values.shape[-1] - 1 - (-values[..., ::-1]).argsort(-1, kind="stable")
    index = torch.from_numpy(order[..., :param.top_k].copy()).to(x.device)
    best = rows.gather(-1, index).detach()
    if param.HasField("axis"):
        return [(best if param.out_max_val else index.to(x.dtype)).transpose(axis, -1)]
    index = index.to(x.dtype)
    top = torch.stack([index, best], 1) if param.out_max_val else index[:, None]
    return [top.reshape(tuple(top.shape) + (1,) * (x.dim() - 3))]
