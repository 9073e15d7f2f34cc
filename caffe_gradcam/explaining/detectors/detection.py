"""What a detector finds in an image: values that are explained, drawn and reported."""

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

# What is explained of a box: how sure the net is of it, or where one of its edges lies.
EDGES = ("left", "top", "right", "bottom")
ASPECTS = ("confidence",) + EDGES


@dataclass(frozen=True)
class Term:
    """A number that a head gives, and its weight in what is explained.

    Attributes
    ----------
    head : str
        The blob.
    row : int
        Along the blob's first axis: the image in the batch, or the region.
    offset : int
        Within that row.
    weight : float
    """

    head: str
    row: int
    offset: int
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Detection:
    """A box that a net found.

    Attributes
    ----------
    class_index : int
    score : float
        How sure the net is, 0 to 1.
    prior : int
        The index of the prior, the region or the anchor behind the box.
    box : numpy.ndarray
        Left, top, right and bottom as fractions of the net's input.
    terms : dict
        One of ``ASPECTS`` -> the numbers whose weighted sum is explained: for the confidence, the
        scores before any Softmax or Sigmoid; for an edge, its derivatives with respect to the
        numbers that locate the box.
    """

    class_index: int
    score: float
    prior: int
    box: np.ndarray
    terms: Mapping[str, Tuple[Term, ...]]


@dataclass(frozen=True, eq=False)
class Candidates:
    """All boxes of an image before any are chosen.

    Attributes
    ----------
    boxes : numpy.ndarray
        M x L x 4, as ``Detection.box``; L is 1, or the number of classes where each has its own
        box.
    probabilities : numpy.ndarray
        M x C, without the background.
    objectness : numpy.ndarray
        M: how likely there is anything.
    first_class : int
        The class of the first column of ``probabilities``.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    objectness: np.ndarray
    first_class: int = 0


class Detector:
    """Finds boxes in what a net's heads give.

    Attributes
    ----------
    score_heads, location_heads : tuple of str
        The blobs that hold how sure the net is of each box, and where each is; an engine has to
        give them, and gradients start from them.
    kept : tuple of str
        Further blobs that an engine has to give.
    one_by_one : bool
        Whether rows of the heads are regions, so that images go one by one.
    axis : str
        What ``Detection.prior`` counts: "prior" or "roi".
    note : str
        What is done natively in place of a layer that runs code; empty if nothing is.
    """

    score_heads: Tuple[str, ...]
    location_heads: Tuple[str, ...]
    kept: Tuple[str, ...] = ()
    one_by_one: bool = False
    axis: str = "prior"
    note: str = ""

    @property
    def heads(self) -> Tuple[str, ...]:
        """All heads, each once."""
        return tuple(dict.fromkeys(self.score_heads + self.location_heads))

    def heads_of(self, aspect: str) -> Tuple[str, ...]:
        """The heads that one of ``ASPECTS`` is read from."""
        return self.score_heads if aspect == "confidence" else self.location_heads

    def class_name(self, names: Optional[Sequence[str]], class_index: int) -> Optional[str]:
        """The name of a class that boxes have, from the names of the score blob's classes."""
        return names[class_index] if names is not None and class_index < len(names) else None

    def find(self, blobs: Mapping[str, np.ndarray], least: float) -> List[List[Detection]]:
        """The boxes of each image whose score is at least this, the best first."""
        raise NotImplementedError

    def candidates(self, blobs: Mapping[str, np.ndarray]) -> List[Candidates]:
        """All boxes of each image."""
        raise NotImplementedError


def best_first(detections: List[Detection], least: float) -> List[Detection]:
    """Those that are sure enough and have an area, the surest first."""
    sized = [entry for entry in detections if entry.score >= least
             and np.isfinite(entry.box).all() and (entry.box[2:] > entry.box[:2]).all()]
    return sorted(sized, key=lambda entry: -entry.score)


def edge_terms(decode: Any, numbers: np.ndarray, places: List[Tuple[str, int, int]]
               ) -> Mapping[str, Tuple[Term, ...]]:
    """The terms of each edge: its derivatives with respect to the numbers that locate a box.

    Parameters
    ----------
    decode : callable
        4 numbers, float64 -> the 4 edges.
    numbers : numpy.ndarray
        4: what the net gives.
    places : list of (str, int, int)
        Head, row and offset of each number.
    """
    step = 1e-4
    slopes = np.stack([
        (decode(numbers + step * unit) - decode(numbers - step * unit)) / (2 * step)
        for unit in np.eye(4)])
    return {edge: tuple(Term(*place, weight=float(slope))
                        for place, slope in zip(places, slopes[:, index]) if slope != 0)
            for index, edge in enumerate(EDGES)}
