"""From measurements to a table, and to the method and layer that can be trusted."""

import itertools
import math
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam.measuring.bench import COLUMNS
from caffe_gradcam.measuring.metrics.bootstrap import LEVEL, Interval, interval

# The first of these that was measured decides. What follows the net goes before what follows boxes:
# a net may look at something else than people.
DECIDING = ("gap", "road", "insertion", "deletion", "pointing", "energy", "drop")
# A map that is this much like that of random weights shows the picture, not the net.
ALIKE = 0.5
# Behind the name of a column: what is good.
SIGNS = {"high": "+", "low": "-", "zero": "0"}


class Row(NamedTuple):
    """A method at a layer.

    Attributes
    ----------
    method, target : str
        "" as target: a baseline.
    cells : dict
        Column -> Interval, for columns with values.
    marks : dict
        Column -> "best"; or "equal": no significant difference from the best; or "".
    curves : dict
        "deletion" and "insertion" -> mean values at equal steps.
    stages : list of (float, float)
        Mean rank correlation and structural similarity by stage of random weights.
    """

    method: str
    target: str
    cells: Dict[str, Interval]
    marks: Dict[str, str]
    curves: Dict[str, List[float]]
    stages: List

    @property
    def name(self):
        """For sentences: ``grad-cam at conv5``."""
        if self.target:
            return f"{self.method} at {self.target}"
        return f"the {self.method} baseline"


class Verdict(NamedTuple):
    """Which method and layer can be trusted.

    Attributes
    ----------
    text : str
        One sentence, and one more for those left out.
    method, target : str or None
        None where none is better than the baselines.
    column : str or None
        What decided.
    """

    text: str
    method: Optional[str]
    target: Optional[str]
    column: Optional[str]


def rows(measurements, seed=0):
    """Sum up measurements by method and target, in the order in which these come; baselines last.

    Parameters
    ----------
    measurements : list of Measurement
    seed : int
        Of the bootstrap.

    Returns
    -------
    list of Row
    """
    groups = {}
    for one in measurements:
        groups.setdefault((one.method, one.target), []).append(one)
    groups = sorted(groups.items(), key=lambda item: not item[0][1])
    made = [Row(method, target, _cells(own, seed), {}, _mean_curves(own), _mean_stages(own))
            for (method, target), own in groups]
    for name in COLUMNS:
        measured = [index for index, row in enumerate(made) if name in row.cells]
        if not measured:
            continue
        best = min(measured, key=lambda index: _rank(made[index], name))
        for index in measured:
            same = index == best or is_equal(groups[index][1], groups[best][1], name, seed)
            made[index].marks[name] = "best" if index == best else "equal" if same else ""
    return made


def is_equal(first, second, column, seed=0):
    """Whether the measurements of two methods show no significant difference.

    They are compared map by map: the bootstrap interval of the mean difference holds 0. Intervals
    of two means may overlap although one method is better on nearly every photograph.

    Parameters
    ----------
    first, second : list of Measurement
    column : str
    seed : int

    Returns
    -------
    bool
        True also where there are too few photographs to tell.
    """
    other = {(one.path, one.class_index): _badness(one.values.get(column), column)
             for one in second}
    differences = [_badness(one.values.get(column), column)
                   - other.get((one.path, one.class_index), np.nan) for one in first]
    found = interval(differences, [one.path for one in first], seed)
    return not (found.low > 0 or found.high < 0)


def verdict(made, measurements, seed=0):
    """Say which method and layer can be trusted, and why.

    Parameters
    ----------
    made : list of Row
        Of :func:`rows`.
    measurements : list of Measurement
    seed : int

    Returns
    -------
    Verdict
    """
    column = next((name for name in DECIDING if any(name in row.cells for row in made)), None)
    if column is None:
        return Verdict("Nothing was measured by which methods could be ranked; ask for deletion "
                       "and insertion.", None, None, None)
    rivals = [row for row in made if column in row.cells]
    real = [row for row in rivals if row.target]
    blind = [row for row in real if "sanity" in row.cells and abs(row.cells["sanity"].mean) > ALIKE]
    able = sorted((row for row in real if row not in blind), key=lambda row: _rank(row, column))
    left_out = _left_out(blind)
    if not able:
        return Verdict("No method can be trusted here." + left_out, None, None, column)
    best = able[0]
    if math.isnan(best.cells[column].low):
        return Verdict(f"By {COLUMNS[column].text}, {best.name} comes first ({best.cells[column].mean:.3f}), but one photograph says nothing about "
                       "others; give more." + left_out,
                       None, None, column)
    own = _of(best, measurements)
    for row in rivals:
        if not row.target and (_rank(row, column) <= _rank(best, column) or is_equal(
                own, _of(row, measurements), column, seed)):
            return Verdict(
                f"No method can be told from {row.name} by {COLUMNS[column].text}: the best, {best.name}, has {_shown(best, column)}, against {_shown(row, column)}. Give more "
                "photographs or other layers." + left_out, None, None, column)
    equal = [row for row in able[1:] if is_equal(_of(row, measurements), own, column, seed)]
    return Verdict("Trust {}: it is {} by {}, {}{}.".format(
        best.name, "the best" if len(able) > 1 else "better than the baselines",
        COLUMNS[column].text, _shown(best, column), _beside(able, equal, column)) + left_out,
        best.method, best.target, column)


