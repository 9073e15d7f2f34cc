"""A net as a ``torch.nn.Module`` whose children are its layers.

Layers that torch has itself are torch's own modules, so that libraries which look for
``torch.nn.Conv2d`` or ``torch.nn.ReLU`` find them; the others are :class:`CaffeLayer`.
"""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import convolution_windows, pooling_windows
from prototxt_tools.net.net import Layer

from ..fillers import fill
from ..running import NetToRun, Running
from ..subnet import Shape, Subnet
from . import families  # noqa: F401  (registers)
from .engine import ADVICE
from .pooling import torch_agrees, windows_of
from .registry import LAYERS

Arrays = Sequence[np.ndarray]


class CaffeLayer(nn.Module):
    """A layer as the torch engine computes it.

    Parameters
    ----------
    layer : Layer
    arrays : sequence of numpy.ndarray
        Its learned blobs, which become the parameters ``blob0``, ``blob1`` and so on.
    """

    def __init__(self, layer: Layer, arrays: Arrays) -> None:
        super().__init__()
        self.type = layer.type
        self._message = layer.message
        self._count = len(arrays)
        for index, array in enumerate(arrays):
            self.register_parameter(f"blob{index}", _parameter(array))

    def extra_repr(self) -> str:
        return self.type

    def forward(self, *bottoms: Tensor) -> Union[Tensor, Tuple[Tensor, ...]]:
        weights = [getattr(self, f"blob{index}") for index in range(self._count)]
        tops = LAYERS[self.type](self._message, list(bottoms), weights)
        return tops[0] if len(tops) == 1 else tuple(tops)


class InnerProduct(nn.Linear):
    """A linear layer that flattens what stands behind the first axis, as Caffe's does."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.bias)


class TorchNet(nn.Module):
    """A net; its children have the names of the layers, with ``_`` for a dot.

    Parameters
    ----------
    subnet : Subnet
    outputs : sequence of str
        The blobs that ``forward`` gives.

    Attributes
    ----------
    inputs : list of str
        The blobs that ``forward`` takes, in this order.
    """

    def __init__(self, subnet: Subnet, outputs: Sequence[str]) -> None:
        super().__init__()
        self.inputs = [entry.blob for entry in subnet.net.inputs]
        self._outputs = list(outputs)
        self._wiring: List[Tuple[str, List[str], List[str]]] = []
        shapes = dict(subnet.shapes)
        for layer in subnet.net.layers:
            if layer.type == "Input":
                continue
            name = layer.name.replace(".", "_") or "unnamed"
            while hasattr(self, name):
                name += "_"
            self.add_module(name, _module(layer, _arrays(subnet, layer), shapes))
            self._wiring.append((name, layer.bottoms, layer.tops))
        self.eval()

    def blobs(self, *inputs: Tensor) -> Dict[str, Tensor]:
        """Every blob by its name, after its in-place layers."""
        blobs = dict(zip(self.inputs, inputs))
        for name, bottoms, tops in self._wiring:
            result = getattr(self, name)(*(blobs[bottom] for bottom in bottoms))
            blobs.update(zip(tops, result if isinstance(result, tuple) else (result,)))
        return blobs

    def forward(self, *inputs: Tensor) -> Union[Tensor, Tuple[Tensor, ...]]:
        blobs = self.blobs(*inputs)
        values = tuple(blobs[name] for name in self._outputs)
        return values[0] if len(values) == 1 else values


def to_torch(prototxt: str, weights: str, outputs: Sequence[str],
             running: Optional[Running] = None, path: Optional[str] = None) -> TorchNet:
    """The part of a net that some blobs depend on as a module, in evaluation mode.

    Parameters
    ----------
    prototxt : str
        The text of a deploy net.
    weights : str
        A weights file.
    outputs : sequence of str
        Blobs.
    running : Running, optional
        Whether layers may lack weights, and the like.
    path : str, optional
        The file of the prototxt, which messages name.

    Raises
    ------
    EngineError
        There is a layer type that the torch engine does not have.
    ModelError, WeightsError, QuestionError
        See ``Subnet``.
    """
    subnet = Subnet(NetToRun(prototxt, weights, tuple(outputs), (), path=path),
                    running or Running())
    subnet.refuse_unknown_types(set(LAYERS) | {"Input"}, "the torch engine", ADVICE)
    return TorchNet(subnet, outputs)


def _arrays(subnet: Subnet, layer: Layer) -> List[np.ndarray]:
    if layer.name in subnet.missing:
        return fill(layer, subnet.missing[layer.name])
    return list(subnet.weights.get(layer.name, ()))


def _parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(array, np.float32)))


Shapes = Dict[str, Shape]
Maker = Callable[[Layer, Arrays, Shape], Optional[nn.Module]]


def _module(layer: Layer, arrays: Arrays, shapes: Shapes) -> nn.Module:
    """Torch's own module for a layer where it computes the same, else a CaffeLayer."""
    maker = _MAKERS.get(layer.type)
    shape = shapes.get(layer.bottoms[0]) if len(layer.bottoms) == len(layer.tops) == 1 else None
    module = maker(layer, arrays, tuple(shape)) if maker is not None and shape else None
    return CaffeLayer(layer, arrays) if module is None else module


