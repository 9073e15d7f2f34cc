"""How far each method can be trusted at each layer: the metrics, over many photographs."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from caffe_gradcam.asking.questions import Class, Top
from caffe_gradcam.asking.seeds import Likelihood, Linear
from caffe_gradcam.explaining.evidence import Pass
from caffe_gradcam.explaining.explainer import BEST, attempt
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.methods import heatmap
from caffe_gradcam.measuring.metrics import (
    baselines,
    curves,
    masking,
    pointing,
    road,
    sanity,
    similarity,
    stability,
)
from caffe_gradcam.model.preprocess import Prepared, prepare
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError

BASELINES = ("random", "centre")
# Stages of the cascade of random weights; the layers of a deep net go by groups.
STAGES = 8


class Column(NamedTuple):
    """A number that is measured of each map.

    Attributes
    ----------
    metric : str
        What has to be asked for to get it.
    better : str
        "high", "low" or "zero".
    text : str
        What it is, in a sentence about a method.
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
    "energy": Column("pointing", "high", "the energy inside of the boxes"),
    "sanity": Column("sanity", "zero", "the rank correlation with the map of random weights"),
    "moved": Column("stability", "low", "how far noise moves the map"),
}
METRICS = ("deletion", "insertion", "drop", "road", "pointing", "sanity", "stability")


class Settings(NamedTuple):
    """How to measure.

    Attributes
    ----------
    metrics : tuple of str
        Of ``METRICS``; pointing is left out for photographs without boxes.
    steps : int
        Of deletion and insertion.
    tolerance : float
        Pixels of the photograph by which the pointing game may miss.
    seed : int
    """

    metrics: Tuple[str, ...] = METRICS
    steps: int = curves.STEPS
    tolerance: float = 0.0
    seed: int = 0


class Measurement(NamedTuple):
    """What was measured of one map.

    Attributes
    ----------
    path : str
        Of the photograph.
    class_index : int
    method, target : str
        "" as target: a baseline, which looks at no blob.
    values : dict
        Column -> float.
    curves : dict
        "deletion" and "insertion" -> values at ``steps + 1`` equal steps.
    stages : list of (float, float)
        Rank correlation and structural similarity to the map of random weights, by stage.
    """

    path: str
    class_index: int
    method: str
    target: str
    values: Dict[str, float]
    curves: Dict[str, List[float]]
    stages: List[Tuple[float, float]]


class _Map(NamedTuple):
    """A map on the table."""

    explanation: Explanation
    heat: Any
    boxes: Optional[List]


class _Subject(NamedTuple):
    """A photograph on the table."""

    path: str
    prepared: Prepared
    classes: List[int]
    maps: List[_Map]


