"""A model at work: its numbers, its gradients, and whether the engines agree."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import score_vectors, to_probabilities
from caffe_gradcam.doctor.findings import Finding, error, fine, note, warning
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.explaining.grouping import stacked
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import BANDS, Preprocessing, prepare
from prototxt_tools import layers
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph

# Engines that work differ by rounding only: by 1e-6, or by 1e-4 for deep nets on a GPU.
AGREEMENT = 1e-3
SATURATED = 0.9999
# With correct inputs, the scores of a net are rarely further apart than this.
_WIDE = 50
_REMEDIES = {
    "BatchNorm": "its variance or its scale factor is 0 or negative, so the statistics were never "
                 "gathered; use the final snapshot",
    "Log": "its input is 0 or negative",
    "Power": "it takes a root of a negative number",
}


@dataclass(frozen=True, eq=False)
class Case:
    """A model on an engine, and the images that it is shown.

    Attributes
    ----------
    model : LoadedModel
    engine : Engine
    images : list of numpy.ndarray
        H x W x 3 uint8, blue first.
    are_real : bool
        Whether a user gave them.
    """

    model: LoadedModel
    engine: Engine
    images: List[np.ndarray]
    are_real: bool

    def inputs(self, preprocessings: Optional[Mapping[str, Preprocessing]] = None,
               ) -> Dict[str, np.ndarray]:
        """Input blob -> the images, prepared as the model says or otherwise."""
        chosen = preprocessings or self.model.inputs
        arrays = {blob: spec.or_zeros() for blob, spec in self.model.arrays.items()}
        images = self.images if self.model.items_share else self.images[:1]
        prepared = [prepare({name: _shown(image, values) for name, values in chosen.items()},
                            chosen, arrays) for image in images]
        return self.model.net_inputs(stacked(prepared, self.model))

    def scores(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """N x K scores of prepared images."""
        with np.errstate(all="ignore"):
            blob = self.engine.forward(inputs, [self.model.score])[self.model.score]
        return score_vectors(self.model.layout.rows(blob))


def opened(model: LoadedModel, kind: str, device: str) -> Engine:
    """An engine for a model, opened as ``explain`` does."""
    net = NetToRun(model.prototxt, model.weights, (model.score,), tuple(model.layers),
                   path=model.path)
    return open_engine(net, Running(engine=kind, device=device))


def made_up() -> np.ndarray:
    """An image for those who give none: coloured noise, the same each time."""
    small = np.random.RandomState(0).randint(0, 256, (24, 24, 3)).astype(np.uint8)
    return small.repeat(12, axis=0).repeat(12, axis=1)


def _shown(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """An image, with its colours over and over for inputs of more channels, in their size."""
    if preprocessing.channel_order != BANDS:
        return image
    rows, columns = (np.arange(size) % length
                     for size, length in zip(preprocessing.size, image.shape))
    channels = np.arange(preprocessing.channels) % image.shape[2]
    bands: np.ndarray = image[np.ix_(rows, columns, channels)]
    return bands


def examine(case: Case) -> Tuple[List[Finding], bool]:
    """Examine the numbers and gradients of a model.

    Returns
    -------
    findings : list of Finding
    is_sound : bool
        Whether the numbers are good enough for further checks.
    """
    inputs = case.inputs()
    blobs = run_through(case, inputs)
    findings = infinite(case.model, blobs)
    if findings:
        return findings, False
    scores = score_vectors(case.model.layout.rows(blobs[case.model.score]))
    findings = saturated(case.model, scores)
    findings += gradients(case, inputs, scores, blobs)
    return findings, True


def run_through(case: Case, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """The values of every blob that the score depends on, in the order of the net."""
    graph = case.model.graph
    needed = graph.ancestors([case.model.score])
    names = [top for index in sorted(needed) for top in graph.net.layers[index].tops]
    names = [name for name in dict.fromkeys(names) if name not in inputs]
    with np.errstate(all="ignore"):
        return case.engine.forward(inputs, names)


def infinite(model: LoadedModel, blobs: Dict[str, np.ndarray]) -> List[Finding]:
    """The first blob that holds NaN or infinity, and a possible cause."""
    for name, values in blobs.items():
        if np.isfinite(values).all():
            continue
        maker = model.graph.maker(name)
        if maker is None:
            continue
        value = "NaN" if np.isnan(values).any() else "infinity"
        what = (f"blob {name}, which layer {maker.name} of type {maker.type} makes, holds {value}; "
                "all blobs before it are finite")
        usual = (f"the weights of {maker.name} are too large, or mean and scale are wrong; "
                 "prototxt-tools weights shows their range")
        return [error("numbers", what, _REMEDIES.get(maker.type, usual))]
    return []


def saturated(model: LoadedModel, scores: np.ndarray) -> List[Finding]:
    """Whether probabilities are so close to 1 that their gradients vanish."""
    if model.link != "softmax" or scores.shape[1] < 2:
        return []
    probabilities = to_probabilities(scores, "softmax")
    assert probabilities is not None
    top = probabilities.max(axis=1)
    if not (top > SATURATED).all():
        return []
    width = (scores.max(axis=1) - np.median(scores, axis=1)).min()
    what = (f"the Softmax is saturated: its highest probability is above {top.min():.6g} for every "
            "image, so scripts that start a backward pass at it get gradients near 0")
    remedy = f"explain starts at {model.score}, before the Softmax"
    if width > _WIDE:
        remedy += (f"; scores that are {width:.0f} apart may come from a scale that is too large, "
                   "such as images in 0..255 for a net that expects 0..1")
    return [note("softmax", what, remedy)]


def gradients(case: Case, inputs: Dict[str, np.ndarray], scores: np.ndarray,
              blobs: Dict[str, np.ndarray]) -> List[Finding]:
    """Whether gradients reach the layers, and why not."""
    model = case.model
    seed = _one_hot(model, blobs[model.score], scores.argmax(axis=1))
    case.engine.forward(inputs, [model.score])
    slopes = case.engine.backward(model.score, seed, model.layers)
    findings = []
    for layer in model.layers:
        if not np.any(slopes[layer]):
            findings.append(error(
                "gradients", f"all gradients at {layer} are 0: {_cause(case, blobs, layer)}",
                "no map of this layer can be drawn for these images; choose a later one with "
                "--layer, or other weights"))
        elif not np.any(blobs[layer]):
            findings.append(error(
                "activations", f"{layer} holds nothing but 0: {_first_dead(case, blobs, [layer])}",
                "its maps are empty; check mean and scale, and the layers before it"))
        elif not np.isfinite(slopes[layer]).all():
            findings.append(error("gradients", f"gradients at {layer} hold NaN or infinity",
                                  "check mean and scale"))
    if not findings:
        shown = "" if case.are_real else " (for a made-up image)"
        findings.append(fine("gradients", f"reach {', '.join(model.layers)}{shown}"))
    return findings


def _one_hot(model: LoadedModel, blob: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The top diff of a score blob: 1 for one class of each row, at all its positions."""
    rows = np.zeros_like(model.layout.rows(blob), np.float32)
    rows[np.arange(len(rows)), classes] = 1
    return model.layout.to_blob(rows, blob.shape)


