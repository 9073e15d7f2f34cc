"""What is odd about the maps of a net, in words.

A region is where a cluster has more heat than the other maps. It is odd if it attracts the maps of
one class much more often than those of all others, if these maps are nearly the same there, and if
the answers change without it. Where most of their heat lies inside the objects of the class, the
net looks at its object there, and nothing is odd.
"""

import dataclasses
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.report.survey import clusters
from caffe_gradcam.report.survey.maps import SurveyedMap
from caffe_gradcam.report.survey.regions import Region, smallest
from caffe_gradcam.report.survey.results import Asked, ClassSurvey, Finding, mean

if TYPE_CHECKING:
    from caffe_gradcam.report.survey.covering import Covering

# A finding has at least so many maps, each with half the heat in the region that the cluster's maps
# have in the mean, and at least this share of its own.
_FEWEST, _LEAST_HEAT = 5, 0.1
# The median cosine between what these maps have in the region and their mean there: objects that
# happen to lie in one region differ more.
_ALIKE = 0.93
# The share of the excess of heat by which a region is found, and that of what is covered.
_CORE, _WHOLE = 0.5, 0.8
# How unlikely a region has to be by chance, and how many times as often the class has to be there.
_CHANCE, _TIMES = 1e-3, 3
# The share of answers that change without the region.
CHANGED = 0.2
# Shares of heat at the border and outside objects that are named, and the maps this needs.
_BORDER, _OUTSIDE, _FEWEST_IN_CLASS = 0.5, 0.5, 10


def find(classes: Sequence[ClassSurvey], covering: "Optional[Covering]") -> List[Finding]:
    """What is odd, the regions first and of these the one with most maps first.

    Parameters
    ----------
    classes : sequence of ClassSurvey
    covering : Covering or None
        Asks the model again; None leaves regions unconfirmed.

    Raises
    ------
    EngineError
        The engine failed.
    """
    regions = [finding for of in classes
               for finding in _regions(of, _all_heat(classes), covering)]
    regions.sort(key=lambda finding: -len(finding.maps))
    return regions + [finding for of in classes for finding in _shares(of)]


def chance(inside: int, total: int, others_inside: int, others: int) -> float:
    """How likely so many maps of a class, or more, are in a region that attracts all alike.

    Fisher's exact test, one-sided: Fisher, "The design of experiments", 1935.

    Parameters
    ----------
    inside, total : int
        Maps of the class in the region, and all of the class.
    others_inside, others : int
        The same of all other classes.
    """
    from scipy.stats import hypergeom  # scikit-learn needs it too.

    return float(hypergeom.sf(inside - 1, total + others, inside + others_inside, total))


def _all_heat(classes: Sequence[ClassSurvey]) -> Dict[int, np.ndarray]:
    return {of.index: np.stack([item.heat for item in of.maps]) for of in classes}


def _regions(of: ClassSurvey, heat: Dict[int, np.ndarray], covering: "Optional[Covering]"
             ) -> Iterator[Finding]:
    """The odd regions of a class, of those that overlap the least likely one."""
    taken: List[np.ndarray] = []
    for region, likelihood, members in _candidates(of, heat):
        if any((members & others).sum() > 0.5 * members.sum() for others in taken):
            continue
        taken.append(members)
        inside = region.share(heat[of.index])
        order = [int(index) for index in np.argsort(-inside, kind="stable") if members[index]]
        maps = [of.maps[index] for index in order]
        asked = None if covering is None else covering.ask(
            [item.entry.number for item in maps], region)
        if asked is None or _is_confirmed(asked):
            finding = Finding("region", of.index, "", maps, region, likelihood, asked)
            yield dataclasses.replace(finding, sentence=_sentence(finding, of))


