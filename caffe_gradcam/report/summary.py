"""Counts, accuracy and confusion of some images."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Counter as CounterType
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.report.entries import ImageEntry

# The two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054
# Classes in a confusion matrix that a page can show; with more, the pairs confused most often.
MOST_IN_MATRIX = 30


@dataclass(frozen=True)
class Proportion:
    """So many of so many, with Wilson's interval of 95 %.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """

    count: int
    total: int

    @property
    def value(self) -> float:
        """Between 0 and 1; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> Tuple[float, float]:
        """The lower and the upper end; NaN of nothing."""
        if not self.total:
            return math.nan, math.nan
        share, total, squared = self.value, self.total, _Z * _Z
        middle = (share + squared / (2 * total)) / (1 + squared / total)
        half = _Z / (1 + squared / total) * math.sqrt(
            share * (1 - share) / total + squared / (4 * total * total))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class ClassLine:
    """What is counted of one class.

    Attributes
    ----------
    index : int
    recall : Proportion
        Images of the class that the net gave to it.
    precision : Proportion
        Images that the net gave to the class and that are of it, among those of known class.
    answers : int
        Images that the net gave to the class, whether their class is known or not.
    certainty : float or None
        The mean probability of these answers.
    empty : int
        Of these, the ones without any heat.
    """

    index: int
    recall: Proportion
    precision: Proportion
    answers: int
    certainty: Optional[float]
    empty: int


@dataclass(eq=False)
class Summary:
    """Counts of images, which are added one by one."""

    statuses: CounterType[str] = field(default_factory=Counter)
    confusion: CounterType[Tuple[int, int]] = field(default_factory=Counter)
    maps: int = 0
    _answers: CounterType[int] = field(default_factory=Counter)
    _empty: CounterType[int] = field(default_factory=Counter)
    _certainty: Dict[int, List[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[ImageEntry]) -> "Summary":
        """The summary of some images."""
        summary = cls()
        for entry in entries:
            summary.add(entry)
        return summary

    def add(self, entry: ImageEntry) -> None:
        """Count an image."""
        self.statuses[entry.status] += 1
        self.maps += len(entry.maps)
        if entry.predicted is None:
            return
        self._answers[entry.predicted] += 1
        self._empty[entry.predicted] += entry.status == "empty"
        if entry.certainty is not None:
            self._certainty.setdefault(entry.predicted, []).append(entry.certainty)
        if entry.true_label is not None:
            self.confusion[entry.true_label, entry.predicted] += 1

    def include(self, other: "Summary") -> None:
        """Add what another summary counted."""
        self.statuses.update(other.statuses)
        self.confusion.update(other.confusion)
        self.maps += other.maps
        self._answers.update(other._answers)
        self._empty.update(other._empty)
        for index, certainties in other._certainty.items():
            self._certainty.setdefault(index, []).extend(certainties)

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.statuses.values())

    @property
    def accuracy(self) -> Proportion:
        """Images whose true class is the best one, among those whose true class is known."""
        right = sum(count for (true, predicted), count in self.confusion.items()
                    if true == predicted)
        return Proportion(right, sum(self.confusion.values()))

    def classes(self) -> List[ClassLine]:
        """A line for each class that occurs, in order."""
        true, predicted = Counter(), Counter()  # type: ignore[var-annotated]
        for (first, second), count in self.confusion.items():
            true[first] += count
            predicted[second] += count
        lines = []
        for index in sorted(set(true) | set(self._answers)):
            right = self.confusion[index, index]
            certainties = self._certainty.get(index)
            lines.append(ClassLine(
                index, Proportion(right, true[index]), Proportion(right, predicted[index]),
                self._answers[index],
                sum(certainties) / len(certainties) if certainties else None,
                self._empty[index]))
        return lines

    def matrix(self) -> Optional[Tuple[List[int], List[List[int]]]]:
        """Classes, and a row of counts for each true class; None for none, or for too many."""
        classes = sorted({index for pair in self.confusion for index in pair})
        if not 1 < len(classes) <= MOST_IN_MATRIX:
            return None
        return classes, [[self.confusion[true, predicted] for predicted in classes]
                         for true in classes]

    def mistakes(self, most: int = 30) -> List[Tuple[int, int, int]]:
        """The true class, the answer and the number of the commonest mistakes."""
        wrong = [(*pair, count) for pair, count in self.confusion.items() if pair[0] != pair[1]]
        return sorted(wrong, key=lambda mistake: (-mistake[2], mistake[:2]))[:most]


def unlikeness(entries: Sequence[ImageEntry], side: int = 16) -> Dict[int, float]:
    """How far each image's map lies from the mean map of its class, in photograph coordinates.

    One minus the cosine between the first map about the predicted class and the mean of such maps
    of the other images of that class; from 0 to 1.

    Parameters
    ----------
    entries : sequence of ImageEntry
    side : int
        Maps are compared at so many rows and columns.

    Returns
    -------
    dict
        Number of the image -> distance; without images of a class that is alone.
    """
    by_class: Dict[int, List[Tuple[int, np.ndarray]]] = {}
    for entry in entries:
        heat = next((shown.heat for shown in entry.maps if shown.heat is not None
                     and shown.class_index == entry.predicted), None)
        if entry.predicted is not None and heat is not None and heat.any():
            by_class.setdefault(entry.predicted, []).append((entry.number, _unit(heat, side)))
    distances = {}
    for maps in by_class.values():
        total = np.sum([unit for _, unit in maps], axis=0)
        for number, unit in maps if len(maps) > 1 else ():
            others = total - unit
            cosine = float((unit * others).sum() / np.linalg.norm(others))
            distances[number] = min(1.0, max(0.0, 1 - cosine))
    return distances


def _unit(heat: np.ndarray, side: int) -> np.ndarray:
    import cv2

    small = cv2.resize(heat.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return small / np.linalg.norm(small)