def _filled(module: Any, arrays: Arrays, shape: Shape) -> nn.Module:
    """A module with a layer's weight and bias."""
    module.weight = _parameter(np.reshape(arrays[0], shape))
    if module.bias is not None:
        module.bias = _parameter(np.ravel(arrays[1]))
    return module


def _convolution(layer: Layer, arrays: Arrays, shape: Shape) -> Optional[nn.Module]:
    param = layer.message.convolution_param
    if len(shape) != 4 or axis_of(param.axis, shape) != 1:
        return None
    kernel, stride, pad, dilation = map(tuple, convolution_windows(param, 2))
    module = nn.Conv2d(shape[1], param.num_output, kernel, stride, pad, dilation, param.group,
                       bias=param.bias_term, device="meta")
    return _filled(module, arrays, (param.num_output, shape[1] // param.group) + kernel)


def _inner_product(layer: Layer, arrays: Arrays, shape: Shape) -> Optional[nn.Module]:
    param = layer.message.inner_product_param
    if axis_of(param.axis, shape) != 1 or param.transpose:
        return None
    inputs = int(np.prod(shape[1:]))
    module = InnerProduct(inputs, param.num_output, bias=param.bias_term, device="meta")
    return _filled(module, arrays, (param.num_output, inputs))


def _relu(layer: Layer, arrays: Arrays, shape: Shape) -> nn.Module:
    slope = layer.message.relu_param.negative_slope
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _pooling(layer: Layer, arrays: Arrays, shape: Shape) -> Optional[nn.Module]:
    param = layer.message.pooling_param
    if len(shape) != 4:
        return None
    if param.pool == param.AVE and param.global_pooling:
        return nn.AdaptiveAvgPool2d(1)
    window = windows_of(layer.message, torch.empty(shape, device="meta"))
    if not torch_agrees(shape[2:], window):
        return None
    kernel, stride, pad = map(tuple, pooling_windows(param, shape[2:]))
    if param.pool == param.AVE:
        return nn.AvgPool2d(kernel, stride, pad, ceil_mode=True)
    return nn.MaxPool2d(kernel, stride, pad, ceil_mode=True) if param.pool == param.MAX else None


def _batch_norm(layer: Layer, arrays: Arrays, shape: Shape) -> Optional[nn.Module]:
    param = layer.message.batch_norm_param
    if len(shape) != 4 or len(arrays) != 3 or (
            param.HasField("use_global_stats") and not param.use_global_stats):
        return None
    factor = float(np.ravel(arrays[2])[0])
    mean, variance = (torch.from_numpy(np.ravel(np.float32(array)) * np.float32(
        1 / factor if factor else 0)) for array in arrays[:2])
    module = nn.BatchNorm2d(shape[1], eps=param.eps, affine=False)
    module.running_mean, module.running_var = mean, variance
    return module


def _dropout(layer: Layer, arrays: Arrays, shape: Shape) -> Optional[nn.Module]:
    param = layer.message.dropout_param
    return nn.Dropout(param.dropout_ratio) if param.scale_train else None


_MAKERS: Dict[str, Maker] = {
    "Convolution": _convolution, "InnerProduct": _inner_product, "ReLU": _relu,
    "Pooling": _pooling, "BatchNorm": _batch_norm, "Dropout": _dropout,
    "Sigmoid": lambda layer, arrays, shape: nn.Sigmoid(),
    "TanH": lambda layer, arrays, shape: nn.Tanh(),
    "ReLU6": lambda layer, arrays, shape: nn.ReLU6(),
    "Softmax": lambda layer, arrays, shape: nn.Softmax(layer.message.softmax_param.axis),
}
