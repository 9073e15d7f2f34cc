"""What a graph in another precision changes, over pictures."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.export.proof import compare

Arrays = Dict[str, np.ndarray]


@dataclass(frozen=True)
class Spread:
    """The median and the worst of some numbers."""

    median: float
    worst: float


@dataclass(frozen=True, eq=False)
class Change:
    """What int8 changed, against the same graph in fp32.

    Attributes
    ----------
    library : str
        In which the graph ran.
    calibrated_on, compared_on : list of dict
        What the certificate calls the pictures.
    changed : int or None
        For how many of the pictures the best class is another one; None where there are no
        classes.
    errors : dict
        Output -> Spread of its relative L2 distances.
    differences : dict
        Output -> the largest difference of a number.
    correlations : dict
        Map -> Spread of the rank correlations (Spearman).
    """

    library: str
    calibrated_on: Sequence[Mapping[str, Any]]
    compared_on: Sequence[Mapping[str, Any]]
    changed: Optional[int]
    errors: Mapping[str, Spread]
    differences: Mapping[str, float]
    correlations: Mapping[str, Spread]

    def to_dict(self) -> Dict[str, Any]:
        """The change as JSON values."""
        outputs: Dict[str, Dict[str, Any]] = {
            name: {"relative_error": dataclasses.asdict(spread)}
            for name, spread in self.errors.items()}
        for name, difference in self.differences.items():
            outputs[name]["largest_difference"] = difference
        for name, spread in self.correlations.items():
            outputs[name]["rank_correlation"] = dataclasses.asdict(spread)
        return {"library": self.library, "pictures": len(self.compared_on),
                "best_class_changed": self.changed, "outputs": outputs,
                "compared_on": list(map(dict, self.compared_on)),
                "calibrated_on": list(map(dict, self.calibrated_on))}

    def sentences(self) -> List[str]:
        """The change in words."""
        count = len(self.compared_on)
        lines = [] if self.changed is None else [
            f"the best class is another one for {self.changed} of {count} pictures"]
        lines += [f"{name} differs by {spread.median:.2g} (relative L2 distance, median; at worst "
                  f"{spread.worst:.2g})" for name, spread in self.errors.items()]
        return lines + [f"the rank correlation of {name} is {spread.median:.4f} (median; at worst "
                        f"{spread.worst:.4f})" for name, spread in self.correlations.items()]


class Comparing:
    """Collects what changes from picture to picture.

    Maps are compared where the best class is the same, and ranks where neither map is constant.

    Parameters
    ----------
    explains : bool
        Whether the graphs have the outputs "class" and "cam".
    """

    def __init__(self, explains: bool) -> None:
        self._explains = explains
        self._changed: List[bool] = []
        self._errors: Dict[str, List[float]] = {}
        self._differences: Dict[str, float] = {}
        self._correlations: Dict[str, List[float]] = {}

    def add(self, expected: Arrays, actual: Arrays) -> None:
        """Compare the outputs for a picture."""
        best = self._best(expected)
        is_same = best is None or bool(np.array_equal(best, self._best(actual)))
        if best is not None:
            self._changed.append(not is_same)
        for name, value in expected.items():
            if self._explains and (name == "class" or not is_same and _is_map(name)):
                continue
            self._errors.setdefault(name, []).append(compare(name, actual[name], value).error)
            if actual[name].shape == value.shape and value.size:
                difference = np.abs(actual[name].astype(np.float64) - value).max()
                self._differences[name] = max(self._differences.get(name, 0.0), float(difference))
            if self._explains and name.startswith("cam"):
                self._add_correlations(name, value, actual[name])

    def change(self, library: str, calibrated_on: Sequence[Mapping[str, Any]],
               compared_on: Sequence[Mapping[str, Any]]) -> Change:
        """What was found over all pictures."""
        return Change(
            library, calibrated_on, compared_on, sum(self._changed) if self._changed else None,
            {name: Spread(float(np.median(errors)), max(errors))
             for name, errors in self._errors.items()}, dict(self._differences),
            {name: Spread(float(np.median(values)), min(values))
             for name, values in self._correlations.items()})

    def _best(self, outputs: Arrays) -> Optional[np.ndarray]:
        """The best classes: of an explaining graph, or of the one output that holds classes."""
        if self._explains:
            return outputs["class"]
        scores = [value.reshape(len(value), -1) for value in outputs.values()
                  if value.ndim >= 2 and value.shape[1] > 1
                  and int(np.prod(value.shape[2:])) == 1]
        return np.argmax(scores[0], axis=1) if len(scores) == 1 else None

    def _add_correlations(self, name: str, expected: np.ndarray, actual: np.ndarray) -> None:
        spearman = libraries.load("scipy.stats").spearmanr
        shape = (-1, int(np.prod(expected.shape[-2:])))
        for first, second in zip(expected.reshape(shape), actual.reshape(shape)):
            if np.ptp(first) and np.ptp(second):
                self._correlations.setdefault(name, []).append(float(spearman(first, second)[0]))


def _is_map(name: str) -> bool:
    return name.startswith(("cam", "heatmap"))