class Bench:
    """Measures the maps of an explainer.

    Parameters
    ----------
    explainer : caffe_gradcam.explaining.explainer.Explainer
        With all the methods to compare, on a model with all the targets to compare.
    settings : Settings, optional
    """

    def __init__(self, explainer, settings=None):
        settings = settings or Settings()
        self.explainer, self.settings = explainer, settings
        self.model = explainer.model
        if any(one.crops > 1 for one in self.model.inputs.values()):
            raise InputError("maps of ten crops cannot be measured, since no one picture that the "
                             "net reads shows them whole; take one crop")
        self.stages, self._weights = [], {}
        if "sanity" in settings.metrics:
            self._weights = loaded_weights(self.model)
            self.stages = sanity.stages(list(self._weights), STAGES)

    def measure(self, paths, photographs, questions=BEST, boxes=None):
        """Measure the maps of some photographs in one batch.

        Parameters
        ----------
        paths : list of str
        photographs : list of (numpy.ndarray or InputError)
            H x W x 3 uint8, blue first; or why there is none.
        questions : sequence of (int or Top)
            The classes to explain; or a list of such for each photograph.
        boxes : list of dict, optional
            For each photograph, class index -> boxes of that class.

        Returns
        -------
        list of (list of Measurement or InputError)
            One for each photograph: by class, method and target, baselines at the end of a class.
        """
        prepared = [one if isinstance(one, InputError) else
                    attempt(prepare, one, self.model.inputs) for one in photographs]
        results = attempt(self.explainer.explain_prepared, prepared, questions)
        if isinstance(results, InputError):
            results = [results] * len(paths)
        subjects = [
            result if isinstance(result, InputError) else
            self._subject(path, one, result, own)
            for path, one, result, own in zip(paths, prepared, results, boxes or [{}] * len(paths))
        ]
        outcomes = [one if isinstance(one, InputError) else attempt(self._measured, one)
                    for one in subjects]
        good = [index for index, one in enumerate(outcomes) if not isinstance(one, InputError)]
        if good and self.stages:
            similar = attempt(self._sanity, [subjects[index] for index in good])
            for at, index in enumerate(good):
                outcomes[index] = similar if isinstance(similar, InputError) else [
                    one if not one.target else one._replace(
                        stages=stages, values=dict(one.values, sanity=stages[-1][0]))
                    for one, stages in zip(outcomes[index], similar[at])]
        return outcomes

    def _subject(self, path, prepared, result, boxes):
        explanations, classes = [], list(dict.fromkeys(
            one.class_index for one in result.explanations))
        for index in classes:
            own = [one for one in result.explanations if one.class_index == index]
            explanations += own + self._rivals(own[0], prepared, path)
        return _Subject(path, prepared, classes, [
            _Map(one, self._on_blob(one, prepared), boxes.get(one.class_index))
            for one in explanations])

    def _rivals(self, explanation, prepared, path):
        """The baselines, as explanations of the same question."""
        geometry = prepared.geometries[explanation.input][0]
        size = prepared.blobs[explanation.input].shape[2:]
        name = os.fsencode(os.path.basename(path))
        rng = np.random.RandomState([self.settings.seed, explanation.class_index] + list(name))
        coarse = self.model.shapes.get(self.model.targets[0])
        cells = tuple(coarse[2:]) if coarse else (7, 7)
        made = {"random": baselines.random_map(size, cells, rng),
                "centre": baselines.centre_map(size)}
        return [explanation._replace(method=name, target="", cam=made[name], geometry=geometry,
                                     placement=None) for name in BASELINES]

    @staticmethod
    def _on_blob(explanation, prepared):
        """The heatmap at the size of the blob that the net reads."""
        height, width = prepared.blobs[explanation.input].shape[2:]
        x0, y0, x1, y1 = prepared.geometries[explanation.input][0].rectangle
        rows = y0 + (np.arange(height) + 0.5) * (y1 - y0) / height
        columns = x0 + (np.arange(width) + 0.5) * (x1 - x0) / width
        return heatmap(explanation.geometry.sample(
            np.maximum(explanation.cam, 0) * (explanation.status == "ok"), explanation.placement,
            rows, columns))

    def _measured(self, subject):
        measured = self._faithfulness(subject)
        if "stability" in self.settings.metrics:
            moved = self._stability(subject)
            measured = [one._replace(values=dict(one.values, **own))
                        for one, own in zip(measured, moved)]
        return measured

    def _faithfulness(self, subject):
        """Everything that is known from the maps and the net as it is."""
        plans = [self._pictures(subject, one) for one in subject.maps]
        seeds = [self._seed(one.explanation.class_index) for one in subject.maps]
        batch = Pass(self.explainer.engine, self.model.score, subject.prepared.blobs, [])
        values = [{} for _ in plans]
        for source in self.model.inputs:
            own = [(at, name, count, pictures) for at, plan in enumerate(plans)
                   if subject.maps[at].explanation.input == source
                   for name, (count, pictures) in plan.items()]
            # All of them in one stream: the net runs in full batches.
            found = batch.net(source, seeds, (
                (at, 0, picture) for at, _, _, pictures in own for picture in pictures))
            if not np.isfinite(found).all():
                raise InputError("the scores hold NaN or infinity where pixels are removed")
            ends = np.cumsum([count for _, _, count, _ in own])[:-1]
            for (at, name, _, _), part in zip(own, np.split(found, ends)):
                values[at][name] = part
        return [self._measurement(subject.path, one, seen)
                for one, seen in zip(subject.maps, values)]

    def _pictures(self, subject, chosen):
        """Metric -> how many pictures it wants values of, and these."""
        heat, settings = chosen.heat, self.settings
        blob = subject.prepared.blobs[chosen.explanation.input][0]
        shown = (one for one in [blob, masking.shown_through(blob, heat)])
        plan = {
            "deletion": (settings.steps + 1,
                         curves.deletion(blob, heat, steps=settings.steps, seed=settings.seed)),
            "insertion": (settings.steps + 1,
                          curves.insertion(blob, heat, steps=settings.steps, seed=settings.seed)),
            "drop": (2, shown),
            "road": (2 * len(road.FRACTIONS), road.road(blob, heat, seed=settings.seed)),
        }
        return {name: plan[name] for name in plan if name in settings.metrics}

    def _seed(self, index):
        """What is measured of a class: its probability where the net makes one."""
        if self.model.link == "none":
            return Linear("", index, {index: 1.0})
        return Likelihood("", index, self.model.link)

    def _measurement(self, path, chosen, seen):
        """Numbers from the values that the net gave a map's pictures."""
        explanation = chosen.explanation
        drawn = {name: seen[name] for name in ("deletion", "insertion") if name in seen}
        values = {name: curves.area(curve) for name, curve in drawn.items()}
        if len(drawn) == 2:
            values["gap"] = values["insertion"] - values["deletion"]
        if "drop" in seen:
            before, after = seen["drop"][:1], seen["drop"][1:]
            values["drop"] = float(masking.drops(before, after)[0])
            values["increase"] = float(masking.increases(before, after)[0])
        if "road" in seen:
            values["road"] = road.gap(seen["road"])
        if "pointing" in self.settings.metrics and chosen.boxes:
            heat = explanation.heatmap
            values["pointing"] = float(
                pointing.hits(heat, chosen.boxes, self.settings.tolerance))
            values["energy"] = pointing.energy_inside(heat, chosen.boxes)
        return Measurement(path, explanation.class_index, explanation.method, explanation.target,
                           values, {name: curve.tolist() for name, curve in drawn.items()}, [])

    def _stability(self, subject):
        """For each map, how far it moves when the photograph is a little noisy."""
        copies = {name: stability.noisy(blobs[0], seed=self.settings.seed)
                  for name, blobs in subject.prepared.blobs.items()}
        noisy = [subject.prepared._replace(blobs={name: own[at:at + 1]
                                                  for name, own in copies.items()})
                 for at in range(stability.SAMPLES)]
        seen = self._heats(noisy, [subject.classes] * len(noisy))
        own = [one for one in subject.maps if one.explanation.target]
        moved = iter([stability.sensitivity(one.heat, np.stack(heats)).largest
                      for one, heats in zip(own, zip(*seen))])
        return [{"moved": next(moved)} if one.explanation.target else {} for one in subject.maps]

    def _heats(self, prepared, questions):
        """The heat of each explanation of each; a failed photograph raises its InputError."""
        results = self.explainer.explain_prepared(prepared, questions)
        for one in results:
            if isinstance(one, InputError):
                raise one
        return [[self._on_blob(explanation, one) for explanation in result.explanations]
                for one, result in zip(prepared, results)]

    def _sanity(self, subjects):
        """For each map of each photograph, its likeness to that of random weights by stage."""
        def look():
            return self._heats([one.prepared for one in subjects],
                               [one.classes for one in subjects])

        seen = sanity.cascade(self.explainer, self._weights, self.stages, look,
                              self.settings.seed)
        similar = []
        for at, subject in enumerate(subjects):
            own = [one.heat for one in subject.maps if one.explanation.target]
            found = iter([[(similarity.rank_correlation(heat, stage[at][rank]),
                            similarity.ssim(heat, stage[at][rank])) for stage in seen]
                          for rank, heat in enumerate(own)])
            similar.append([next(found) if one.explanation.target else [] for one in subject.maps])
        return similar


