"""A model at work: numbers, gradients, and whether the engines agree."""

from typing import Any, Dict, List, NamedTuple

import numpy as np

from caffe_gradcam.asking.seeds import score_vectors, to_probabilities
from caffe_gradcam.doctor.findings import error, fine, note, warning
from caffe_gradcam.engines import open_engine
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError

# Engines differ by rounding alone: 1e-6 where nothing is wrong, and 1e-4 in deep nets on a GPU.
AGREEMENT = 1e-3
SATURATED = 0.9999
# Scores of a net whose input is right are seldom further apart.
_WIDE = 50


class Case(NamedTuple):
    """A model on an engine, and what it is shown.

    Attributes
    ----------
    model : caffe_gradcam.model.model.LoadedModel
    engine : caffe_gradcam.engines.Engine
    photographs : list of numpy.ndarray
        H x W x 3 uint8, blue first.
    are_real : bool
        Whether a user gave them.
    """

    model: Any
    engine: Any
    photographs: List[Any]
    are_real: bool

    def inputs(self, preprocessings=None):
        """Input blob -> the pictures, prepared as the model says or otherwise."""
        chosen = preprocessings or self.model.inputs
        made = [prepare(one, chosen) for one in self.photographs]
        return {name: np.concatenate([one.blobs[name] for one in made]) for name in chosen}

    def scores(self, inputs):
        """N x K scores of prepared pictures."""
        with np.errstate(all="ignore"):
            return score_vectors(self.engine.forward(inputs, [self.model.score])[self.model.score])


def opened(model, kind, device):
    """An engine for a model, opened as ``explain`` does."""
    return open_engine(kind, prototxt=model.prototxt, weights=model.weights,
                       scores=[model.score], targets=model.layers, device=device)


def made_up():
    """A picture for those who give none: coloured noise, the same each time."""
    small = np.random.RandomState(0).randint(0, 256, (24, 24, 3)).astype(np.uint8)
    return small.repeat(12, axis=0).repeat(12, axis=1)


def examine(case):
    """Numbers and gradients of a model.

    Parameters
    ----------
    case : Case

    Returns
    -------
    findings : list of Finding
    is_sound : bool
        Whether there are numbers to go on with.
    """
    inputs = case.inputs()
    blobs = run_through(case, inputs)
    findings = infinite(case.model, blobs)
    if findings:
        return findings, False
    scores = score_vectors(blobs[case.model.score])
    findings = saturated(case.model, scores)
    findings += gradients(case, inputs, scores, blobs)
    return findings, True


def run_through(case, inputs):
    """Blob -> its values, of every blob that the score depends on, in the order of the net."""
    graph = case.model.graph
    needed = graph.ancestors([case.model.score])
    names = [top for index in sorted(needed) for top in graph.net.layers[index].tops]
    names = [name for name in dict.fromkeys(names) if name not in inputs]
    with np.errstate(all="ignore"):
        return case.engine.forward(inputs, names)


def infinite(model, blobs):
    """The first blob that holds NaN or infinity, and why that may be."""
    for name, values in blobs.items():
        if np.isfinite(values).all():
            continue
        maker = model.graph.maker(name)
        what = "blob {}, which layer {} of type {} makes, holds {}; all before it are " \
            "numbers".format(name, maker.name, maker.type,
                             "NaN" if np.isnan(values).any() else "infinity")
        remedy = {"BatchNorm": "its variance or its scale factor is 0 or negative: the statistics "
                               "were never gathered; use the final snapshot",
                  "Log": "its input is 0 or negative", "Power": "a root of a negative number"}
        return [error("numbers", what, remedy.get(
            maker.type, f"weights of {maker.name} are too large, or mean and scale are wrong; prototxt-tools "
            "weights shows their range"))]
    return []


def saturated(model, scores):
    """Whether probabilities are so near 1 that nothing is left of their gradient."""
    if model.link != "softmax" or scores.shape[1] < 2:
        return []
    chances = to_probabilities(scores, "softmax")
    top = chances.max(axis=1)
    if not (top > SATURATED).all():
        return []
    wide = (scores.max(axis=1) - np.median(scores, axis=1)).min()
    what = f"the Softmax is saturated: its highest probability is above {top.min():.6g} for every picture, " \
        "so scripts that start a backward pass at it get gradients near 0"
    remedy = f"explain starts at {model.score}, before the Softmax"
    if wide > _WIDE:
        remedy += f"; scores that are {wide:.0f} apart may come from a scale that is too large, such " \
            "as pictures in 0..255 for a net that wants 0..1"
    return [note("softmax", what, remedy)]


