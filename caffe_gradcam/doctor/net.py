"""A model's files, before anything runs."""

import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from caffe_gradcam.doctor.findings import Finding, error, fine, note, warning
from caffe_gradcam.engines.subnet import separate
from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import layers, shapes
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check as stock
from prototxt_tools.reports.audit import audit
from prototxt_tools.text.document import Document

_MOST_SHOWN = 3
# What to do about each kind of finding of an audit.
_AUDIT_REMEDIES = {
    "code": "look at what it runs; explain needs --trust for it",
    "file": "remove it, or make a deploy net: prototxt-tools deploy",
    "size": "it may not fit the memory",
}


def examine(path: str, weights: Optional[str] = None, overrides: Optional[Dict[str, Any]] = None,
            ) -> Tuple[List[Finding], Optional[LoadedModel]]:
    """Examine a model's files.

    Parameters
    ----------
    path : str
        A model folder or a prototxt.
    weights : str, optional
        A weights file, instead of the folder's.
    overrides : dict, optional
        Keywords of ``LoadedModel.load``.

    Returns
    -------
    findings : list of Finding
    model : LoadedModel or None
        None where the findings explain why there is none.
    """
    try:
        prototxt = model_folder.find_prototxt(path)
        net = Net.parse(Document.load(prototxt))
    except InputError as problem:
        return [error("net", str(problem), _text_remedy(str(problem)))], None
    findings = [fine("net", f"{prototxt}: {len(net.layers)} layers, form {net.form}")]
    findings += audited(net) + foreign(net) + purpose(net)
    try:
        model = LoadedModel.load(path, weights, **(overrides or {}))
    except InputError as problem:
        return findings + [error("model", str(problem), _model_remedy(str(problem), net))], None
    findings += [warning("model", text) for text in model.warnings if " labels for " not in text]
    findings += examine_weights(model)
    return findings + examine_labels(model) + assumed(model), model


def audited(net: Net) -> List[Finding]:
    """What the net may do beyond arithmetic."""
    return [warning("audit", entry.sentence, _AUDIT_REMEDIES[entry.kind])
            if entry.kind in _AUDIT_REMEDIES else note("audit", entry.sentence)
            for entry in audit(net)[:_MOST_SHOWN]]


def foreign(net: Net) -> List[Finding]:
    """Fields and layers that only forks of Caffe understand."""
    try:
        sentences = stock.strangers(net.document)
    except InputError as problem:
        return [error("stock Caffe", str(problem), "correct the line")]
    return [warning("stock Caffe", sentence, "prototxt-tools rewrite translates some of them for "
                    "stock Caffe; the torch engine runs many layers of forks")
            for sentence in sentences[:_MOST_SHOWN]]


def purpose(net: Net) -> List[Finding]:
    """Whether this is a net for training instead of one to deploy."""
    for layer in net.at("TEST").layers:
        layer_type = layers.of(layer.type)
        if layer_type.role == "loss" or layer_type.is_data and not layer.bottoms:
            return [warning("net", f"layer {layer.name} of type {layer.type} belongs to training: "
                            "this is not a deploy net",
                            "prototxt-tools deploy turns it into one")]
    return []


def examine_weights(model: LoadedModel) -> List[Finding]:
    """Whether the weights fit the net, and whether their values make sense."""
    try:
        separated = separate(model.graph.net.document, model.weights)
        weights = dict(separated.weights)
        graph = Graph(Net.parse(separated.document).at("TEST"))
        net = graph.net
        expected = shapes.parameters(net, dict(model.shapes))
    except InputError as problem:
        return [error("weights", str(problem), "fetch the file again")]
    fit = weight_files.check(expected, separated.weights)
    needed = {net.layers[index].name for index in graph.ancestors([model.score])}
    findings = _misfits(fit, needed) + _values(weights, needed)
    findings += _zero_factors(net, weights, needed) + _shared_names(model.graph.net)
    if fit.extra and not fit.missing:
        findings.append(note("weights", f"{len(fit.extra)} layers of the file are not in the net: "
                             + _some(fit.extra)))
    if all(finding.severity == "note" for finding in findings):
        count = sum(bool(blobs) for blobs in expected.values())
        findings.insert(0, fine("weights", f"{model.weights}: all {count} layers fit"))
    return findings


