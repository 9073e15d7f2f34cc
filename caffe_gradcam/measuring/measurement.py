"""What can be measured of a map, how it is measured, and the numbers that come of it."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from caffe_gradcam.measuring.metrics import curves

BASELINES = ("random", "centre")
USUAL = ("deletion", "insertion", "drop", "road", "pointing", "sanity", "stability")
METRICS = USUAL + ("objects", "removal", "complexity", "faithfulness", "completeness",
                   "smooth-mprt", "efficient-mprt", "logit", "adcc")


@dataclass(frozen=True)
class Column:
    """A number that is measured of each map.

    Attributes
    ----------
    metric : str
        The metrics that must be selected to get it, joined by "+".
    better : str
        "high", "low" or "zero".
    text : str
        What the number is, for use in a sentence about a method.
    """

    metric: str
    better: str
    text: str


COLUMNS = {
    "gap": Column("deletion+insertion", "high", "insertion minus deletion"),
    "deletion": Column("deletion", "low", "the area under the deletion curve"),
    "insertion": Column("insertion", "high", "the area under the insertion curve"),
    "drop": Column("drop", "low", "the average drop"),
    "increase": Column("drop", "high", "the increase in confidence"),
    "road": Column("road", "high", "ROAD, least minus most relevant first"),
    "pointing": Column("pointing", "high", "the pointing game"),
    "energy": Column("pointing", "high", "the energy inside the boxes"),
    "sanity": Column("sanity", "zero", "the rank correlation with the map of random weights"),
    "moved": Column("stability", "low", "how far noise moves the map"),
    "mass": Column("objects", "high", "the part of the heat on the objects of the class"),
    "rank": Column("objects", "high", "the part of the hottest pixels on those objects"),
    "cause": Column("removal", "high", "finding the object without which the value falls most"),
    "parts": Column("removal", "high", "the rank correlation with the effects of removing parts"),
    "sparse": Column("complexity", "high", "the Gini index of the heat"),
    "estimate": Column("faithfulness", "high", "the faithfulness estimate"),
    "faithful": Column("faithfulness", "high", "the faithfulness correlation"),
    "completeness": Column("completeness", "low", "the completeness gap"),
    "smooth-mprt": Column("smooth-mprt", "zero", "smooth MPRT"),
    "efficient-mprt": Column("efficient-mprt", "high", "efficient MPRT"),
    "logit": Column("logit", "zero", "the rank correlation with the map of another class"),
    "adcc": Column("adcc", "high", "average drop, coherency and complexity in one"),
}


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes
    ----------
    metrics : tuple of str
        Names in ``METRICS``; images without boxes are not measured by "pointing", those without
        objects not by "objects" and "removal". "adcc" also measures "drop".
    steps : int
        The number of steps of deletion and insertion.
    tolerance : float
        By how many pixels of the image the pointing game may miss a box.
    seed : int
        For everything random.
    """

    metrics: Tuple[str, ...] = USUAL
    steps: int = curves.STEPS
    tolerance: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """What was measured of one map.

    Attributes
    ----------
    path : str
        The image.
    class_index : int
    method : str
    layer : str or None
        None for a baseline, which does not depend on the net.
    values : dict
        Column -> float.
    curves : dict
        "deletion" and "insertion" -> values at ``steps + 1`` equal steps.
    stages : list of (float, float)
        Rank correlation and structural similarity with the map of random weights, by stage.
    rank : int
        Which box of the image it is, where the maps of boxes are measured.
    """

    path: str
    class_index: int
    method: str
    layer: Optional[str]
    values: Dict[str, float]
    curves: Dict[str, List[float]] = field(default_factory=dict)
    stages: List[Tuple[float, float]] = field(default_factory=list)
    rank: int = 0
