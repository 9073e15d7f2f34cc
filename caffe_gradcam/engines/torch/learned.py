"""The learned blobs of a net as tensors."""

from typing import Dict, List, Mapping, Optional

import torch

from prototxt_tools.net.net import Layer

from ..fillers import fill
from ..subnet import Subnet

# Layers whose learned blobs autocast shortens.
_PRODUCTS = {"Convolution", "Deconvolution", "InnerProduct"}


def of_net(subnet: Subnet, device: torch.device) -> Dict[str, List[torch.Tensor]]:
    """Layer name -> its learned blobs, float32, on the device; filled where the file lacks them."""
    tensors = {}
    for layer in subnet.net.layers:
        arrays = (fill(layer, subnet.missing[layer.name]) if layer.name in subnet.missing
                  else subnet.weights.get(layer.name, ()))
        tensors[layer.name] = [
            laid_out(layer, torch.from_numpy(array).to(device, torch.float32)) for array in arrays]
    return tensors


def laid_out(layer: Layer, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in the order that torch convolves fastest in; blobs follow their kernels."""
    if layer.type == "Convolution" and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


class Short:
    """Learned blobs in short numbers, which autocast would make anew in each pass.

    Parameters
    ----------
    weights : dict
        Of :func:`of_net`.
    kind : torch.dtype, optional
        None where no layer computes in short numbers.
    """

    def __init__(self, weights: Mapping[str, List[torch.Tensor]], kind: Optional[torch.dtype]
                 ) -> None:
        self._weights, self._kind = weights, kind
        self._made: Dict[str, List[torch.Tensor]] = {}

    def of(self, layer: Layer) -> List[torch.Tensor]:
        """The learned blobs of a layer, short if its type multiplies by them."""
        if self._kind is None or layer.type not in _PRODUCTS:
            return self._weights[layer.name]
        if layer.name not in self._made:
            self._made[layer.name] = [
                tensor.to(self._kind) for tensor in self._weights[layer.name]]
        return self._made[layer.name]

    def forget(self) -> None:
        """Let go what was made of weights that have changed."""
        self._made = {}
