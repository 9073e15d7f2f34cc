"""Functions of the score blob: what a question about one photograph comes to.

The gradient of a seed is what a backward pass starts from; its value is what methods measure that
run the net again.
"""

from typing import Any, Dict, NamedTuple, Optional

import numpy as np


class Linear(NamedTuple):
    """A weighted sum of scores.

    Attributes
    ----------
    text : str
        The question in words.
    class_index : int or None
        The one class that it is about, if there is one.
    weights : dict
        Class -> factor.
    cells : numpy.ndarray or None
        h x w weights with sum 1 over the places of a dense score map; None for all alike.
    """

    text: str
    class_index: Optional[int]
    weights: Dict[int, float]
    cells: Any = None

    def values(self, scores):
        """M x K [x h x w] -> M float64."""
        summed = sum(factor * _by_place(scores)[:, one] for one, factor in self.weights.items())
        return np.dot(summed, _shares(self.cells, scores))

    def gradients(self, scores):
        """M x K [x h x w] -> the derivative of each value, of the same shape, float32."""
        seeds = np.zeros(scores.shape, np.float32)
        for one, factor in self.weights.items():
            _by_place(seeds)[:, one] = factor * _shares(self.cells, scores)
        return seeds


class Likelihood(NamedTuple):
    """The probability of a class instead of its score.

    Its derivative with respect to the scores is p_c (e_c - p) behind a Softmax and p_c (1 - p_c)
    behind a Sigmoid, so it fades where the net is sure.
    """

    text: str
    class_index: int
    link: str
    cells: Any = None

    def values(self, scores):
        """M x K [x h x w] -> M float64 in [0, 1]."""
        chances = to_probabilities(_by_place(scores), self.link)[:, self.class_index]
        return np.dot(chances, _shares(self.cells, scores))

    def gradients(self, scores):
        """M x K [x h x w] -> the derivative of each value, of the same shape, float32."""
        chances = to_probabilities(_by_place(scores), self.link)
        own = chances[:, self.class_index]
        if self.link == "softmax":
            slopes = -chances * own[:, np.newaxis]
            slopes[:, self.class_index] += own
        else:
            slopes = np.zeros_like(chances)
            slopes[:, self.class_index] = own * (1 - own)
        return np.float32(slopes * _shares(self.cells, scores)).reshape(scores.shape)


class Likeness(NamedTuple):
    """How alike the score blob is to that of a reference image: dot product or cosine."""

    text: str
    reference: Any
    cosine: bool
    class_index: Optional[int] = None

    def values(self, scores):
        """M x K [x h x w] -> M float64."""
        flat = _flat(scores)
        return np.dot(flat, self._direction()) / (self._lengths(flat) if self.cosine else 1)

    def gradients(self, scores):
        """M x K [x h x w] -> the derivative of each value, of the same shape, float32."""
        flat, direction = _flat(scores), self._direction()
        slopes = np.broadcast_to(direction, flat.shape)
        if self.cosine:
            lengths = self._lengths(flat)[:, np.newaxis]
            alike = np.dot(flat, direction)[:, np.newaxis] / lengths
            slopes = (direction - alike * flat / lengths) / lengths
        return np.float32(slopes).reshape(scores.shape)

    def _direction(self):
        reference = np.ravel(self.reference).astype(np.float64)
        return reference / (np.linalg.norm(reference) or 1) if self.cosine else reference

    @staticmethod
    def _lengths(flat):
        return np.maximum(np.linalg.norm(flat, axis=1), np.finfo(np.float32).tiny)


class Opposite(NamedTuple):
    """What speaks against the answer to another question."""

    text: str
    of: Any

    @property
    def class_index(self):
        return self.of.class_index

    def values(self, scores):
        """M x K [x h x w] -> M float64."""
        return -self.of.values(scores)

    def gradients(self, scores):
        """M x K [x h x w] -> the derivative of each value, of the same shape, float32."""
        return -self.of.gradients(scores)


def opposite(seed):
    """What speaks against the answer that a seed gives."""
    return Opposite("against " + seed.text, seed)


def likelihood(seed, link):
    """A seed about one class, of its probability instead of its score."""
    if isinstance(seed, Opposite):
        return opposite(likelihood(seed.of, link))
    return Likelihood("probability of " + seed.text, seed.class_index, link, seed.cells)


def within(seed, cells, where):
    """A seed in one region of a score map; ``where`` says it in words."""
    if isinstance(seed, Opposite):
        return opposite(within(seed.of, cells, where))
    return seed._replace(text=f"{seed.text} at {where}", cells=cells)


def score_vectors(blob):
    """One score per class from a score blob, which may have places: their mean.

    Parameters
    ----------
    blob : numpy.ndarray
        N x K [x h x w].

    Returns
    -------
    numpy.ndarray
        N x K float32.
    """
    return _by_place(blob).mean(axis=2, dtype=np.float64).astype(np.float32)


def to_probabilities(scores, link):
    """What the net's own last layer makes of scores; None if it has none such.

    Parameters
    ----------
    scores : numpy.ndarray
        K, or N x K [x places].
    link : str
        "softmax", "sigmoid" or "none".
    """
    axis = min(1, scores.ndim - 1)
    if link == "softmax":
        powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis, keepdims=True)
    if link == "sigmoid":
        return np.exp(-np.logaddexp(0, -scores))
    return None


def _by_place(blob):
    """A view of a score blob as N x K x places."""
    return blob.reshape(blob.shape[0], blob.shape[1] if blob.ndim > 1 else 1, -1)


def _flat(blob):
    return blob.reshape(len(blob), -1).astype(np.float64)


def _shares(cells, scores):
    """The weights of the places of a score map, with sum 1."""
    places = _by_place(scores).shape[2]
    return np.full(places, 1.0 / places) if cells is None else np.ravel(cells).astype(np.float64)
