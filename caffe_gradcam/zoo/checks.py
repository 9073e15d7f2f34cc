"""What does not fit together in a registry's entry."""

from typing import Any, Dict, Iterator, List

from caffe_gradcam.zoo import hashes
from caffe_gradcam.zoo.entries import Entry

TASKS = ("classification", "scenes", "multi-label", "age", "gender", "faces", "segmentation")
FORMS = ("V0", "V1", "V2", "mixed")
_FILE_KEYS = ("name", "url", "mirrors", "elsewhere", "size", "converter") + tuple(hashes.DIGITS)
_KEYS = ("architecture", "task", "about", "classes", "aliases", "weights", "archive", "prototxt",
         "mean", "labels", "stated", "net", "needs", "accuracy", "sources")
# Layers that judge scores, so that their output is not the score.
_JUDGES = ("Sigmoid", "EuclideanLoss", "Accuracy", "ArgMax")
_FOREIGN = "layer type "


def problems(entry: Entry) -> List[str]:
    """What does not fit together in an entry: sentences; none for a good entry."""
    sentences = list(_fact_problems(entry))
    if entry.facts.get("net"):
        sentences += _net_problems(entry)
        sentences += _score_problems(entry)
    elif _gradcam(entry).get("score") or _gradcam(entry).get("layer"):
        sentences.append("names blobs, but nothing is known about its net")
    return sentences + list(_geometry_problems(entry))


def _fact_problems(entry: Entry) -> Iterator[str]:
    facts = entry.facts
    unknown = sorted(set(facts) - set(_KEYS))
    if unknown:
        yield f"unknown key zoo.{unknown[0]}"
    for role in ("weights", "archive", "prototxt", "mean"):
        file = facts.get(role)
        for key in sorted(set(file) - set(_FILE_KEYS)) if isinstance(file, dict) else ():
            yield f"unknown key zoo.{role}.{key}"
    if facts.get("task") not in TASKS:
        yield f"unknown task {facts.get('task')!r}; the tasks are {', '.join(TASKS)}"
    if not facts.get("sources"):
        yield "zoo.sources does not say where the facts were read"
    weights = entry.file("weights") or entry.file("archive")
    if weights is None or not (weights.urls or weights.elsewhere or weights.hashes):
        yield "neither an address nor a hash of its weights is known"


def _net_problems(entry: Entry) -> Iterator[str]:
    net = entry.facts["net"]
    if net.get("form") not in FORMS:
        yield f"unknown form {net.get('form')!r}; the forms are {', '.join(FORMS)}"
    layers = net.get("layers") or {}
    if not layers or not all(isinstance(count, int) and count > 0 for count in layers.values()):
        yield "zoo.net.layers must give the number of layers of each type"
    if net.get("softmax") and not any(name.lower() == "softmax" for name in layers):
        yield f"names the Softmax blob {net['softmax']}, but has no Softmax"
    for need in entry.facts.get("needs") or []:
        if need.startswith(_FOREIGN) and need[len(_FOREIGN):] not in layers:
            yield f"needs {need}, which its net does not have"


def _score_problems(entry: Entry) -> Iterator[str]:
    net, gradcam = entry.facts["net"], _gradcam(entry)
    for key in ("score", "layer"):
        if gradcam.get(key) and gradcam[key] in (net.get("softmax"), net.get("input")):
            yield f"{key} {gradcam[key]} is the net's input or its Softmax"
    outputs = net.get("outputs") or []
    if net.get("softmax") or len(outputs) != 1 or _has_judge(net):
        return
    if gradcam.get("score") not in (None, outputs[0]):
        yield f"score {gradcam['score']} is not the net's output {outputs[0]}"


def _has_judge(net: Dict[str, Any]) -> bool:
    return any(name in _JUDGES for name in net.get("layers") or {})


def _geometry_problems(entry: Entry) -> Iterator[str]:
    inputs = _gradcam(entry).get("inputs") or {}
    shape = (entry.facts.get("net") or {}).get("shape")
    end = inputs.get("crop") or inputs.get("resize")
    if shape and isinstance(end, list) and list(end) != list(shape[2:]):
        yield f"images end as {end}, but the net's input is {shape[2:]}"
    mean = inputs.get("mean")
    if shape and isinstance(mean, list) and len(mean) not in (1, shape[1]):
        yield f"the mean has {len(mean)} numbers for {shape[1]} channels"
    if isinstance(mean, str) and mean != "none":
        file = entry.file("mean")
        if file is None or file.name != mean:
            yield f"the mean file {mean} has no address"


def _gradcam(entry: Entry) -> Dict[str, Any]:
    return entry.front.get("gradcam") or {}