def _cause(case: Case, blobs: Dict[str, np.ndarray], target: str) -> str:
    """Why no gradient reaches a blob."""
    graph, model = case.model.graph, case.model
    between = [index for index in sorted(graph.ancestors([model.score]))
               if _depends(graph, graph.net.layers[index].tops, target)]
    weights = weight_files.load(model.weights)
    for index in between:
        name = graph.net.layers[index].name
        if len(weights.get(name, ())) and not np.any(weights[name][0]):
            return f"all weights of layer {name}, which the score depends on, are 0"
    tops = [top for index in between for top in graph.net.layers[index].tops]
    return _first_dead(case, blobs, tops + [target]) or (
        "the score does not depend on it for these images")


def _depends(graph: Graph, tops: Sequence[str], target: str) -> bool:
    """Whether what a layer writes depends on the final value of a blob."""
    readers = set(graph.final_readers(target))
    return bool(readers & graph.ancestors(tops))


def _first_dead(case: Case, blobs: Dict[str, np.ndarray], names: Sequence[str]) -> str:
    """The first of some blobs that is 0 throughout, in a sentence; "" where there is none."""
    graph = case.model.graph
    for name in blobs:
        if name not in names or np.any(blobs[name]):
            continue
        writers = [graph.net.layers[index] for index in graph.writers(name)]
        cutter = next((layer for layer in writers
                       if layers.of(layer.type).role == "rectifier"), None)
        if cutter is not None:
            return f"layer {cutter.name} ({cutter.type}) cuts every value of blob {name} to 0"
        return f"every value of blob {name} is 0"
    return ""


def agreement(case: Case, others: Sequence[Tuple[str, str]],
              reference: Tuple[str, str]) -> List[Finding]:
    """Compare other engines and devices with the one that ran the case.

    Parameters
    ----------
    case : Case
    others : list of (str, str)
        The engine and device of each.
    reference : (str, str)
        Those of the case.
    """
    inputs, findings = case.inputs(), []
    expected = _answers(case.engine, case.model, inputs)
    for kind, device in others:
        check = "{} on {} compared with {} on {}".format(kind, device, *reference)
        try:
            with opened(case.model, kind, device) as engine:
                answers = _answers(engine, case.model, inputs)
        except InputError as problem:
            findings.append(warning(check, str(problem), "use the engine that works"))
            continue
        findings.append(compared(check, expected, answers))
    return findings


def compared(check: str, expected: Dict[str, np.ndarray],
             answers: Dict[str, np.ndarray]) -> Finding:
    """What the differences between two engines mean."""
    differences = {name: difference(expected[name], answers[name]) for name in expected}
    worst = max(differences, key=lambda name: differences[name])
    if differences[worst] <= AGREEMENT:
        return fine(check, f"they agree: the largest difference is {differences[worst]:.1g} of the "
                    "largest value")
    return error(check, f"they differ: {worst} by {differences[worst]:.2g} of its largest value",
                 "one of the two builds computes wrong results; trust neither before you know "
                 "which one")


def difference(expected: np.ndarray, values: np.ndarray) -> float:
    """The largest difference of two arrays, relative to the largest value of the first."""
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(expected.astype(np.float64) - values).max()) / scale


def _answers(engine: Engine, model: LoadedModel,
             inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Scores, and gradients at the layers, of all images."""
    blob = engine.forward(inputs, [model.score])[model.score]
    seed = _one_hot(model, blob, np.zeros(len(model.layout.rows(blob)), np.intp))
    slopes = engine.backward(model.score, seed, model.layers)
    answers = {"gradient at " + layer: slopes[layer] for layer in model.layers}
    answers["score " + model.score] = blob
    return answers
