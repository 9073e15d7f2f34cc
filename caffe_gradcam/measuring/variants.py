"""The changed images that metrics need of a map, and the numbers that follow from their values."""

from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.measuring.measurement import Settings
from caffe_gradcam.measuring.metrics import complexity, curves, faithfulness, masking, road

# Metric -> the number of images that it needs the values of, and these.
Plan = Dict[str, Tuple[int, Iterable[np.ndarray]]]
CURVES = ("deletion", "insertion")


def planned(blob: np.ndarray, heat: np.ndarray, settings: Settings,
            blurred: Optional[np.ndarray] = None) -> Plan:
    """The changed images that the metrics of a map need.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    settings : Settings
    blurred : numpy.ndarray, optional
        C x h x w: what insertion begins with; by default ``curves.blurred`` makes it.
    """
    steps, seed = settings.steps, settings.seed
    plan: Dict[str, Tuple[int, Callable[[], Iterable[np.ndarray]]]] = {
        "deletion": (steps + 1, lambda: curves.deletion(blob, heat, steps=steps, seed=seed)),
        "insertion": (steps + 1, lambda: curves.insertion(blob, heat, blurred, steps, seed)),
        "drop": (2, lambda: [blob, masking.shown_through(blob, heat)]),
        "road": (2 * len(road.FRACTIONS), lambda: road.road(blob, heat, seed=seed)),
        "estimate": (faithfulness.STEPS + 1, lambda: faithfulness.without(
            blob, faithfulness.steps_of(heat, seed=seed))),
        "faithful": (faithfulness.RUNS + 1, lambda: faithfulness.without(
            blob, faithfulness.subsets_of(heat, seed=seed))),
    }
    metrics = set(settings.metrics)
    if "adcc" in metrics:
        metrics.add("drop")
    if "faithfulness" in metrics:
        metrics |= {"estimate", "faithful"}
    return {name: (count, variants()) for name, (count, variants) in plan.items()
            if name in metrics}


def split(plans: Sequence[Plan], measured: np.ndarray) -> List[Dict[str, np.ndarray]]:
    """The values of all images of some plans, one after the other, as those of each metric.

    Parameters
    ----------
    plans : sequence of Plan
    measured : numpy.ndarray
        N values, or N x any.
    """
    values: List[Dict[str, np.ndarray]] = []
    start = 0
    for plan in plans:
        of_plan: Dict[str, np.ndarray] = {}
        for name, (count, _) in plan.items():
            of_plan[name] = measured[start:start + count]
            start += count
        values.append(of_plan)
    return values


def numbers_of(heat: np.ndarray, values: Mapping[str, np.ndarray], settings: Settings
               ) -> Dict[str, float]:
    """The numbers that follow from a map and from the values of the images of :func:`planned`.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w.
    values : dict
        Metric -> values.
    settings : Settings

    Returns
    -------
    dict
        Column -> number.
    """
    numbers: Dict[str, float] = {
        name: curves.area(values[name]) for name in CURVES if name in values}
    if len(numbers) == len(CURVES):
        numbers["gap"] = numbers["insertion"] - numbers["deletion"]
    if "drop" in values:
        before, after = values["drop"][:1], values["drop"][1:]
        numbers["drop"] = float(masking.drops(before, after)[0])
        numbers["increase"] = float(masking.increases(before, after)[0])
    if "road" in values:
        numbers["road"] = road.gap(values["road"])
    if "estimate" in values:
        seed = settings.seed
        numbers["estimate"] = faithfulness.agreement(
            heat, faithfulness.steps_of(heat, seed=seed), values["estimate"])
        numbers["faithful"] = faithfulness.agreement(
            heat, faithfulness.subsets_of(heat, seed=seed), values["faithful"])
    if "complexity" in settings.metrics:
        numbers["sparse"] = complexity.sparseness(heat)
    return numbers


def curves_of(values: Mapping[str, np.ndarray]) -> Dict[str, List[float]]:
    """"deletion" and "insertion" -> their values, of those that were measured."""
    return {name: values[name].tolist() for name in CURVES if name in values}
