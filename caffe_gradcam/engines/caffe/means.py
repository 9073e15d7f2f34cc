"""Mean gradients at targets without the gradients themselves, where there is a closed form."""

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

import numpy as np

from ..closed_forms import Factor, Term, terms
from ..subnet import Shapes, Subnet
from . import products
from .wiring import UNTOUCHED, Wiring

Place = TypeVar("Place")
# A blob, and the layer whose backward is the last that its diff needs.
Diff = Tuple[str, int]
RunBackward = Callable[[str, np.ndarray, Mapping[Tuple[int, str], Diff]],
                       Dict[Tuple[int, str], np.ndarray]]


class Means:
    """The closed forms between the scores and the targets of a net.

    Parameters
    ----------
    subnet : Subnet
    net : caffe.Net
    wiring : Wiring
        Of that net.
    gradient : str
        "post" or "pre-relu"; see ``Engine.backward``. Only "post" has closed forms.
    """

    def __init__(self, subnet: Subnet, net: Any, wiring: Wiring, gradient: str) -> None:
        self._subnet, self._net, self._wiring = subnet, net, wiring
        self._targets = subnet.reached if gradient == "post" else {}
        self._names = list(net._layer_names)
        self._terms: Dict[Tuple[str, str], List[Term]] = {}
        self._shapes: Optional[Shapes] = None
        self._matrices: Dict[Tuple[Factor, ...], np.ndarray] = {}

    def forget_weights(self) -> None:
        """Let go what was made of weights that have changed."""
        self._matrices = {}

    def at(self, score: str, top_diff: np.ndarray, targets: Sequence[str],
           run_backward: RunBackward) -> Dict[str, np.ndarray]:
        """Target -> the mean of each channel's gradient, N x C x 1 x 1, where there is a form.

        Parameters
        ----------
        score : str
        top_diff : numpy.ndarray
            The gradient there.
        targets : sequence of str
        run_backward : callable
            Gives diffs of blobs.
        """
        parts = {target: self._terms_of(score, target) for target in targets}
        places = {(term.layer, term.top): self._diff_of(term, score)
                  for part in parts.values() for term in part}
        gradients = run_backward(score, top_diff, places) if places else {}
        means = {}
        for target, part in parts.items():
            given = [gradients[term.layer, term.top] for term in part]
            if part and not any((gradient == UNTOUCHED).all() for gradient in given):
                cells = np.prod(self._net.blobs[target].shape[2:])
                total = sum(self._passed(term, gradient) for term, gradient in zip(part, given))
                means[target] = np.float32(total / cells)[:, :, np.newaxis, np.newaxis]
        return means

    def _terms_of(self, score: str, target: str) -> List[Term]:
        if self._subnet.shapes is not self._shapes:
            self._terms, self._shapes = {}, self._subnet.shapes
        if (score, target) not in self._terms:
            self._terms[score, target] = terms(
                self._subnet.net.layers, self._subnet.shapes, target, score
            ) if target in self._targets.get(score, ()) else []
        return self._terms[score, target]

    def _diff_of(self, term: Term, score: str) -> Diff:
        """Where Caffe puts the gradient at a term's top: no layer beyond these has to run."""
        writer = self._names.index(self._subnet.net.layers[term.layer].name)
        if term.top == score and writer == self._wiring.writers(score)[-1]:
            return term.top, writer + 1
        return term.top, self._wiring.reader(term.top, writer)

    def _passed(self, term: Term, gradient: np.ndarray) -> np.ndarray:
        """What the gradient at a term's top comes to at the target, summed over cells."""
        flat = gradient.reshape(len(gradient), term.channels, -1)
        sums = np.float32(flat.sum(axis=2, dtype=np.float64))
        if not term.factors:
            return sums
        if term.factors not in self._matrices:
            matrix = term.matrix(
                lambda name: [blob.data for blob in self._net.params[name]])
            self._matrices[term.factors] = np.array(matrix)
        return products.times(sums, self._matrices[term.factors])