def _candidates(of: ClassSurvey, heat: Dict[int, np.ndarray]
                ) -> List[Tuple[Region, float, np.ndarray]]:
    """Regions that attract maps of this class alone, the least likely first: the region, its
    chance, and which maps are in it."""
    if of.spectrum is None:
        return []
    own = heat[of.index]
    others = np.concatenate([maps for index, maps in heat.items() if index != of.index]
                            or [np.zeros((0,) + own.shape[1:])])
    everywhere = np.concatenate([own, others]).mean(axis=0)
    clustered = np.stack([item.heat for item in of.clustered])
    candidates: Dict[Region, Tuple[Region, float, np.ndarray]] = {}
    for count in (count for count in clusters.COUNTS if 2 * count <= len(clustered)):
        cluster_of = clusters.labels(of.spectrum, count)
        for cluster in np.unique(cluster_of):
            maps = clustered[cluster_of == cluster]
            region = smallest(np.maximum(maps.mean(axis=0) - everywhere, 0), _CORE)
            if region is None or region in candidates:
                continue
            least = max(_LEAST_HEAT, region.share(maps).mean() / 2)
            members = region.share(own) >= least
            likelihood = _likelihood(members, region.share(others) >= least)
            if likelihood is not None and _are_alike(own[members], region) \
                    and not _is_object(of.maps, members):
                excess = np.maximum(own[members].mean(axis=0) - everywhere, 0)
                candidates[region] = (smallest(excess, _WHOLE) or region.wider(), likelihood,
                                      members)
    return sorted(candidates.values(), key=lambda candidate: candidate[1])


def _likelihood(members: np.ndarray, others: np.ndarray) -> Optional[float]:
    """The chance of a region; None where it is not odd."""
    if members.sum() < _FEWEST or not len(others) or (
            members.mean() < _TIMES * others.mean()):
        return None
    likelihood = chance(int(members.sum()), len(members), int(others.sum()), len(others))
    return likelihood if likelihood < _CHANCE else None


def _are_alike(maps: np.ndarray, region: Region) -> bool:
    """Whether maps (n x SIDE x SIDE) are nearly the same in a region and its surroundings."""
    parts = region.wider().cut(maps).reshape(len(maps), -1)
    unit = parts / np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-12)
    middle = unit.mean(axis=0)
    return float(np.median(unit @ middle)) >= _ALIKE * float(np.linalg.norm(middle))


def _is_object(maps: Sequence[SurveyedMap], members: np.ndarray) -> bool:
    """Whether most of the heat of these maps lies in the objects of their class."""
    inside = mean(item.inside for item, is_member in zip(maps, members) if is_member)
    return inside is not None and inside >= 0.5


def _is_confirmed(asked: Asked) -> bool:
    return asked.images > 0 and asked.changed >= CHANGED * asked.images \
        and asked.changed > 2 * asked.elsewhere


def _sentence(finding: Finding, of: ClassSurvey) -> str:
    assert finding.region is not None
    text = (f"{len(finding.maps)} of {len(of.maps)} '{of.name}' maps sit "
            f"{'in' if finding.region.words.endswith(('corner', 'middle')) else 'at'} the "
            f"{finding.region.words}")
    asked = finding.asked
    if asked is None:
        return text + "; the model was not asked again without it"
    whom = "of them" if asked.images == len(finding.maps) else f"of {asked.images} that were asked"
    changes = "changes its answer" if asked.changed == 1 else "change their answer"
    return f"{text}, and without it {asked.changed} {whom} {changes}"


def _shares(of: ClassSurvey) -> Iterator[Finding]:
    """Classes whose heat lies mostly at the border, or outside the objects."""
    if len(of.maps) < _FEWEST_IN_CLASS:
        return
    if of.border > _BORDER:
        yield Finding("border", of.index, f"{100 * of.border:.0f} % of the heat of '{of.name}' "
                      "maps lies at the border of the image", of.maps)
    if of.inside is not None and 1 - of.inside > _OUTSIDE:
        yield Finding("outside", of.index, f"{100 * (1 - of.inside):.0f} % of the heat of "
                      f"'{of.name}' maps lies outside the objects of their class", sorted(
                          (item for item in of.maps if item.inside is not None),
                          key=lambda item: item.inside or 0.0))
