"""Two answers about the same images: what changed, and how alike the maps are."""

import dataclasses
import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from caffe_gradcam.report.entries import Fact, ImageEntry, MapEntry, Section
from caffe_gradcam.report.summary import Proportion

Pair = Tuple[ImageEntry, ImageEntry]
_MOST_LISTED = 200


def mcnemar(only_first: int, only_second: int) -> float:
    """The probability of a difference like this, or a larger one, if both are equally good.

    The exact form of McNemar's test, "Note on the sampling error of the difference between
    correlated proportions", Psychometrika 12 (1947): the images that only one of both gets right
    are tosses of a fair coin.

    Parameters
    ----------
    only_first, only_second : int
        Images that only the one, and only the other, gets right.
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    if only_first == only_second:
        return 1.0
    logs = (math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
            - count * math.log(2) for k in range(fewer + 1))
    return min(1.0, 2 * sum(map(math.exp, logs)))


def likeness(first: ImageEntry, second: ImageEntry) -> Optional[float]:
    """The mean cosine of the heat of maps about one class by one method; None without such.

    From 0, heat in different places, to 1; two empty maps are alike, an empty one and another are
    not.
    """
    others = {(shown.class_index, shown.method): shown.heat for shown in second.maps}
    cosines = [_cosine(shown.heat, others[shown.class_index, shown.method])
               for shown in first.maps if (shown.class_index, shown.method) in others]
    present = [cosine for cosine in cosines if cosine is not None]
    return sum(present) / len(present) if present else None


def _cosine(first: Optional[np.ndarray], second: Optional[np.ndarray]) -> Optional[float]:
    if first is None or second is None or first.shape != second.shape:
        return None
    a, b = first.astype(np.float64), second.astype(np.float64)
    norm = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    if norm == 0:
        return float(a.any() == b.any())
    return min(1.0, float((a * b).sum()) / norm)


@dataclass(eq=False)
class Comparison:
    """What is counted of pairs of entries, which are added one by one.

    Attributes
    ----------
    pairs : int
        Images that both have.
    answered : int
        Of these, those for which both have an answer.
    changed : int
        Of these, those with another answer.
    labelled, right_before, right_after, only_before, only_after : int
        Images of known class with two answers; those that the first, and the second, gets right;
        those that only one of both gets right.
    different : int
        Images whose bytes differ; they are not compared.
    lone_before, lone_after : int
        Images that only one of both has.
    """

    pairs: int = 0
    answered: int = 0
    changed: int = 0
    labelled: int = 0
    right_before: int = 0
    right_after: int = 0
    only_before: int = 0
    only_after: int = 0
    different: int = 0
    lone_before: int = 0
    lone_after: int = 0
    _likeness: Dict[int, List[float]] = field(default_factory=dict)
    _changes: List[Tuple[str, int, int, Optional[int]]] = field(default_factory=list)

    def add(self, first: ImageEntry, second: ImageEntry) -> Optional[ImageEntry]:
        """Count a pair, and make one entry of it; None where these are different images."""
        if None not in (first.sha256, second.sha256) and first.sha256 != second.sha256:
            self.different += 1
            return None
        self.pairs += 1
        alike = likeness(first, second)
        true_label = second.true_label if second.true_label is not None else first.true_label
        if None not in (first.predicted, second.predicted):
            self._count(first, second, true_label)
        if alike is not None and second.predicted is not None:
            self._likeness.setdefault(second.predicted, []).append(alike)
        maps = [*_named("after", second.maps), *_named("before", first.maps)]
        picture = second if second.picture is not None else first
        return dataclasses.replace(second, true_label=true_label, maps=maps, alike=alike,
                                   before=first.predicted, picture=picture.picture,
                                   missing=picture.missing)

    def _count(self, first: ImageEntry, second: ImageEntry, true_label: Optional[int]) -> None:
        assert first.predicted is not None and second.predicted is not None
        self.answered += 1
        if first.predicted != second.predicted:
            self.changed += 1
            if len(self._changes) < _MOST_LISTED:
                self._changes.append(
                    (second.path, first.predicted, second.predicted, true_label))
        if true_label is not None:
            before, after = first.predicted == true_label, second.predicted == true_label
            self.labelled += 1
            self.right_before += before
            self.right_after += after
            self.only_before += before and not after
            self.only_after += after and not before

    def values(self) -> Dict[str, float]:
        """The numbers that a condition can name; NaN for what is not known."""
        before = Proportion(self.right_before, self.labelled).value
        after = Proportion(self.right_after, self.labelled).value
        all_alike = [value for values in self._likeness.values() for value in values]
        by_class = [sum(values) / len(values) for values in self._likeness.values()]
        return {
            "images": self.pairs, "changed": Proportion(self.changed, self.answered).value,
            "changed_images": self.changed, "accuracy_before": before, "accuracy_after": after,
            "accuracy_drop": before - after,
            "p_value": mcnemar(self.only_before, self.only_after) if self.labelled else math.nan,
            "similarity": sum(all_alike) / len(all_alike) if all_alike else math.nan,
            "least_class_similarity": min(by_class, default=math.nan),
            "unmatched": self.lone_before + self.lone_after + self.different}

    def sections(self, class_text: Any) -> List[Section]:
        """Tables for a report; ``class_text`` gives the name of a class."""
        values = self.values()
        accuracy = [
            Fact(name, _percent(Proportion(right, self.labelled)), _ends(right, self.labelled))
            for name, right in (("accuracy before", self.right_before),
                                ("accuracy after", self.right_after))] if self.labelled else []
        facts = [
            *accuracy,
            *([Fact("McNemar's test", f"p = {values['p_value']:.3g}",
                    f"{self.only_before} right only before, {self.only_after} only after")]
              if self.labelled else []),
            Fact("answers that changed", _percent(Proportion(self.changed, self.answered)),
                 _ends(self.changed, self.answered)),
            Fact("similarity of maps", f"{values['similarity']:.3f}", "mean cosine of the heat")
            if self._likeness else
            Fact("similarity of maps", "–", "no two maps are about one class by one method")]
        by_class = [Fact(class_text(index), f"{sum(alike) / len(alike):.3f}",
                         f"{len(alike)} images") for index, alike in sorted(
                             self._likeness.items(), key=lambda item: sum(item[1]) / len(item[1]))]
        changes = [Fact(path, f"{class_text(before)} → {class_text(after)}",
                        "" if true is None else f"true: {class_text(true)}")
                   for path, before, after, true in self._changes]
        return [Section("Comparison", facts), Section("Similarity of maps by class", by_class),
                Section("Answers that changed", changes)]

    def problems(self) -> List[str]:
        """What could not be compared."""
        sentences = ((self.lone_before, "only in the first"),
                     (self.lone_after, "only in the second"),
                     (self.different, "not the same file in both"))
        return [f"{count} of the images {'is' if count == 1 else 'are'} {words}, and not compared"
                for count, words in sentences if count]


def paired(first: Iterable[ImageEntry], second: Iterable[ImageEntry], comparison: Comparison
           ) -> Iterator[Pair]:
    """The entries of both that have the same name, in the order in which both are known.

    The n-th image of a name belongs to the n-th of the other side. Where both have the same order,
    nothing has to wait.
    """
    waiting: Tuple[Dict[str, List[ImageEntry]], Dict[str, List[ImageEntry]]] = ({}, {})
    for entries in itertools.zip_longest(first, second):
        for side, entry in enumerate(entries):
            if entry is None:
                continue
            others = waiting[1 - side].get(entry.id)
            if others:
                other = others.pop(0)
                yield (other, entry) if side else (entry, other)
            else:
                waiting[side].setdefault(entry.id, []).append(entry)
    comparison.lone_before, comparison.lone_after = (
        sum(map(len, side.values())) for side in waiting)


def most_different(pairs: Iterable[Pair], comparison: Comparison, most: int) -> List[ImageEntry]:
    """One entry for each pair, those with other answers first, then the ones with the least
    similar maps; at most so many."""
    entries = filter(None, itertools.starmap(comparison.add, pairs))
    return heapq.nsmallest(most, entries, key=lambda entry: (
        entry.before == entry.predicted, 2.0 if entry.alike is None else entry.alike,
        entry.number))


def _named(side: str, maps: Iterable[MapEntry]) -> List[MapEntry]:
    return [dataclasses.replace(shown, method=f"{side}: {shown.method}") for shown in maps]


def _percent(proportion: Proportion) -> str:
    return f"{100 * proportion.value:.1f} % ({proportion.count} of {proportion.total})"


def _ends(count: int, total: int) -> str:
    low, high = Proportion(count, total).interval
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
