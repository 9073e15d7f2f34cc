"""Functions of the score blob: what a question about one image resolves to.

The gradient of a seed is what a backward pass starts from; its value is what methods measure that
run the net again.
"""

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

import numpy as np

# The index along each position axis that was picked: (("step", 3),).
Position = Tuple[Tuple[str, int], ...]


class Seed:
    """A function of the score blob.

    Attributes
    ----------
    text : str
        The question in words.
    class_index : int or None
        The one class that it is about, if there is one.
    position : tuple of (str, int)
        The index along each axis of positions that was picked: (("step", 3),).
    """

    text: str
    class_index: Optional[int]
    position: Position

    def values(self, scores: np.ndarray) -> np.ndarray:
        """The value for each row of a batch.

        Parameters
        ----------
        scores : numpy.ndarray
            M x K [x positions].

        Returns
        -------
        numpy.ndarray
            M float64.
        """
        raise NotImplementedError

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        """The derivative of each row's value with respect to its scores.

        Parameters
        ----------
        scores : numpy.ndarray
            M x K [x positions].

        Returns
        -------
        numpy.ndarray
            Of the same shape, float32.
        """
        raise NotImplementedError

    def likelihood(self, link: str) -> "Seed":
        """The probability of the class instead of its score; ``link`` is "softmax" or "sigmoid"."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Linear(Seed):
    """A weighted sum of scores.

    Attributes
    ----------
    weights : dict
        Class -> factor.
    cells : numpy.ndarray or None
        Weights with sum 1 over the positions; None: all alike.
    """

    text: str
    class_index: Optional[int]
    weights: Mapping[int, float]
    cells: Optional[np.ndarray] = None
    position: Position = ()

    def values(self, scores: np.ndarray) -> np.ndarray:
        by_position = _by_position(scores)
        summed = sum(factor * by_position[:, index] for index, factor in self.weights.items())
        values: np.ndarray = np.dot(summed, _cell_weights(self.cells, scores))
        return values

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        slopes = np.zeros(scores.shape, np.float32)
        for index, factor in self.weights.items():
            _by_position(slopes)[:, index] = factor * _cell_weights(self.cells, scores)
        return slopes

    def likelihood(self, link: str) -> Seed:
        assert self.class_index is not None
        return Likelihood("probability of " + self.text, self.class_index, link, self.cells,
                          self.position)


@dataclass(frozen=True, eq=False)
class Likelihood(Seed):
    """The probability of a class instead of its score.

    Its derivative with respect to the scores is p_c (e_c - p) behind a Softmax and p_c (1 - p_c)
    behind a Sigmoid, so it vanishes where the net is certain.
    """

    text: str
    class_index: int
    link: str
    cells: Optional[np.ndarray] = None
    position: Position = ()

    def values(self, scores: np.ndarray) -> np.ndarray:
        probabilities = self._probabilities(scores)[:, self.class_index]
        values: np.ndarray = np.dot(probabilities, _cell_weights(self.cells, scores))
        return values

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        probabilities = self._probabilities(scores)
        of_class = probabilities[:, self.class_index]
        if self.link == "softmax":
            slopes: np.ndarray = -probabilities * of_class[:, np.newaxis]
            slopes[:, self.class_index] += of_class
        else:
            slopes = np.zeros_like(probabilities)
            slopes[:, self.class_index] = of_class * (1 - of_class)
        slopes = slopes * _cell_weights(self.cells, scores)
        return slopes.astype(np.float32).reshape(scores.shape)

    def likelihood(self, link: str) -> Seed:
        return self

    def _probabilities(self, scores: np.ndarray) -> np.ndarray:
        probabilities = to_probabilities(_by_position(scores), self.link)
        assert probabilities is not None
        return probabilities


@dataclass(frozen=True, eq=False)
class Likeness(Seed):
    """The likeness of the score blob to that of a reference image: dot product or cosine."""

    text: str
    reference: np.ndarray
    cosine: bool
    class_index: Optional[int] = None
    position: Position = ()

    def values(self, scores: np.ndarray) -> np.ndarray:
        flat = _flat(scores)
        products: np.ndarray = np.dot(flat, self._direction())
        return products / _lengths(flat) if self.cosine else products

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        flat, direction = _flat(scores), self._direction()
        slopes: np.ndarray = np.broadcast_to(direction, flat.shape)
        if self.cosine:
            lengths = _lengths(flat)[:, np.newaxis]
            cosines = np.dot(flat, direction)[:, np.newaxis] / lengths
            slopes = (direction - cosines * flat / lengths) / lengths
        return slopes.astype(np.float32).reshape(scores.shape)

    def _direction(self) -> np.ndarray:
        reference: np.ndarray = np.ravel(self.reference).astype(np.float64)
        if self.cosine:
            reference = reference / (np.linalg.norm(reference) or 1)
        return reference


@dataclass(frozen=True, eq=False)
class Opposite(Seed):
    """The negative of another seed: what speaks against it."""

    text: str
    of: Seed

    @property
    def class_index(self) -> Optional[int]:  # type: ignore[override]  # read only here
        """The one class that it is about, if there is one."""
        return self.of.class_index

    @property
    def position(self) -> Position:  # type: ignore[override]  # read only here
        """The index along each axis of positions that was picked."""
        return self.of.position

    def values(self, scores: np.ndarray) -> np.ndarray:
        return -self.of.values(scores)

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        return -self.of.gradients(scores)

    def likelihood(self, link: str) -> Seed:
        return opposite(self.of.likelihood(link))


@dataclass(frozen=True, eq=False)
class TwoSided(Seed):
    """A seed about the two classes that one score tells apart: see :func:`sides`.

    Attributes
    ----------
    of : Seed
        Of two classes. What it gives for class 0 counts negatively for the score.
    """

    of: Seed

    @property
    def text(self) -> str:  # type: ignore[override]  # read only here
        """The question in words."""
        return self.of.text

    @property
    def class_index(self) -> Optional[int]:  # type: ignore[override]  # read only here
        """The one class that it is about, if there is one."""
        return self.of.class_index

    @property
    def position(self) -> Position:  # type: ignore[override]  # read only here
        """The index along each axis of positions that was picked."""
        return self.of.position

    def values(self, scores: np.ndarray) -> np.ndarray:
        return self.of.values(sides(scores))

    def gradients(self, scores: np.ndarray) -> np.ndarray:
        slopes = self.of.gradients(sides(scores))
        difference: np.ndarray = slopes[:, 1] - slopes[:, 0]
        return difference.reshape(scores.shape)

    def likelihood(self, link: str) -> Seed:
        return TwoSided(self.of.likelihood(link))


def sides(blob: np.ndarray) -> np.ndarray:
    """The scores of the two classes that one score s tells apart: -s for class 0, s for class 1.

    A Sigmoid makes 1 - p and p of them.

    Parameters
    ----------
    blob : numpy.ndarray
        N x 1 [x positions].

    Returns
    -------
    numpy.ndarray
        N x 2 x positions.
    """
    by_position = _by_position(blob)
    return np.concatenate([-by_position, by_position], axis=1)


def opposite(seed: Seed) -> Opposite:
    """What speaks against the answer that a seed gives."""
    return Opposite("against " + seed.text, seed)


def score_vectors(blob: np.ndarray) -> np.ndarray:
    """One score per class from a score blob; of a map of scores, the mean over its positions.

    Parameters
    ----------
    blob : numpy.ndarray
        N x K [x positions].

    Returns
    -------
    numpy.ndarray
        N x K float32.
    """
    means: np.ndarray = _by_position(blob).mean(axis=2, dtype=np.float64)
    return means.astype(np.float32)


def to_probabilities(scores: np.ndarray, link: str) -> Optional[np.ndarray]:
    """The probabilities that the net's last layer makes of scores; None if it has no such layer.

    Parameters
    ----------
    scores : numpy.ndarray
        K, or N x K [x positions].
    link : str
        "softmax", "sigmoid" or "none".
    """
    axis = min(1, scores.ndim - 1)
    probabilities: Optional[np.ndarray] = None
    if link == "softmax":
        powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
        probabilities = powers / powers.sum(axis=axis, keepdims=True)
    elif link == "sigmoid":
        probabilities = np.exp(-np.logaddexp(0, -scores))
    return probabilities


def _by_position(blob: np.ndarray) -> np.ndarray:
    """A view of a score blob as N x K x positions."""
    return blob.reshape(blob.shape[0], blob.shape[1] if blob.ndim > 1 else 1, -1)


def _flat(blob: np.ndarray) -> np.ndarray:
    return blob.reshape(len(blob), -1).astype(np.float64)


def _lengths(rows: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.maximum(np.linalg.norm(rows, axis=1), np.finfo(np.float32).tiny)
    return lengths


def _cell_weights(cells: Optional[np.ndarray], scores: np.ndarray) -> np.ndarray:
    """The weights of the positions, with sum 1."""
    positions = _by_position(scores).shape[2]
    if cells is None:
        return np.full(positions, 1.0 / positions, np.float64)
    return np.ravel(cells).astype(np.float64)