def check_questions(questions):
    """Raise an InputError for a question that is not about one class, whose value is measured."""
    for one in questions:
        if not isinstance(one, (Class, Top)):
            raise InputError("maps are measured by the value of one class: give a class by number "
                             "or label, or top:K")


def loaded_weights(model):
    """The weights of the layers that the scores come from, in the order of the net."""
    from caffe_gradcam.engines.subnet import share

    graph = model.graph
    needed, held = graph.ancestors([model.score]), share(
        graph.net, weight_files.load(model.weights))
    return {layer.name: held[layer.name] for index, layer in enumerate(graph.net.layers)
            if index in needed and held.get(layer.name)}


def spread_layers(model, count=3):
    """Blobs worth comparing: the model's first target, and the last blob of each finer resolution.

    Parameters
    ----------
    model : caffe_gradcam.model.model.Model
    count : int
        At most.

    Returns
    -------
    list of str
    """
    graph, found = model.graph, [model.targets[0]]
    area = _area(model.shapes.get(found[0]))
    for index in sorted(graph.ancestors(found), reverse=True):
        layer = graph.net.layers[index]
        for blob in layer.tops if layer.type != "Pooling" and layer.bottoms else ():
            if len(found) < count and area < _area(model.shapes.get(blob)):
                found.append(blob)
                area = _area(model.shapes[blob])
    return found


def _area(shape):
    return shape[2] * shape[3] if shape and len(shape) == 4 else 0
