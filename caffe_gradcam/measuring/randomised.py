"""Metrics that compare a map with that of the same net with random weights."""

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Tuple

import numpy as np

from caffe_gradcam.engines.subnet import separate, share
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.measuring import remade
from caffe_gradcam.measuring.maps import Subject
from caffe_gradcam.measuring.measurement import Settings
from caffe_gradcam.measuring.metrics import complexity, sanity, similarity
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net

METRICS = ("sanity", "smooth-mprt", "efficient-mprt")
# Stages in which the weights are randomised; the layers of a deep net are grouped.
STAGES = 8

# For each image, the heats of its maps, without those of the baselines.
Heats = List[List[np.ndarray]]


@dataclass(frozen=True, eq=False)
class RandomisedNumbers:
    """How a map compares with those of random weights.

    Attributes
    ----------
    values : dict
        Column -> float.
    stages : list of (float, float)
        Rank correlation and structural similarity with the map of each stage, for "sanity".
    """

    values: Dict[str, float] = field(default_factory=dict)
    stages: List[Tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Randomisation:
    """What is needed to measure maps against those of random weights.

    Attributes
    ----------
    explainer : Explainer
    metrics : tuple of str
        Those of ``METRICS`` that are measured.
    seed : int
    weights : dict
        Layer name -> arrays, of the layers that the scores depend on.
    stages : list of list of str
        The layers whose weights are randomised, stage by stage.
    """

    explainer: Explainer
    metrics: Tuple[str, ...]
    seed: int
    weights: sanity.Weights
    stages: List[List[str]]

    @classmethod
    def of(cls, explainer: Explainer, settings: Settings) -> "Randomisation":
        """The randomisation that settings ask for; weights are read only if there is any."""
        metrics = tuple(name for name in METRICS if name in settings.metrics)
        weights = loaded_weights(explainer.model) if metrics else {}
        return cls(explainer, metrics, settings.seed, weights,
                   sanity.stages(list(weights), STAGES))

    def measure(self, subjects: List[Subject]) -> List[List[RandomisedNumbers]]:
        """For each map of each image, how it compares with those of random weights."""
        values: List[List[Dict[str, float]]] = [
            [{} for _ in _heats_of_net(subject)] for subject in subjects]
        stages: List[List[List[Tuple[float, float]]]] = [
            [[] for _ in _heats_of_net(subject)] for subject in subjects]
        if self.metrics != ("smooth-mprt",) and self.stages:
            self._compare(subjects, values, stages)
        if "smooth-mprt" in self.metrics and self.stages:
            self._compare_smooth(subjects, values)
        return [_with_baselines(subject, [
            RandomisedNumbers(*numbers) for numbers in zip(of_values, of_stages)])
            for subject, of_values, of_stages in zip(subjects, values, stages)]

    def _compare(self, subjects: List[Subject], values: List[List[Dict[str, float]]],
                 stages: List[List[List[Tuple[float, float]]]]) -> None:
        """Sanity, stage by stage, and the rise of complexity at the last stage."""
        def look() -> Heats:
            return remade.heats(self.explainer, [subject.prepared for subject in subjects],
                                [subject.questions for subject in subjects])

        by_stage = self._cascade(look, self.stages if "sanity" in self.metrics else self._at_once)
        for image, subject in enumerate(subjects):
            for index, heat in enumerate(_heats_of_net(subject)):
                others = [of_stage[image][index] for of_stage in by_stage]
                if "sanity" in self.metrics:
                    stages[image][index] += [(similarity.rank_correlation(heat, other),
                                              similarity.ssim(heat, other)) for other in others]
                    values[image][index]["sanity"] = stages[image][index][-1][0]
                if "efficient-mprt" in self.metrics:
                    values[image][index]["efficient-mprt"] = sanity.relative_rise(
                        complexity.discrete_entropy(heat),
                        complexity.discrete_entropy(others[-1]))

    def _compare_smooth(self, subjects: List[Subject], values: List[List[Dict[str, float]]]
                        ) -> None:
        """The rank correlation of mean maps of noisy copies, with all weights random."""
        def look() -> Heats:
            return [remade.smooth_heats(self.explainer, subject, self.seed)
                    for subject in subjects]

        before = look()
        after, = self._cascade(look, self._at_once)
        for image, pairs in enumerate(zip(before, after)):
            for index, (heat, other) in enumerate(zip(*pairs)):
                values[image][index]["smooth-mprt"] = similarity.rank_correlation(heat, other)

    @property
    def _at_once(self) -> List[List[str]]:
        """All stages in one: the weights are then those of the last stage."""
        return [[name for layers in self.stages for name in layers]]

    def _cascade(self, look: Callable[[], Heats], stages: List[List[str]]) -> List[Heats]:
        return sanity.cascade(self.explainer, self.weights, stages, look, self.seed)


def loaded_weights(model: LoadedModel) -> sanity.Weights:
    """The weights of the layers whose numbers go into the scores, named as in an engine, in order.

    Regions of interest that a Parameter layer holds are none: at random, they are no regions.
    """
    separated = separate(model.graph.net.document, model.weights)
    graph = Graph(Net.parse(separated.document).at("TEST"))
    needed = graph.ancestors([model.score], values_only=True)
    weights = share(graph.net, separated.weights)
    return {layer.name: weights[layer.name] for index, layer in enumerate(graph.net.layers)
            if index in needed and weights.get(layer.name)}


def _heats_of_net(subject: Subject) -> List[np.ndarray]:
    """The heats that depend on the net."""
    return [measured_map.heat for measured_map in subject.maps if measured_map.explanation.layer]


def _with_baselines(subject: Subject, numbers: List[RandomisedNumbers]
                    ) -> List[RandomisedNumbers]:
    """Numbers of all maps: none of the baselines, which do not depend on the net."""
    of_net = iter(numbers)
    return [next(of_net) if measured_map.explanation.layer else RandomisedNumbers()
            for measured_map in subject.maps]