def _beside(able, equal, column):
    """How the best compares with the next."""
    if equal:
        names = [row.name for row in equal[:3]]
        more = len(equal) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        return "; no significant difference from " + listed
    if len(able) > 1:
        return f", significantly better than the next, {able[1].name} ({able[1].cells[column].mean:.3f})"
    return ""


def _left_out(blind):
    if not blind:
        return ""
    listed = ", ".join("{} ({:.2f})".format(row.name, row.cells["sanity"].mean) for row in blind)
    return (" Left out, since their maps stay alike when the weights are random (rank correlation "
            f"above {ALIKE}): {listed}.")


def _shown(row, column):
    cell = row.cells[column]
    return f"{cell.mean:.3f} ({100 * LEVEL:.0f} % interval {cell.low:.3f} to {cell.high:.3f})"


def _of(row, measurements):
    return [one for one in measurements if (one.method, one.target) == (row.method, row.target)]


def _cells(measurements, seed):
    cells = {}
    for name in COLUMNS:
        values = [one.values.get(name, np.nan) for one in measurements]
        found = interval(values, [one.path for one in measurements], seed)
        if found.count:
            cells[name] = found
    return cells


def _badness(value, column):
    """The smaller, the better; NaN for a value that is not there."""
    if value is None:
        return np.nan
    return {"high": -value, "low": value, "zero": abs(value)}[COLUMNS[column].better]


def _rank(row, column):
    """What rows are sorted by, the best first; those without a value come last."""
    cell = row.cells.get(column)
    return math.inf if cell is None else _badness(cell.mean, column)


def _mean_curves(measurements):
    names = measurements[0].curves
    return {name: np.mean([one.curves[name] for one in measurements], axis=0).tolist()
            for name in names}


def _mean_stages(measurements):
    stages = [one.stages for one in measurements if one.stages]
    return np.mean(stages, axis=0).tolist() if stages else []


def report(made, decision, settings, stages):
    """The comparison as an object for JSON, in which NaN is null.

    Parameters
    ----------
    made : list of Row
    decision : Verdict
    settings : Settings
    stages : list of list of str
        Layers whose weights were made random, stage by stage.

    Returns
    -------
    dict
    """
    names = [name for name in COLUMNS if any(name in row.cells for row in made)]
    return {
        "settings": dict(settings._asdict(), metrics=list(settings.metrics)),
        "confidence": LEVEL,
        "columns": {name: {"better": COLUMNS[name].better, "text": COLUMNS[name].text}
                    for name in names},
        "rows": [{
            "method": row.method,
            "layer": row.target or None,
            "cells": {name: dict({key: number(value) for key, value in cell._asdict().items()},
                                 mark=row.marks[name]) for name, cell in row.cells.items()},
            "curves": row.curves,
            "random_weights": [
                {"layers": layers, "rank_correlation": number(rank), "ssim": number(alike)}
                for layers, (rank, alike) in zip(stages, row.stages)],
        } for row in made],
        "verdict": {"text": decision.text, "method": decision.method, "layer": decision.target,
                    "column": decision.column},
    }


def number(value):
    """A number for JSON, which has no NaN: None there."""
    return None if math.isnan(value) else value


def table(made):
    """The rows as text: means and half the width of their intervals, in hundredths.

    Parameters
    ----------
    made : list of Row

    Returns
    -------
    str
        ``*`` marks the best of a column, ``=`` what shows no significant difference from it.
    """
    names = [name for name in COLUMNS if any(name in row.cells for row in made)]
    lines = [["method", "layer"] + [
        f"{name} {SIGNS[COLUMNS[name].better]}" for name in names]]
    for row in made:
        lines.append([row.method, row.target or "(baseline)"]
                     + [_cell(row, name) for name in names])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(itertools.chain(
            (text.ljust(width) for text, width in zip(line[:2], widths)),
            (text.rjust(width) for text, width in zip(line[2:], widths[2:])))).rstrip()
        for line in lines)


def _cell(row, name):
    cell = row.cells.get(name)
    if cell is None:
        return ". "
    spread = "" if math.isnan(cell.low) else f" ±{50 * (cell.high - cell.low):.1f}"
    mark = {"best": "*", "equal": "=", "": " "}[row.marks[name]]
    return f"{100 * cell.mean:.1f}{spread}{mark}"
