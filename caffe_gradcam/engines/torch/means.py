"""Mean gradients at targets without the gradients themselves, where there is a closed form."""

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import torch
from torch import Tensor

from ..closed_forms import Factor, Term, below_global_mean, terms
from ..subnet import Shapes, Subnet
from . import products

Weights = Mapping[str, Sequence[Tensor]]
# The position of a layer, and one of its tops.
Point = Tuple[int, str]


class RectifiedMean(NamedTuple):
    """A ReLU, and the global mean of it."""

    relu: Point
    pool: Point


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
        self._points: Set[Point] = set()
        self._pooled: Dict[Tuple[str, Point], RectifiedMean] = {}
        self._tops: Dict[Point, Tensor] = {}
        self._matrices: Dict[Tuple[Factor, ...], Tensor] = {}

    def begin(self) -> None:
        """A pass begins, with inputs of the shapes that were checked last."""
        self._tops = {}
        if self._subnet.shapes is self._shapes:
            return
        self._shapes, self._points, self._pooled = self._subnet.shapes, set(), {}
        self._terms = {}
        for score, targets in self._targets.items():
            for target in targets:
                parts = terms(self._subnet.net.layers, self._shapes, target, score)
                self._terms[score, target] = parts
                for term in parts:
                    self._watch(term, score)

    def _watch(self, term: Term, score: str) -> None:
        """Have what a term needs held in each pass."""
        layers, shapes = self._subnet.net.layers, self._subnet.shapes
        point = (term.layer, term.top)
        pair = below_global_mean(layers, shapes, term, score)
        if pair is not None:
            relu, pool = ((index, layers[index].tops[0]) for index in pair)
            self._pooled[score, point] = RectifiedMean(relu, pool)
            self._points.update((relu, pool))
        else:
            self._points.add(point)

    def note(self, layer: int, blobs: Mapping[str, Tensor]) -> None:
        """A layer has run: hold what gradients are needed at."""
        for point in self._points:
            if point[0] == layer:
                self._tops[point] = blobs[point[1]]

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
            self._needed(score, term) for part in parts.values() for term in part))
        if not points or not all(point in self._tops and self._tops[point].requires_grad
                                 for point in points):
            return {}
        gradients = {point: gradient for point, gradient in zip(points, torch.autograd.grad(
            top, [self._tops[point] for point in points], seed, retain_graph=True,
            allow_unused=True)) if gradient is not None}
        return {target: self._mean(part, (score, gradients), cells[target])
                for target, part in parts.items()
                if part and all(self._needed(score, term) in gradients for term in part)}

    def _needed(self, score: str, term: Term) -> Point:
        """Where the gradient is needed for a term."""
        point = term.layer, term.top
        pooled = self._pooled.get((score, point))
        return point if pooled is None else pooled.pool

    def _mean(self, part: Sequence[Term], given: Tuple[str, Mapping[Point, Tensor]], cells: int
              ) -> Tensor:
        score, gradients = given
        total: Optional[Tensor] = None
        for term in part:
            gradient = gradients[self._needed(score, term)]
            pooled = self._pooled.get((score, (term.layer, term.top)))
            if pooled is None:
                sums = _sums(gradient, term.channels)
            else:
                relu = self._tops[pooled.relu].detach()
                sums = _sums_below_mean(gradient.flatten(1).float(), relu)
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


def _sums_below_mean(gradient: Tensor, relu: Tensor) -> Tensor:
    """The sums, N x C, of what a ReLU passes on of the gradient at a global mean.

    Of a channel that is the share of its positive cells. Few channels have a gradient, so the
    others are not counted; but to find them, the processor would have to wait for a card.
    """
    if gradient.is_cuda:
        return gradient * (relu > 0).float().mean((2, 3))
    active, = (gradient != 0).any(0).nonzero(as_tuple=True)
    sums = torch.zeros_like(gradient)
    sums[:, active] = gradient[:, active] * (relu[:, active] > 0).float().mean((2, 3))
    return sums
