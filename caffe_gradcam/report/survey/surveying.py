"""From the maps of a batch to what a net looks at in general."""

from typing import TYPE_CHECKING, Callable, Dict, Iterable, List, Optional, Sequence

import numpy as np

from caffe_gradcam.report.entries import ImageEntry
from caffe_gradcam.report.survey import clusters, findings
from caffe_gradcam.report.survey.maps import SurveyedMap, at_border, collect
from caffe_gradcam.report.survey.results import ClassSurvey, Cluster, Survey, mean
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.report.survey.covering import Covering


def survey(entries: Iterable[ImageEntry], class_text: Callable[[int], str],
           covering: "Optional[Covering]" = None) -> Survey:
    """What a net looks at in general.

    Parameters
    ----------
    entries : iterable of ImageEntry
        Images with maps, and with pictures for the page.
    class_text : callable
        Class -> its name.
    covering : Covering, optional
        Asks the model again without regions; without it, regions stay unconfirmed.

    Raises
    ------
    InputError
        scikit-learn is missing, or there are no maps about the answers of the net.
    """
    clusters.libraries()
    by_class: Dict[int, List[SurveyedMap]] = {}
    for item in collect(entries):
        by_class.setdefault(item.entry.predicted or 0, []).append(item)
    if not by_class:
        raise InputError("survey needs maps of the classes that the net predicts, and there are "
                         "none with heat; run batch with --class top:1, which is its default")
    classes = [_class(index, class_text(index), maps) for index, maps in sorted(
        by_class.items(), key=lambda entry: (-len(entry[1]), entry[0]))]
    return Survey(classes, findings.find(classes, covering), _problems(classes))


def _problems(classes: Sequence[ClassSurvey]) -> List[str]:
    """What was not looked at."""
    problems = [f"'{of.name}': only {len(of.clustered)} of its {len(of.maps)} maps were clustered"
                for of in classes if 0 < len(of.clustered) < len(of.maps)]
    small = sum(not len(of.clustered) for of in classes)
    if small:
        problems.append(f"{small} of {len(classes)} classes have fewer than {clusters.FEWEST} "
                        "maps, too few to look for clusters and shortcuts")
    if len(classes) == 1:
        problems.append("the net gives all images the same answer, so that there is no other "
                        "class to compare with, and shortcuts cannot be found")
    return problems


def _class(index: int, name: str, maps: Sequence[SurveyedMap]) -> ClassSurvey:
    heat = np.stack([item.heat for item in maps])
    around = [item.object_heat for item in maps if item.object_heat is not None]
    values = {
        "heat": heat.mean(axis=0), "border": float(np.mean([at_border(of) for of in heat])),
        "object_heat": np.mean(around, axis=0) if around else None,
        "inside": mean(item.inside for item in maps)}
    if len(maps) < clusters.FEWEST:
        return ClassSurvey(index, name, maps, **values)
    step = max(1.0, len(maps) / clusters.MOST)
    clustered = [maps[int(number * step)] for number in range(min(len(maps), clusters.MOST))]
    spectrum = clusters.spectrum(np.stack([item.heat.ravel() for item in clustered]))
    cluster_of = clusters.labels(spectrum, spectrum.clusters)
    groups = [[item for item, cluster in zip(clustered, cluster_of) if cluster == number]
              for number in range(spectrum.clusters)]
    groups = sorted(filter(None, groups), key=len, reverse=True)
    return ClassSurvey(index, name, maps, clusters=list(map(_cluster, groups)), spectrum=spectrum,
                       clustered=clustered, cluster_of=cluster_of.tolist(), **values)


def _cluster(maps: Sequence[SurveyedMap]) -> Cluster:
    heat = np.mean([item.heat for item in maps], axis=0)
    likeness = [float((item.heat * heat).sum() / np.linalg.norm(item.heat)) for item in maps]
    order = np.argsort(likeness, kind="stable")[::-1]
    return Cluster([maps[index] for index in order], heat)
