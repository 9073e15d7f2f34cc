"""Mean gradients at targets without the gradients themselves, where there is a closed form."""

from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..closed_forms import Factor, Term, terms
from ..subnet import Shapes, Subnet
from . import products

Weights = Mapping[str, Sequence[Tensor]]


class Means:
    """The closed forms between the scores and the targets of a net.

    Parameters
    ----------
    subnet : Subnet
    weights : dict
        Layer name -> list of tensors.
    gradient : str
        "post" or "pre-relu"; see ``Engine.backward``. Only "post" has closed forms.
    """

    def __init__(self, subnet: Subnet, weights: Weights, gradient: str) -> None:
        self._subnet, self._weights = subnet, weights
        self._targets = subnet.reached if gradient == "post" else {}
        self._terms: Dict[Tuple[str, str], List[Term]] = {}
        self._shapes: Optional[Shapes] = None
        self._points: Dict[int, List[str]] = {}
        self._tops: Dict[Tuple[int, str], Tensor] = {}
        self._matrices: Dict[Tuple[Factor, ...], Tensor] = {}

    def begin(self) -> None:
        """A pass begins, with inputs of the shapes that were checked last."""
        self._tops = {}
        if self._subnet.shapes is self._shapes:
            return
        self._shapes, self._points = self._subnet.shapes, {}
        self._terms = {
            (score, target): terms(self._subnet.net.layers, self._shapes, target, score)
            for score, targets in self._targets.items() for target in targets}
        for term in {term for parts in self._terms.values() for term in parts}:
            self._points.setdefault(term.layer, []).append(term.top)

    def note(self, layer: int, blobs: Mapping[str, Tensor]) -> None:
        """A layer has run: hold what gradients are needed at."""
        for top in self._points.get(layer, ()):
            self._tops[layer, top] = blobs[top]

    def forget_weights(self) -> None:
        """Let go what was made of weights that have changed."""
        self._tops, self._matrices = {}, {}

    def at(self, score: str, top: Tensor, seed: Tensor, cells: Mapping[str, int]
           ) -> Dict[str, Tensor]:
        """Target -> the mean of each channel's gradient, N x C x 1 x 1, where there is a form.

        Parameters
        ----------
        score : str
        top : torch.Tensor
            What the score blob holds, with the graph that leads to it.
        seed : torch.Tensor
            The gradient there.
        cells : dict
            Target -> the number of its cells.
        """
        parts = {target: self._terms.get((score, target), []) for target in cells}
        points = list(dict.fromkeys(
            (term.layer, term.top) for part in parts.values() for term in part))
        if not points or not all(point in self._tops and self._tops[point].requires_grad
                                 for point in points):
            return {}
        gradients = dict(zip(points, torch.autograd.grad(
            top, [self._tops[point] for point in points], seed, retain_graph=True,
            allow_unused=True)))
        return {target: self._mean(part, gradients, cells[target])
                for target, part in parts.items()
                if part and all(gradients[term.layer, term.top] is not None for term in part)}

    def _mean(self, part: Sequence[Term], gradients: Mapping[Tuple[int, str], Tensor],
              cells: int) -> Tensor:
        total: Optional[Tensor] = None
        for term in part:
            sums = _sums(gradients[term.layer, term.top], term.channels)
            passed = self._passed(term, sums)
            total = passed if total is None else total + passed
        assert total is not None
        return (total / cells)[:, :, None, None]

    def _passed(self, term: Term, sums: Tensor) -> Tensor:
        """What sums at a term's top come to at the target."""
        if not term.factors:
            return sums
        if term.factors not in self._matrices:
            matrix = term.matrix(lambda name: [blob.cpu().numpy() for blob in self._weights[name]])
            self._matrices[term.factors] = torch.from_numpy(matrix).to(sums.device)
        return products.passed_down(sums, self._matrices[term.factors])


def _sums(gradient: Tensor, channels: int) -> Tensor:
    """A gradient summed over the cells of each channel, N x channels float32."""
    if gradient.dim() == 4 and gradient.shape[1] == channels:
        return gradient.sum((2, 3), dtype=torch.float64).float()
    return gradient.reshape(len(gradient), channels, -1).sum(2, dtype=torch.float64).float()
