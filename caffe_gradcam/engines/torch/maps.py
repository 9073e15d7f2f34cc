"""Maps of classes, made on the device: what leaves it are scores, classes and cells.

The formulas are those of ``caffe_gradcam.explaining.methods.gradients``.
"""

from typing import Any, Callable, Dict, List, Mapping, Sequence

import torch
from torch import Tensor

from ..class_maps import ClassMaps, MapRequest, PendingMaps

# A channel whose sum is a smaller part of its absolute sum than this has cancelled to nothing.
_CANCELLED = 1e-6


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Channels weighted by their mean gradient."""
    return _weighted(gradients.double().mean((2, 3)), activations)


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM++ in closed form."""
    sums = activations.double().sum((2, 3), keepdim=True).clamp(min=0)
    positive = gradients.double().clamp(min=0)
    return _weighted((positive / (2 + sums * positive)).sum((2, 3)), activations)


def xgrad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Gradients weighted by how much of its channel each cell holds."""
    exact = activations.double()
    sums = exact.sum((2, 3))
    shares = (gradients.double() * exact).sum((2, 3)) / sums
    holds = sums.abs() > _CANCELLED * exact.abs().sum((2, 3))
    return _weighted(torch.where(holds, shares, torch.zeros_like(shares)), activations)


def hires_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each cell by its own gradient."""
    return (gradients * activations).sum(1)


def element_wise(activations: Tensor, gradients: Tensor) -> Tensor:
    """The positive part of each product."""
    return (gradients * activations).clamp(min=0).sum(1)


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each cell by its own gradient where that is positive."""
    return (gradients.clamp(min=0) * activations).sum(1)


METHODS: Dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grad-cam": grad_cam, "grad-cam++": grad_cam_plus_plus, "xgrad-cam": xgrad_cam,
    "hirescam": hires_cam, "element-wise": element_wise, "layer-cam": layer_cam}
# Those that take of a channel's gradients nothing but the mean.
_OF_MEANS = {"grad-cam"}
# A gradient at the scores -> layer -> mean gradients, N x C x 1 x 1; some layers have none.
MeansOf = Callable[[Tensor], Dict[str, Tensor]]


def _weighted(weights: Tensor, activations: Tensor) -> Tensor:
    """The sum of a blob's channels, each by its weight."""
    flat = activations.flatten(2)
    return torch.matmul(weights.to(flat.dtype)[:, None], flat).view(
        len(flat), *activations.shape[2:])


def classes_of(scores: Tensor, request: MapRequest) -> Tensor:
    """N x R: the classes that are asked about, from N x K scores."""
    if request.classes:
        chosen = torch.tensor(request.classes, device=scores.device)
        return chosen.expand(len(scores), -1)
    # Of equal scores the lower index comes first.
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :request.best]


def make(top: Tensor, marked: Mapping[str, Tensor], request: MapRequest, means_of: MeansOf
         ) -> List[Tensor]:
    """Scores, classes and maps; the maps by class, then by method, then by layer.

    Parameters
    ----------
    top : torch.Tensor
        The score blob, with the graph that leads to it.
    marked : dict
        What the layers hold, where that graph begins.
    request : MapRequest
    means_of : callable
        Finds mean gradients without the gradients themselves.

    Raises
    ------
    NoMaps
        There is no such class, no gradient reaches a layer, or a layer's blob is no map.
    """
    scores = top.detach().flatten(1).float()
    if not top.requires_grad or max(request.classes, default=0) >= scores.shape[1] or any(
            blob.dim() != 4 for blob in marked.values()):
        raise NoMaps()
    classes = classes_of(scores, request)
    activations = {layer: blob.detach().float() for layer, blob in marked.items()}
    wants_means = bool(_OF_MEANS.intersection(request.methods)) and not request.only_positive
    cams: List[Tensor] = []
    for rank in range(classes.shape[1]):
        seed = torch.zeros_like(scores).scatter_(1, classes[:, rank:rank + 1], 1.0)
        seed = seed.view(top.shape).to(top.dtype)
        means = means_of(seed) if wants_means else {}
        plain = [layer for layer in request.layers
                 if layer not in means or not _OF_MEANS.issuperset(request.methods)]
        gradients = _gradients(top, {layer: marked[layer] for layer in plain}, seed, request)
        for method in request.methods:
            slopes = dict(gradients, **means) if method in _OF_MEANS else gradients
            cams += [METHODS[method](activations[layer], slopes[layer]).float()
                     for layer in request.layers]
    return [top.detach().float(), classes, *cams]


def _gradients(top: Tensor, marked: Mapping[str, Tensor], seed: Tensor, request: MapRequest
               ) -> Dict[str, Tensor]:
    """The gradients that count at layers; raises NoMaps where none reaches one."""
    if not marked:
        return {}
    gradients = torch.autograd.grad(
        top, list(marked.values()), seed, retain_graph=True, allow_unused=True)
    if any(gradient is None for gradient in gradients):
        raise NoMaps()
    return {layer: gradient.float().clamp(min=0) if request.only_positive else gradient.float()
            for layer, gradient in zip(marked, gradients)}


class NoMaps(Exception):
    """Maps of classes have no meaning here."""


class Pending(PendingMaps):
    """Maps that a device makes while this process goes on.

    Parameters
    ----------
    tensors : list of torch.Tensor
        As of :func:`make`.
    request : MapRequest
    translated : callable
        A context that raises the engine's errors for torch's.
    """

    def __init__(self, tensors: Sequence[Tensor], request: MapRequest,
                 translated: Callable[[], Any]) -> None:
        self._request, self._translated = request, translated
        self._event: Any = None
        self._arrays = [_sent_back(tensor) for tensor in tensors]
        if tensors[0].is_cuda:
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(tensors[0].device))

    def is_done(self) -> bool:
        with self._translated():
            return self._event is None or bool(self._event.query())

    def result(self) -> ClassMaps:
        with self._translated():
            if self._event is not None:
                self._event.synchronize()
        scores, classes, *cams = (tensor.numpy() for tensor in self._arrays)
        return ClassMaps(scores, classes, dict(zip(self._request.keys(classes.shape[1]), cams)))


def _sent_back(tensor: Tensor) -> Tensor:
    """The tensor in the processor's memory, or on its way into pinned memory there."""
    if not tensor.is_cuda:
        return tensor.clone()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)
