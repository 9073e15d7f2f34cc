"""Maps of classes that an engine makes where it runs: what is asked for, and what comes back."""

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np


@dataclass(frozen=True)
class MapRequest:
    """Maps to make of each image of a batch.

    Attributes
    ----------
    score : str
        A score that the engine was opened with.
    layers : tuple of str
        Targets that it was opened with.
    methods : tuple of str
        Names of ``caffe_gradcam.explaining.methods`` that need activations and gradients.
    best : int
        Ask about the so many classes with the highest scores.
    classes : tuple of int
        Or about these.
    only_positive : bool
        Whether negative gradients at a layer count as 0.
    """

    score: str
    layers: Tuple[str, ...]
    methods: Tuple[str, ...]
    best: int = 0
    classes: Tuple[int, ...] = ()
    only_positive: bool = False

    def classes_of(self, scores: np.ndarray) -> np.ndarray:
        """The classes that are asked about.

        Parameters
        ----------
        scores : numpy.ndarray
            N x K.

        Returns
        -------
        numpy.ndarray
            N x R int64; of equal scores the lower index comes first, and R is 0 where one of the
            classes does not exist.
        """
        if not self.classes:
            if self.best == 1:
                return np.argmax(scores, axis=1)[:, np.newaxis]
            order: np.ndarray = np.argsort(-scores, axis=1, kind="mergesort")
            return order[:, :self.best]
        if max(self.classes) >= scores.shape[1]:
            return np.zeros((len(scores), 0), np.int64)
        return np.tile(self.classes, (len(scores), 1))

    def keys(self, count: int) -> List[Tuple[int, str, str]]:
        """(index of the class among ``count``, method, layer) of each map, in order."""
        return [(rank, method, layer) for rank in range(count)
                for method in self.methods for layer in self.layers]


@dataclass(frozen=True, eq=False)
class ClassMaps:
    """What comes back.

    Attributes
    ----------
    scores : numpy.ndarray
        What the score blob holds.
    classes : numpy.ndarray
        N x R int64: the classes asked about, of each image R.
    cams : dict
        (index of the class among R, method, layer) -> N x h x w float32.
    """

    scores: np.ndarray
    classes: np.ndarray
    cams: Dict[Tuple[int, str, str], np.ndarray]


class PendingMaps:
    """Maps on their way."""

    def is_done(self) -> bool:
        """Whether :meth:`result` gives them at once."""
        return True

    def result(self) -> ClassMaps:
        """The maps, when they are there; raises what went wrong meanwhile, as ``forward`` does."""
        raise NotImplementedError


class MapsAtHand(PendingMaps):
    """Maps that are there already."""

    def __init__(self, maps: ClassMaps) -> None:
        self._maps = maps

    def result(self) -> ClassMaps:
        return self._maps
