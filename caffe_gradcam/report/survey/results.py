"""What a survey comes to, as plain values."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from caffe_gradcam.report.survey.clusters import Spectrum
from caffe_gradcam.report.survey.maps import SurveyedMap
from caffe_gradcam.report.survey.regions import Region

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Cluster:
    """Maps that are alike.

    Attributes
    ----------
    maps : list of SurveyedMap
        The most typical ones first: those most similar to the mean.
    heat : numpy.ndarray
        SIDE x SIDE float32: their mean, with the sum 1.
    """

    maps: Sequence[SurveyedMap]
    heat: np.ndarray

    @property
    def certainty(self) -> Optional[float]:
        """The mean probability of the answer."""
        return mean(item.shown.probability for item in self.maps)


@dataclass(frozen=True, eq=False)
class ClassSurvey:
    """What is found about the maps of one answer of the net.

    Attributes
    ----------
    index : int
    name : str
    maps : list of SurveyedMap
    heat : numpy.ndarray
        The mean map in photograph coordinates, SIDE x SIDE float32.
    object_heat : numpy.ndarray or None
        The mean map around the boxes of the class; see ``maps.around``.
    border : float
        The mean share of the heat in the outermost cells.
    inside : float or None
        The mean share of the heat inside the objects of the class.
    clusters : list of Cluster
        The largest first; none where there are too few maps.
    spectrum : Spectrum or None
    clustered : list of SurveyedMap
        The maps of the spectrum's rows.
    cluster_of : list of int
        The number of the cluster of each of them.
    """

    index: int
    name: str
    maps: Sequence[SurveyedMap]
    heat: np.ndarray
    object_heat: Optional[np.ndarray]
    border: float
    inside: Optional[float]
    clusters: Sequence[Cluster] = ()
    spectrum: Optional[Spectrum] = None
    clustered: Sequence[SurveyedMap] = ()
    cluster_of: Sequence[int] = ()

    @property
    def certainty(self) -> Optional[float]:
        """The mean probability of the answer."""
        return mean(item.shown.probability for item in self.maps)


@dataclass(frozen=True)
class Asked:
    """What became of answers without a region.

    Attributes
    ----------
    images : int
        Images that were asked about again.
    changed : int
        Those with another answer without the region.
    elsewhere : int
        Those with another answer without a region of the same size in the corner farthest away.
    """

    images: int
    changed: int
    elsewhere: int


@dataclass(frozen=True, eq=False)
class Finding:
    """Something odd.

    Attributes
    ----------
    kind : str
        "region", "border" or "outside".
    class_index : int
    sentence : str
    maps : list of SurveyedMap
        Those that it is about, the clearest first.
    region : Region or None
    chance : float or None
        How likely so many maps of the class are in the region if it attracts all classes alike.
    asked : Asked or None
        None where the model was not asked again.
    """

    kind: str
    class_index: int
    sentence: str
    maps: Sequence[SurveyedMap]
    region: Optional[Region] = None
    chance: Optional[float] = None
    asked: Optional[Asked] = None


@dataclass(frozen=True, eq=False)
class Survey:
    """What a net looks at in general.

    Attributes
    ----------
    classes : list of ClassSurvey
        The answers with the most maps first.
    findings : list of Finding
    problems : list of str
        What could not be read or done, one sentence each.
    """

    classes: Sequence[ClassSurvey]
    findings: Sequence[Finding]
    problems: Sequence[str] = ()

    def to_dict(self) -> Dict[str, Any]:
        """The survey as JSON values."""
        return {
            "format": FORMAT, "maps": sum(len(of.maps) for of in self.classes),
            "findings": [_finding(finding) for finding in self.findings],
            "classes": [_class(of) for of in self.classes], "problems": list(self.problems)}


def mean(values: Any) -> Optional[float]:
    """The mean of the values that are not None; None where there are none."""
    present = [float(value) for value in values if value is not None]
    return sum(present) / len(present) if present else None


def _finding(finding: Finding) -> Dict[str, Any]:
    asked = finding.asked
    return {
        "kind": finding.kind, "class": finding.class_index, "sentence": finding.sentence,
        "maps": len(finding.maps), "images": _paths(finding.maps),
        "region": None if finding.region is None else list(finding.region.rectangle),
        "chance": finding.chance,
        "asked": None if asked is None else {
            "images": asked.images, "changed": asked.changed, "elsewhere": asked.elsewhere}}


def _class(of: ClassSurvey) -> Dict[str, Any]:
    return {
        "class": of.index, "name": of.name, "maps": len(of.maps), "certainty": of.certainty,
        "border": of.border, "inside": of.inside, "mean_map": _numbers(of.heat),
        "mean_object_map": None if of.object_heat is None else _numbers(of.object_heat),
        "clusters": [{"maps": len(cluster.maps), "certainty": cluster.certainty,
                      "mean_map": _numbers(cluster.heat), "images": _paths(cluster.maps)}
                     for cluster in of.clusters]}


def _numbers(heat: np.ndarray) -> List[List[float]]:
    rows: List[List[float]] = np.round(heat.astype(np.float64), 6).tolist()
    return rows


def _paths(maps: Sequence[SurveyedMap]) -> List[str]:
    return [item.entry.path for item in maps]
