"""From the scores of a protocol to its table: ours, the published row and the difference."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from caffe_gradcam.measuring.metrics.bootstrap import LEVEL, Interval
from caffe_gradcam.measuring.protocols import averages, published
from caffe_gradcam.measuring.protocols.published import Reported
from caffe_gradcam.measuring.protocols.scores import Score


@dataclass(frozen=True)
class Row:
    """A method at a layer.

    Attributes
    ----------
    method, layer : str
    cells : mapping
        Column -> Interval, of fractions.
    """

    method: str
    layer: str
    cells: Mapping[str, Interval]


def rows(scores: Sequence[Score], columns: Sequence[str], seed: int = 0) -> List[Row]:
    """Summarise scores by method and layer, in the order in which these come.

    Parameters
    ----------
    scores : sequence of Score
    columns : sequence of str
    seed : int
        For the bootstrap.
    """
    members: Dict[Tuple[str, str], List[Score]] = {}
    for score in scores:
        members.setdefault((score.method, score.layer), []).append(score)
    return [Row(method, layer, {column: _cell(group, column, seed) for column in columns})
            for (method, layer), group in members.items()]


def _cell(scores: Sequence[Score], column: str, seed: int) -> Interval:
    counted = [score for score in scores if column in score.values]
    return averages.over_groups([score.values[column] for score in counted],
                                [score.group for score in counted],
                                [score.image for score in counted], seed)


def text(table_rows: Sequence[Row], columns: Sequence[str], reported: Sequence[Reported]) -> str:
    """The table in percent, with half the width of each interval, and published rows below.

    Parameters
    ----------
    table_rows : sequence of Row
    columns : sequence of str
    reported : sequence of Reported
        Of the same net.
    """
    head = ["method", "layer"]
    for column in columns:
        head += [column, "published", "difference"]
    lines = [head]
    for row in table_rows:
        counterpart = published.counterpart(list(reported), row.method)
        line = [row.method, row.layer]
        for column in columns:
            line += _cells(row.cells[column], _percent(counterpart, column))
        lines.append(line)
    for entry in reported:
        line = [entry.method, entry.source]
        for column in columns:
            line += ["", f"{entry.values[column]:g}", ""]
        lines.append(line)
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(itertools.chain(
        (cell.ljust(width) for cell, width in zip(line[:2], widths)),
        (cell.rjust(width) for cell, width in zip(line[2:], widths[2:])))).rstrip()
        for line in lines)


def _percent(counterpart: Optional[Reported], column: str) -> Optional[float]:
    return None if counterpart is None else counterpart.values[column]


def _cells(interval: Interval, percent: Optional[float]) -> List[str]:
    """Ours, the published number and the difference, as text."""
    if not interval.count:
        return ["-", "-" if percent is None else f"{percent:g}", "-"]
    spread = "" if math.isnan(interval.low) else f" ±{50 * (interval.high - interval.low):.1f}"
    ours = f"{100 * interval.mean:.1f}{spread}"
    if percent is None:
        return [ours, "-", "-"]
    return [ours, f"{percent:g}", f"{100 * interval.mean - percent:+.1f}"]


def report(table_rows: Sequence[Row], columns: Sequence[str], reported: Sequence[Reported]
           ) -> Dict[str, Any]:
    """The table as an object for JSON, in percent; NaN is null."""
    return {
        "confidence": LEVEL,
        "rows": [{
            "method": row.method, "layer": row.layer,
            "cells": {column: _entry(row.cells[column], published.counterpart(
                list(reported), row.method), column) for column in columns},
        } for row in table_rows],
        "published": [{"method": entry.method, "source": entry.source,
                       "values": dict(entry.values)} for entry in reported],
    }


def _entry(interval: Interval, counterpart: Optional[Reported], column: str) -> Dict[str, Any]:
    mean, low, high = (None if math.isnan(value) else 100 * value
                       for value in (interval.mean, interval.low, interval.high))
    percent = _percent(counterpart, column)
    difference = None if percent is None or mean is None else mean - percent
    return {"mean": mean, "low": low, "high": high, "count": interval.count,
            "published": percent, "difference": difference}
