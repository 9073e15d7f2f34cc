"""What a graph in another precision changes, over pictures."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

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
    changed : dict
        Output with a score for each class -> for how many of the pictures the best class is
        another one; of an explaining graph, "class" alone.
    resized : dict
        Output -> for how many of the pictures it has another shape, as lists of detections may.
    errors : dict
        Output -> Spread of its relative L2 distances, over the pictures where its shape is the
        same.
    differences : dict
        Output -> the largest difference of a number.
    correlations : dict
        Map -> Spread of the rank correlations (Spearman).
    """

    library: str
    calibrated_on: Sequence[Mapping[str, Any]]
    compared_on: Sequence[Mapping[str, Any]]
    changed: Mapping[str, int]
    resized: Mapping[str, int]
    errors: Mapping[str, Spread]
    differences: Mapping[str, float]
    correlations: Mapping[str, Spread]

    def to_dict(self) -> Dict[str, Any]:
        """The change as JSON values."""
        outputs: Dict[str, Dict[str, Any]] = {
            name: {} for name in [*self.changed, *self.resized, *self.errors]}
        for key, numbers in (("best_class_changed", self.changed), ("resized", self.resized),
                             ("largest_difference", self.differences)):
            for name, number in numbers.items():
                outputs[name][key] = number
        for key, spreads in (("relative_error", self.errors),
                             ("rank_correlation", self.correlations)):
            for name, spread in spreads.items():
                outputs[name][key] = dataclasses.asdict(spread)
        return {"library": self.library, "pictures": len(self.compared_on), "outputs": outputs,
                "compared_on": list(map(dict, self.compared_on)),
                "calibrated_on": list(map(dict, self.calibrated_on))}

    def sentences(self) -> List[str]:
        """The change in words."""
        count = len(self.compared_on)
        lines = [f"the best class{'' if name == 'class' else ' of ' + name} is another one for "
                 f"{changed} of {count} images" for name, changed in self.changed.items()]
        lines += [f"{name} has another shape for {resized} of {count} images"
                  for name, resized in self.resized.items()]
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
        self._changed: Dict[str, int] = {}
        self._resized: Dict[str, int] = {}
        self._errors: Dict[str, List[float]] = {}
        self._differences: Dict[str, float] = {}
        self._correlations: Dict[str, List[float]] = {}

    def add(self, expected: Arrays, actual: Arrays) -> None:
        """Compare the outputs for a picture."""
        is_same = True
        for name, classes in self._best(expected).items():
            is_same = bool(np.array_equal(classes, self._best(actual)[name]))
            self._changed[name] = self._changed.get(name, 0) + (not is_same)
        for name, value in expected.items():
            if self._explains and (name == "class" or not is_same and _is_map(name)):
                continue
            if actual[name].shape != value.shape:
                self._resized[name] = self._resized.get(name, 0) + 1
            elif value.size:
                self._add_output(name, value, actual[name])

    def change(self, library: str, calibrated_on: Sequence[Mapping[str, Any]],
               compared_on: Sequence[Mapping[str, Any]]) -> Change:
        """What was found over all pictures."""
        return Change(
            library, calibrated_on, compared_on, dict(self._changed), dict(self._resized),
            {name: Spread(float(np.median(errors)), max(errors))
             for name, errors in self._errors.items()}, dict(self._differences),
            {name: Spread(float(np.median(values)), min(values))
             for name, values in self._correlations.items()})

    def _best(self, outputs: Arrays) -> Arrays:
        """The best classes: of an explaining graph, or of each output of one score per class."""
        if self._explains:
            return {"class": outputs["class"]}
        return {name: np.argmax(value.reshape(len(value), -1), axis=1)
                for name, value in outputs.items()
                if value.ndim >= 2 and value.shape[1] > 1 and int(np.prod(value.shape[2:])) == 1}

    def _add_output(self, name: str, expected: np.ndarray, actual: np.ndarray) -> None:
        self._errors.setdefault(name, []).append(compare(name, actual, expected).error)
        difference = np.abs(actual.astype(np.float64) - expected).max()
        self._differences[name] = max(self._differences.get(name, 0.0), float(difference))
        if self._explains and name.startswith("cam"):
            self._add_correlations(name, expected, actual)

    def _add_correlations(self, name: str, expected: np.ndarray, actual: np.ndarray) -> None:
        spearman = libraries.load("scipy.stats").spearmanr
        shape = (-1, int(np.prod(expected.shape[-2:])))
        for first, second in zip(expected.reshape(shape), actual.reshape(shape)):
            if np.ptp(first) and np.ptp(second):
                self._correlations.setdefault(name, []).append(float(spearman(first, second)[0]))


def _is_map(name: str) -> bool:
    return name.startswith(("cam", "heatmap"))
