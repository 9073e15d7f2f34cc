"""From measurements to a table, and to the method and layer that can be trusted."""

import itertools
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.measuring.measurement import COLUMNS, Measurement, Settings
from caffe_gradcam.measuring.metrics.bootstrap import LEVEL, Interval, interval

# The first of these that was measured decides. Metrics that follow the net come before those that
# follow boxes, since a net may look at something else than people do.
DECIDING = ("gap", "road", "insertion", "deletion", "pointing", "energy", "drop", "mass")
# A map that is this similar to that of random weights shows the image, not the net.
ALIKE = 0.5
# Shown behind the name of a column: which values are good.
SIGNS = {"high": "+", "low": "-", "zero": "0"}
_MOST_NAMED = 3


@dataclass(frozen=True)
class Row:
    """A method at a layer.

    Attributes
    ----------
    method : str
    layer : str or None
        None for a baseline.
    cells : dict
        Column -> Interval, for columns with values.
    marks : dict
        Column -> "best", "equal" (no significant difference from the best), or "".
    curves : dict
        "deletion" and "insertion" -> mean values at equal steps.
    stages : list of (float, float)
        Mean rank correlation and structural similarity, by stage of random weights.
    """

    method: str
    layer: Optional[str]
    cells: Dict[str, Interval]
    marks: Dict[str, str] = field(default_factory=dict)
    curves: Dict[str, List[float]] = field(default_factory=dict)
    stages: List[Tuple[float, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For sentences: ``grad-cam at conv5``."""
        if self.layer:
            return f"{self.method} at {self.layer}"
        return f"the {self.method} baseline"


@dataclass(frozen=True)
class Verdict:
    """Which method and layer can be trusted.

    Attributes
    ----------
    text : str
        One sentence, and another one about the methods that were left out.
    method, layer : str or None
        None where no method is better than the baselines.
    column : str or None
        The column that decided.
    """

    text: str
    method: Optional[str] = None
    layer: Optional[str] = None
    column: Optional[str] = None


def rows(measurements: Sequence[Measurement], seed: int = 0) -> List[Row]:
    """Summarise measurements by method and layer, in the order in which these come; baselines last.

    Parameters
    ----------
    measurements : list of Measurement
    seed : int
        For the bootstrap.
    """
    groups: Dict[Tuple[str, Optional[str]], List[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.method, measurement.layer), []).append(measurement)
    ordered = sorted(groups.items(), key=lambda group: group[0][1] is None)
    summary = [Row(method, layer, _cells(members, seed), {}, _mean_curves(members),
                   _mean_stages(members)) for (method, layer), members in ordered]
    marks: List[Dict[str, str]] = [{} for _ in summary]
    for column in COLUMNS:
        measured = [index for index, row in enumerate(summary) if column in row.cells]
        if not measured:
            continue
        best = min(measured, key=lambda index: _rank(summary[index], column))
        for index in measured:
            same = index == best or is_equal(ordered[index][1], ordered[best][1], column, seed)
            marks[index][column] = "best" if index == best else "equal" if same else ""
    return [replace(row, marks=row_marks) for row, row_marks in zip(summary, marks)]


def is_equal(first: Sequence[Measurement], second: Sequence[Measurement], column: str,
             seed: int = 0) -> bool:
    """Whether the measurements of two methods show no significant difference.

    They are compared map by map: whether the bootstrap interval of the mean difference holds 0.
    The intervals of two means may overlap although one method is better on nearly every image.

    Returns
    -------
    bool
        True also where there are too few images to tell.
    """
    badness = {_map_of(measurement): _badness(measurement.values.get(column), column)
               for measurement in second}
    differences = [_badness(measurement.values.get(column), column)
                   - badness.get(_map_of(measurement), np.nan) for measurement in first]
    difference = interval(differences, [measurement.path for measurement in first], seed)
    return not (difference.low > 0 or difference.high < 0)


def _map_of(measurement: Measurement) -> Tuple[str, int, int]:
    """What the maps of two methods must have in common to be compared."""
    return measurement.path, measurement.class_index, measurement.rank


def verdict(table_rows: Sequence[Row], measurements: Sequence[Measurement],
            seed: int = 0) -> Verdict:
    """Decide which method and layer can be trusted, and explain why.

    Parameters
    ----------
    table_rows : list of Row
        As :func:`rows` gives them.
    measurements : list of Measurement
    seed : int
    """
    column = next((name for name in DECIDING
                   if any(name in row.cells for row in table_rows)), None)
    if column is None:
        return Verdict("Nothing was measured that could rank the methods; select deletion and "
                       "insertion.")
    with_values = [row for row in table_rows if column in row.cells]
    blind = [row for row in with_values if row.layer and _is_blind(row)]
    able = sorted((row for row in with_values if row.layer and row not in blind),
                  key=lambda row: _rank(row, column))
    left_out = _left_out(blind)
    if not able:
        return Verdict("No method can be trusted here." + left_out, column=column)
    best = able[0]
    if math.isnan(best.cells[column].low):
        return Verdict(f"By {COLUMNS[column].text}, {best.name} comes first "
                       f"({best.cells[column].mean:.3f}), but a single image does not allow a "
                       "conclusion about others; give more images." + left_out, column=column)
    members = _of(best, measurements)
    for row in with_values:
        if row.layer is None and (_rank(row, column) <= _rank(best, column) or is_equal(
                members, _of(row, measurements), column, seed)):
            return Verdict(
                f"No method can be told apart from {row.name} by {COLUMNS[column].text}: the best, "
                f"{best.name}, reaches {_shown(best, column)}, against {_shown(row, column)}. Give "
                "more images or other layers." + left_out, column=column)
    equal = [row for row in able[1:]
             if is_equal(_of(row, measurements), members, column, seed)]
    rank = "the best" if len(able) > 1 else "better than the baselines"
    return Verdict(f"Trust {best.name}: it is {rank} by {COLUMNS[column].text}, "
                   f"{_shown(best, column)}{_comparison(able, equal, column)}.{left_out}",
                   best.method, best.layer, column)


def _is_blind(row: Row) -> bool:
    """Whether the maps hardly change when the weights are random."""
    return "sanity" in row.cells and abs(row.cells["sanity"].mean) > ALIKE


def _comparison(able: Sequence[Row], equal: Sequence[Row], column: str) -> str:
    """How the best compares with the next."""
    if equal:
        more = len(equal) - _MOST_NAMED
        names = ", ".join(row.name for row in equal[:_MOST_NAMED])
        return "; no significant difference from " + names + (
            f" and {more} more" if more > 0 else "")
    if len(able) > 1:
        return (f", significantly better than the next, {able[1].name} "
                f"({able[1].cells[column].mean:.3f})")
    return ""


def _left_out(blind: Sequence[Row]) -> str:
    if not blind:
        return ""
    names = ", ".join(f"{row.name} ({row.cells['sanity'].mean:.2f})" for row in blind)
    return (" Left out, because their maps hardly change when the weights are random (rank "
            f"correlation above {ALIKE}): {names}.")


def _shown(row: Row, column: str) -> str:
    cell = row.cells[column]
    return f"{cell.mean:.3f} ({100 * LEVEL:.0f} % interval {cell.low:.3f} to {cell.high:.3f})"


def _of(row: Row, measurements: Sequence[Measurement]) -> List[Measurement]:
    return [measurement for measurement in measurements
            if (measurement.method, measurement.layer) == (row.method, row.layer)]


def _cells(measurements: Sequence[Measurement], seed: int) -> Dict[str, Interval]:
    cells = {}
    for name in COLUMNS:
        values = [measurement.values.get(name, np.nan) for measurement in measurements]
        mean = interval(values, [measurement.path for measurement in measurements], seed)
        if mean.count:
            cells[name] = mean
    return cells


def _badness(value: Optional[float], column: str) -> float:
    """The smaller, the better; NaN for a missing value."""
    if value is None:
        return float("nan")
    return {"high": -value, "low": value, "zero": abs(value)}[COLUMNS[column].better]


def _rank(row: Row, column: str) -> float:
    """The sort key of a row, the best first; rows without a value come last."""
    cell = row.cells.get(column)
    return math.inf if cell is None else _badness(cell.mean, column)


def _mean_curves(measurements: Sequence[Measurement]) -> Dict[str, List[float]]:
    return {name: np.mean([measurement.curves[name] for measurement in measurements],
                          axis=0).tolist() for name in measurements[0].curves}


def _mean_stages(measurements: Sequence[Measurement]) -> List[Tuple[float, float]]:
    stages = [measurement.stages for measurement in measurements if measurement.stages]
    return np.mean(stages, axis=0).tolist() if stages else []


def report(table_rows: Sequence[Row], decision: Verdict, settings: Settings,
           stages: Sequence[Sequence[str]]) -> Dict[str, Any]:
    """The comparison as an object for JSON, in which NaN is null.

    Parameters
    ----------
    table_rows : list of Row
    decision : Verdict
    settings : Settings
    stages : list of list of str
        The layers whose weights were randomised, stage by stage.
    """
    names = [name for name in COLUMNS if any(name in row.cells for row in table_rows)]
    return {
        "settings": dict(asdict(settings), metrics=list(settings.metrics)),
        "confidence": LEVEL,
        "columns": {name: {"better": COLUMNS[name].better, "text": COLUMNS[name].text}
                    for name in names},
        "rows": [{
            "method": row.method,
            "layer": row.layer,
            "cells": {name: dict({key: number(value) for key, value in asdict(cell).items()},
                                 mark=row.marks[name]) for name, cell in row.cells.items()},
            "curves": row.curves,
            "random_weights": [
                {"layers": layers, "rank_correlation": number(rank), "ssim": number(similarity)}
                for layers, (rank, similarity) in zip(stages, row.stages)],
        } for row in table_rows],
        "verdict": asdict(decision),
    }


def number(value: float) -> Optional[float]:
    """A number for JSON, which has no NaN: None there."""
    return None if math.isnan(value) else value


def table(table_rows: Sequence[Row]) -> str:
    """The rows as text: means and half the width of their intervals, in hundredths.

    ``*`` marks the best of a column, ``=`` what shows no significant difference from it.
    """
    names = [name for name in COLUMNS if any(name in row.cells for row in table_rows)]
    lines = [["method", "layer"] + [f"{name} {SIGNS[COLUMNS[name].better]}" for name in names]]
    for row in table_rows:
        lines.append([row.method, row.layer or "(baseline)"]
                     + [_cell(row, name) for name in names])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(itertools.chain(
            (text.ljust(width) for text, width in zip(line[:2], widths)),
            (text.rjust(width) for text, width in zip(line[2:], widths[2:])))).rstrip()
        for line in lines)


def _cell(row: Row, name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return ". "
    spread = "" if math.isnan(cell.low) else f" ±{50 * (cell.high - cell.low):.1f}"
    mark = {"best": "*", "equal": "=", "": " "}[row.marks[name]]
    return f"{100 * cell.mean:.1f}{spread}{mark}"
