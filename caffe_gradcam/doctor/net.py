"""A model's files, before anything runs."""

import os

import numpy as np

from caffe_gradcam.doctor.findings import error, fine, note, warning
from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import shapes
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check as stock
from prototxt_tools.reports.audit import audit
from prototxt_tools.text.document import Document

_MOST_SHOWN = 3
_LOSSES = ("SoftmaxWithLoss", "EuclideanLoss", "SigmoidCrossEntropyLoss", "HingeLoss",
           "InfogainLoss", "MultinomialLogisticLoss", "ContrastiveLoss")


def examine(path, weights=None, overrides=None):
    """Look at a model's files.

    Parameters
    ----------
    path : str
        A model folder or a prototxt.
    weights : str, optional
        Instead of the folder's.
    overrides : dict, optional
        For ``Model.load``.

    Returns
    -------
    findings : list of Finding
    model : Model or None
        None where the findings say why there is none.
    """
    try:
        prototxt = model_folder.find_prototxt(path)
        document = Document.load(prototxt)
        net = Net.parse(document)
    except InputError as problem:
        return [error("net", str(problem), _cure_of_text(str(problem)))], None
    findings = [fine("net", f"{prototxt}: {len(net.layers)} layers, form {net.form}")]
    findings += audited(net) + foreign(net) + purpose(net)
    try:
        model = LoadedModel.load(path, weights, **(overrides or {}))
    except InputError as problem:
        return findings + [error("model", str(problem), _cure_of_model(str(problem), net))], None
    findings += warned(model)
    findings += weighed(model)
    return findings + labelled(model) + assumed(model), model


def audited(net):
    """What the net may do beyond arithmetic."""
    found = audit(net)
    severe = {"code": "look at what it runs; explain wants --trust for it",
              "file": "cut it out, or make a deploy net: prototxt-tools deploy",
              "size": "it may not fit the memory"}
    return [warning("audit", one.sentence, severe[one.kind]) if one.kind in severe
            else note("audit", one.sentence) for one in found[:_MOST_SHOWN]]


def foreign(net):
    """Fields and layers that only forks of Caffe know."""
    try:
        found = stock.strangers(net.document)
    except InputError as problem:
        return [error("stock Caffe", str(problem), "correct the line")]
    return [warning("stock Caffe", sentence, "prototxt-tools rewrite says some of it in stock "
                    "words; the torch engine knows many layers of forks")
            for sentence in found[:_MOST_SHOWN]]


def purpose(net):
    """Whether this is a net to train instead of one to deploy."""
    layers = net.at("TEST").layers
    data = [layer for layer in layers if layer.type.endswith("Data") and not layer.bottoms]
    losses = [layer for layer in layers if layer.type in _LOSSES]
    if data or losses:
        one = (data or losses)[0]
        return [warning("net", f"layer {one.name} of type {one.type} belongs to training: this is no deploy "
                        "net",
                        "prototxt-tools deploy makes a deploy net of it")]
    return []


def warned(model):
    """What ``Model.load`` found doubtful; labels are judged on their own."""
    return [warning("model", one) for one in model.warnings if " labels for " not in one]


def weighed(model):
    """Weights against the net, and their numbers."""
    try:
        weights = weight_files.load(model.weights)
        net = model.graph.net
        expected = shapes.parameters(net, model.shapes)
    except InputError as problem:
        return [error("weights", str(problem), "fetch the file again")]
    fit = weight_files.check(expected, weights)
    needed = {net.layers[index].name for index in model.graph.ancestors([model.score])}
    findings = _misfits(fit, needed) + _numbers(weights, needed)
    if fit.extra and not fit.missing:
        findings.append(note("weights", f"{len(fit.extra)} layers of the file are not in the net: {_some(fit.extra)}"))
    if not findings or all(one.severity == "note" for one in findings):
        findings.insert(0, fine("weights", f"{model.weights}: all {sum(bool(blobs) for blobs in expected.values())} layers fit"))
    return findings


def _misfits(fit, needed):
    other = "these weights are of another net: take those that belong to this prototxt"
    findings = [error("weights", problem, other) for problem in fit.problems[:_MOST_SHOWN]]
    missing = [name for name in fit.missing if name in needed]
    if missing:
        findings.append(error(
            "weights", f"the file has none for {len(missing)} layers: {_some(missing)}; Caffe would run them on random "
            "numbers without a word",
            "look whether layers were renamed ({} of the file are not in the net); prototxt-tools "
            "weights lists them".format(_some(fit.extra) or "none") ))
    return findings


def _numbers(weights, needed):
    findings = []
    for name, blobs in weights.items():
        for blob in blobs:
            if not np.isfinite(blob).all():
                bad = int(np.size(blob) - np.isfinite(blob).sum())
                findings.append(error(
                    "weights", f"layer {name} holds {bad} numbers that are NaN or infinite", "the training diverged or the file is damaged; take an "
                    "earlier snapshot"))
                break
    dead = [name for name, blobs in weights.items()
            if name in needed and len(blobs) and np.size(blobs[0]) > 1 and not np.any(blobs[0])]
    if dead:
        findings.append(warning("weights", f"all weights are 0 in {_some(dead)}",
                                "it was never trained, or its filler left it so"))
    return findings[:_MOST_SHOWN]


def labelled(model):
    """Labels against scores."""
    count = model.class_count
    if model.class_names is None:
        return [note("labels", "none: classes are numbers", "give --labels, or put a labels.txt "
                     "into the folder")]
    if count is not None and len(model.class_names) != count:
        hint = "take the labels that belong to this net"
        if len(model.class_names) == count - 1:
            hint = "the net may have a background class, then the first line is missing"
        if len(model.class_names) == count + 1:
            hint = "an empty or heading line may be too much"
        return [warning("labels", f"{len(model.class_names)} labels for {count} scores: names may be those of other "
                        "classes", hint)]
    return [fine("labels", f"{len(model.class_names)} labels for as many scores")]


def assumed(model):
    """What nobody said, and was assumed."""
    guesses = ["{} ({})".format(name.replace("_", "-"), origin[len("assumed: "):])
               for name, origin in sorted(model.origins.items())
               if origin.startswith("assumed") and name != "crops"]
    if not guesses:
        return []
    return [note("preprocessing", "assumed: " + "; ".join(guesses),
                 "say it in {}".format(os.path.join(os.path.dirname(model.path) or ".",
                                                    model_folder.README)))]


def scores(path):
    """The score blobs of a net, for messages."""
    return [one.blob for one in Graph(Net.parse(Document.load(path)).at("TEST")).scores()]


def _cure_of_text(sentence):
    if "no such model folder" in sentence:
        return "`caffe-gradcam models list` has models by name"
    if "web page" in sentence or "<html" in sentence:
        return "fetch the raw file"
    return "correct the line, or fetch the file again"


def _cure_of_model(sentence, net):
    if "named in readme.md, but missing" in sentence or "holds no .caffemodel" in sentence:
        return "put the weights into the folder, or give --weights"
    if "no input blob" in sentence or "data layer" in sentence:
        return "make a deploy net of it: prototxt-tools deploy"
    if "readme.md" in sentence:
        return "correct the front matter"
    if "--score" in sentence:
        names = [one.blob for one in Graph(net.at("TEST")).scores()]
        return "score blobs of this net: {}".format(_some(names) or "none")
    return ""


def _some(names):
    names = list(names)
    return ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