def gradients(case, inputs, scores, blobs):
    """Whether gradients reach the targets, and why not."""
    model = case.model
    shape = blobs[model.score].shape
    seed = np.zeros(shape, np.float32)
    for row, best in zip(seed, scores.argmax(axis=1)):
        row.reshape(shape[1] if len(shape) > 1 else 1, -1)[best] = 1
    case.engine.forward(inputs, [model.score])
    found = case.engine.backward(model.score, seed, model.layers)
    findings = []
    for target in model.layers:
        slopes, values = found[target], blobs[target]
        if not np.any(slopes):
            findings.append(error("gradients", f"all gradients at {target} are 0: {_cause(case, blobs, target)}", "no map can be drawn of this layer for "
                "these pictures; choose a later one with --layer, or other weights"))
        elif not np.any(values):
            findings.append(error("activations", f"{target} holds nothing but 0: {_first_dead(case, blobs, [target])}", "its maps are empty; look at mean "
                "and scale, and at the layers before it"))
        elif not np.isfinite(slopes).all():
            findings.append(error("gradients", f"gradients at {target} hold NaN or infinity", "look at mean and scale"))
    if not findings:
        findings.append(fine("gradients", "reach {}{}".format(
            ", ".join(model.layers), "" if case.are_real else " (for a made-up picture)")))
    return findings


def _cause(case, blobs, target):
    """Why no gradient comes down to a target."""
    graph, model = case.model.graph, case.model
    between = [index for index in sorted(graph.ancestors([model.score]))
               if _depends(graph, graph.net.layers[index].tops, target)]
    weights = weight_files.load(model.weights)
    for index in between:
        name = graph.net.layers[index].name
        if len(weights.get(name, ())) and not np.any(weights[name][0]):
            return f"all weights of layer {name}, which the score goes through, are 0"
    tops = [top for index in between for top in graph.net.layers[index].tops]
    return _first_dead(case, blobs, tops + [target]) or (
        "the score does not change with it for these pictures")


def _depends(graph, tops, target):
    """Whether what a layer writes depends on the final value of a blob."""
    readers = set(graph.final_readers(target))
    return bool(readers & graph.ancestors(tops))


def _first_dead(case, blobs, names):
    """The first of some blobs that is 0 throughout, in a sentence; "" where there is none."""
    graph = case.model.graph
    order = [name for name in blobs if name in names and not np.any(blobs[name])]
    for name in order:
        layers = [graph.net.layers[index] for index in graph.writers(name)]
        cutter = next((layer for layer in layers if layer.type in ("ReLU", "ReLU6", "Clip")), None)
        if cutter is not None:
            return f"layer {cutter.name} ({cutter.type}) cuts every value of blob {name} to 0"
        return f"every value of blob {name} is 0"
    return ""


def agreement(case, others, reference):
    """Compare another engine or device with the one at work.

    Parameters
    ----------
    case : Case
    others : list of (str, str)
        Engine and device of each.
    reference : (str, str)
        Those of the case.

    Returns
    -------
    list of Finding
    """
    inputs, findings = case.inputs(), []
    own = _answers(case.engine, case.model, inputs)
    for kind, device in others:
        check = "{} on {} against {} on {}".format(kind, device, *reference)
        try:
            with opened(case.model, kind, device) as engine:
                theirs = _answers(engine, case.model, inputs)
        except InputError as problem:
            findings.append(warning(check, str(problem), "use the engine that works"))
            continue
        findings.append(compared(check, own, theirs))
    return findings


def compared(check, own, theirs):
    """What the differences of two engines mean."""
    off = {name: difference(own[name], theirs[name]) for name in own}
    worst = max(off, key=off.get)
    if off[worst] <= AGREEMENT:
        return fine(check, f"agree: the greatest difference is {off[worst]:.1g} of the greatest value")
    return error(check, f"differ: {worst} by {off[worst]:.2g} of its greatest value",
                 "one of the two builds computes wrong; trust neither before you know which")


def difference(one, other):
    """The greatest difference of two arrays, relative to the greatest value of the first."""
    scale = float(np.abs(one).max()) or 1.0
    return float(np.abs(one.astype(np.float64) - other).max()) / scale


def _answers(engine, model, inputs) -> Dict[str, Any]:
    """Scores, and gradients at the targets, of all pictures."""
    blob = engine.forward(inputs, [model.score])[model.score]
    seed = np.zeros(blob.shape, np.float32)
    seed.reshape(blob.shape[0], blob.shape[1] if blob.ndim > 1 else 1, -1)[:, 0] = 1
    slopes = engine.backward(model.score, seed, model.layers)
    found = {"gradient at " + target: slopes[target] for target in model.layers}
    return dict(found, **{"score " + model.score: blob})