def _misfits(fit: weight_files.Check, needed: Set[str]) -> List[Finding]:
    findings = [error("weights", problem, "these weights belong to another net: use those that "
                      "belong to this prototxt") for problem in fit.problems[:_MOST_SHOWN]]
    missing = [name for name in fit.missing if name in needed]
    if missing:
        findings.append(error(
            "weights", f"the file has no weights for {len(missing)} layers: {_some(missing)}; "
            "Caffe would run them on random numbers without a warning",
            f"check whether layers were renamed (not in the net, but in the file: "
            f"{_some(fit.extra) or 'none'}); prototxt-tools weights lists them"))
    return findings


def _zero_factors(net: Net, weights: Mapping[str, Sequence[np.ndarray]],
                  needed: Set[str]) -> List[Finding]:
    """BatchNorms whose third blob is 0, so that Caffe takes their mean and variance for 0."""
    names = [layer.name for layer in net.layers
             if layer.type == "BatchNorm" and layer.name in needed
             and len(weights.get(layer.name, ())) == 3 and not np.any(weights[layer.name][2])]
    if not names:
        return []
    return [error(
        "weights", f"the factor (third blob) of BatchNorm {_some(names)} is 0, so Caffe takes "
        "mean and variance for 0 and multiplies by about 300",
        "these statistics were never learned, or a converter left the factor out: set it to 1 if "
        "mean and variance are the values themselves")]


def _shared_names(net: Net) -> List[Finding]:
    """Layers with weights that share a name."""
    return [warning(
        "net", f"{len(group)} layers with weights are named {name}; Caffe would copy all weights "
        "of that name into the first, and here each gets its own, in order",
        "give the layers different names: prototxt-tools rewrite --stock --weights")
        for name, group in shapes.namesakes(net).items()]


def _values(weights: Mapping[str, Sequence[np.ndarray]], needed: Set[str]) -> List[Finding]:
    findings = []
    for name, blobs in weights.items():
        bad = sum(int(np.size(blob) - np.isfinite(blob).sum()) for blob in blobs)
        if bad:
            findings.append(error(
                "weights", f"layer {name} holds {bad} values that are NaN or infinite",
                "the training diverged or the file is damaged; use an earlier snapshot"))
    dead = [name for name, blobs in weights.items()
            if name in needed and len(blobs) and np.size(blobs[0]) > 1 and not np.any(blobs[0])]
    if dead:
        findings.append(warning("weights", f"all weights are 0 in {_some(dead)}",
                                "the layer was never trained, or its filler left it at 0"))
    return findings[:_MOST_SHOWN]


def examine_labels(model: LoadedModel) -> List[Finding]:
    """Whether there are as many class names as scores."""
    misfits = [text for text in model.warnings if " labels for " in text]
    if misfits:
        return [warning("labels", text, "use the labels that belong to this net")
                for text in misfits]
    if model.class_names is None:
        return [note("labels", "none: classes are shown as numbers",
                     "give --labels, or put a labels.txt into the folder")]
    return [fine("labels", f"{len(model.class_names)} labels for as many scores")]


def assumed(model: LoadedModel) -> List[Finding]:
    """Values that nobody gave, and that were assumed."""
    guesses = ["{} ({})".format(name.replace("_", "-"), origin[len("assumed: "):])
               for name, origin in sorted(model.origins.items())
               if origin.startswith("assumed") and name not in ("crops", "value_range")]
    if not guesses:
        return []
    readme = os.path.join(os.path.dirname(model.path) or ".", model_folder.README)
    return [note("preprocessing", "assumed: " + "; ".join(guesses),
                 f"set the right values in {readme}")]


def _text_remedy(sentence: str) -> str:
    if "no such model folder" in sentence:
        return "`caffe-gradcam models list` lists models by name"
    if "web page" in sentence or "<html" in sentence:
        return "fetch the raw file"
    return "correct the line, or fetch the file again"


def _model_remedy(sentence: str, net: Net) -> str:
    if "named in readme.md, but missing" in sentence or "holds no .caffemodel" in sentence:
        return "put the weights into the folder, or give --weights"
    if "no input blob" in sentence or "data layer" in sentence:
        return "turn it into a deploy net: prototxt-tools deploy"
    if "readme.md" in sentence:
        return "correct the front matter"
    if "--score" in sentence:
        names = [score.blob for score in Graph(net.at("TEST")).scores()]
        return f"the score blobs of this net: {_some(names) or 'none'}"
    return ""


def _some(names: Iterable[str]) -> str:
    shown: Sequence[str] = list(names)
    return ", ".join(shown[:_MOST_SHOWN]) + (", ..." if len(shown) > _MOST_SHOWN else "")
