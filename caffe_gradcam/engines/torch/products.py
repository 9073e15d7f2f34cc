"""Products by fixed weights, for small batches and gradients of few channels.

The gradient of one class leaves all other channels of the score layer at zero, so most of its
matrix need not be read: the score layer of SqueezeNet is a tenth of the whole forward pass.

A product of a few rows by a large matrix is as fast as the matrix is read, but the libraries lay
all of it out anew first; of blocks of the matrix they read each once.
"""

from typing import Any, Callable, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad

Convolve = Callable[..., Tensor]

# Where more than one in so many channels has a gradient, picking them costs more than it saves.
RARE = 4
# Matrices are cut into blocks of so many rows, for batches of at most so many.
BLOCK, SMALL = 512, 32
GRADIENTS: Dict[Convolve, Callable[..., Tensor]] = {
    F.conv1d: grad.conv1d_input, F.conv2d: grad.conv2d_input, F.conv3d: grad.conv3d_input}


def linear(x: Tensor, matrix: Tensor, bias: Optional[Tensor]) -> Tensor:
    """``F.linear``."""
    if _is_fixed(x, matrix):
        return Linear.apply(x, matrix, bias)
    return F.linear(x, matrix, bias) if matrix.requires_grad else _forward(x, matrix, bias)


def convolve(function: Convolve, x: Tensor, kernels: Tensor, bias: Optional[Tensor],
             **windows: Any) -> Tensor:
    """One of torch's functions that convolve."""
    if function in GRADIENTS and windows["groups"] == 1 and _is_fixed(x, kernels):
        return Convolution.apply(function, x, kernels, bias, windows)
    return function(x, kernels, bias, **windows)


def _is_fixed(x: Tensor, weights: Tensor) -> bool:
    return torch.is_grad_enabled() and x.requires_grad and not weights.requires_grad


class Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor,  # type: ignore[override]
                bias: Optional[Tensor]) -> Tensor:
        ctx.matrix, ctx.dtype = matrix, x.dtype
        return _forward(x, matrix, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[  # type: ignore[override]
            Tensor, None, None]:
        return passed_down(gradient, ctx.matrix).to(ctx.dtype), None, None


def _forward(x: Tensor, matrix: Tensor, bias: Optional[Tensor]) -> Tensor:
    # In short numbers the libraries are as fast without.
    if matrix.dtype != torch.float32 or not _pays_in_blocks(x, matrix):
        return F.linear(x, matrix, bias)
    blocks = matrix.view(-1, BLOCK, matrix.shape[1])
    top = torch.bmm(x.expand((len(blocks),) + x.shape), blocks.transpose(1, 2))
    top = top.transpose(0, 1).reshape(len(x), -1)
    return top if bias is None else top + bias.to(top.dtype)


def passed_down(gradient: Tensor, matrix: Tensor) -> Tensor:
    """The gradient at what a matrix was multiplied by, from that at the product."""
    gradient, matrix = _without_zeros(gradient, matrix, -1)
    return _backward(gradient, matrix.to(gradient.dtype))


def _backward(gradient: Tensor, matrix: Tensor) -> Tensor:
    if not _pays_in_blocks(gradient, matrix):
        return gradient.matmul(matrix)
    blocks = matrix.view(-1, BLOCK, matrix.shape[1])
    return torch.bmm(gradient.view(len(gradient), -1, BLOCK).transpose(0, 1), blocks).sum(0)


def _pays_in_blocks(rows: Tensor, matrix: Tensor) -> bool:
    return (rows.dim() == 2 and len(rows) <= SMALL and rows.device.type == "cpu"
            and len(matrix) % BLOCK == 0 and matrix.is_contiguous())


class Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Convolve, x: Tensor,  # type: ignore[override]
                kernels: Tensor, bias: Optional[Tensor], windows: Dict[str, Any]) -> Tensor:
        ctx.function, ctx.kernels, ctx.windows = function, kernels, windows
        ctx.shape, ctx.dtype = x.shape, x.dtype
        return function(x, kernels, bias, **windows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[  # type: ignore[override]
            None, Tensor, None, None, None]:
        gradient, kernels = _without_zeros(gradient, ctx.kernels, 1)
        of_input = GRADIENTS[ctx.function](
            ctx.shape, kernels.to(gradient.dtype), gradient, **ctx.windows)
        return None, of_input.to(ctx.dtype), None, None, None


def _without_zeros(gradient: Tensor, weights: Tensor, axis: int) -> Tuple[Tensor, Tensor]:
    """The gradient and the weights of just the channels that have any, if these are few."""
    if gradient.is_cuda:
        return gradient, weights  # To find them, the processor would have to wait for the card.
    axis %= gradient.dim()
    other = [dim for dim in range(gradient.dim()) if dim != axis]
    sizes = gradient.abs()
    # Of no axes, torch would take the sum over all.
    active, = (sizes.sum(other) if other else sizes).nonzero(as_tuple=True)
    if len(active) * RARE > len(weights):
        return gradient, weights
    if not len(active):
        active = active.new_zeros(1)
    # index_select would copy all of what is laid out channels last.
    return gradient[(slice(None),) * axis + (active,)], weights[active]
