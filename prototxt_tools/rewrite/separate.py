"""Layers that do the work of several become several, and each has a name of its own."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from prototxt_tools import layers, shapes
from prototxt_tools.errors import PrototxtError, WeightsError
from prototxt_tools.layers.weighted import scales_inside
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.text import braced, fitted, quoted
from prototxt_tools.rewrite.upgrade import upgrade_layers
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits
from prototxt_tools.weights import Weights, occurrences
from prototxt_tools.weights.caffemodel import Blob

Arrays = Sequence[np.ndarray]
Stored = List[Tuple[str, List[Blob]]]
_FUSING = ("BatchNorm", "Convolution", "ELU", "Eltwise", "InnerProduct")
# A BatchNorm of NVIDIA's fork holds mean, variance, factor, scale and bias.
_STATISTICS, _WITH_SCALE = 3, 5
_PARAMETERS = {"BatchNorm": "batch_norm_param", "ELU": "elu_param", "Eltwise": "eltwise_param"}


@dataclass(frozen=True, eq=False)
class WithWeights(Rewrite):
    """A changed document and notes, and the weights that belong to it.

    Attributes
    ----------
    weights : dict
        Layer name to list of arrays.
    """

    weights: Mapping[str, Arrays] = field(default_factory=dict)


def separate(document: Document, weights: Optional[Mapping[str, Arrays]] = None) -> WithWeights:
    """Give each step of a net a layer and a name of its own, as stock Caffe needs them.

    - A BatchNorm with scale and bias inside (NVIDIA's fork; five blobs) becomes a BatchNorm and a
      Scale. Where the prototxt does not tell, the weights do.
    - ``relu: true`` in a layer (Intel's fork) becomes a ReLU, with the same ``negative_slope``.
    - ``lambda`` of an ELU (NVIDIA's fork: SELU) becomes a Power that multiplies by it.
    - Blobs that HDF5 leaves out, because layers share them, are filled in.
    - With weights, layers that share a name get names of their own, and their weights are given
      to them in order. Stock Caffe copies all of them into the first of these layers.

    The new layers work in place, so every blob keeps its name and its value.

    Parameters
    ----------
    document : Document
    weights : dict, optional
        Layer name to list of arrays, as ``weights.load`` gives them; not changed.

    Returns
    -------
    WithWeights

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    WeightsError
        If layers share a name and the weights do not have as many layers of that name.
    """
    notes: Tuple[str, ...] = ()
    stored = occurrences(weights or {})
    if isinstance(weights, Weights) and weights.may_lack_shared:
        stored = _with_shared_blobs(Net.parse(document), stored)
        weights = Weights(stored)
    if weights is not None:
        document, stored, notes = _with_own_names(document, stored)
    last = dict(stored)
    fused = [layer for layer in Net.parse(document).layers if _work(layer, last)]
    if any(layer.form != "V2" for layer in fused):
        document = upgrade_layers(document).document
    edits = Edits(document)
    divided: Set[str] = set()
    for layer in Net.parse(document).layers:
        work = _work(layer, last)
        if work:
            notes += (_divide(edits, layer, work),)
            divided.update({layer.name} if "Scale" in work else ())
    if not notes:
        return WithWeights(document, (), {} if weights is None else weights)
    return WithWeights(edits.apply(), notes, Weights(_divided(stored, divided)))


def scale_name(name: str) -> str:
    """The name of the Scale that takes over the scale and bias of a BatchNorm."""
    return name + "/scale"


def _with_own_names(document: Document, stored: Stored
                    ) -> Tuple[Document, Stored, Tuple[str, ...]]:
    """The document and the weights with different names for layers that share one."""
    net = Net.parse(document)
    groups = shapes.namesakes(net.at("TEST"))
    if not groups:
        return document, stored, ()
    if net.form != "V2":
        document = upgrade_layers(document).document
        groups = shapes.namesakes(Net.parse(document).at("TEST"))
    taken = {layer.name for layer in net.layers} | {name for name, _ in stored}
    edits, notes, names = Edits(document), [], {}
    for name, group in groups.items():
        count = sum(stored_name == name and bool(blobs) for stored_name, blobs in stored)
        if count != len(group):
            lines = " and ".join(str(layer.field.line) for layer in group)
            raise WeightsError(
                f"{len(group)} layers are named {name} (lines {lines}), and the weights hold "
                f"{count} of that name, so it is not known which belong to which; give the layers "
                "different names", subject=name)
        names[name] = [name] + [_free_name(name, taken) for _ in group[1:]]
        for layer, new_name in zip(group[1:], names[name][1:]):
            written = layer.field.value.first("name")
            if written is None:
                edits.append(layer.field, "name: " + quoted(new_name))
            else:
                edits.replace(written.value, quoted(new_name))
            notes.append(f"renamed {describe_layer(layer)} to {new_name}: line "
                         f"{group[0].field.line} has a layer of that name, and each gets its own "
                         "weights, in order")
    renamed = []
    for name, blobs in stored:
        new_names = names.get(name)
        renamed.append((new_names.pop(0) if new_names and blobs else name, blobs))
    return edits.apply(), renamed, tuple(notes)


def _with_shared_blobs(net: Net, stored: Stored) -> Stored:
    """The weights with the blobs that HDF5 leaves out taken from the layers that share them."""
    blobs_by_layer, owners = dict(stored), {}
    for layer in net.layers:
        for spec, blob in zip(layer.message.param, blobs_by_layer.get(layer.name, ())):
            if spec.name and not blob.is_absent:
                owners[spec.name] = blob
    names = {layer.name: [spec.name for spec in layer.message.param] for layer in net.layers}
    filled: Stored = []
    for name, blobs in stored:
        shared = names.get(name, [])
        if not blobs and shared and all(spec_name in owners for spec_name in shared):
            blobs = [owners[spec_name] for spec_name in shared]
        elif name in names:
            blobs = [owners[shared[index]] if blob.is_absent and index < len(shared)
                     and shared[index] in owners else blob for index, blob in enumerate(blobs)]
        if name in names and any(blob.is_absent for blob in blobs):
            raise WeightsError(f"layer {name} lacks a blob, and the net shares it with no layer "
                               "of the file", subject=name)
        filled.append((name, blobs))
    return filled


def _free_name(name: str, taken: Set[str]) -> str:
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    taken.add(f"{name}#{number}")
    return f"{name}#{number}"


def _work(layer: Layer, stored: Mapping[str, Sequence[Blob]]) -> Dict[str, List[str]]:
    """What a layer does besides its own work: layer type -> the lines of its parameters."""
    if layer.type not in _FUSING:
        return {}
    try:
        message = layer.message
    except PrototxtError:  # Whoever needs the values refuses them; what is right can be changed.
        return {}
    work: Dict[str, List[str]] = {}
    if layer.type == "BatchNorm" and (
            scales_inside(message) or _is_of_nvidia(stored.get(layer.name, ()))):
        work["Scale"] = braced("scale_param", _fillers(layer), "bias_term: true")
    if layer.type == "ELU":
        factor = getattr(message.elu_param, "lambda")
        if factor != 1:
            work["Power"] = [f"power_param {{ scale: {factor:.9g} }}"]
    elif getattr(message, _parameters(layer)).relu:
        slope = getattr(message, _parameters(layer)).negative_slope
        work["ReLU"] = [f"relu_param {{ negative_slope: {slope:.9g} }}"] if slope else []
    return work


def _parameters(layer: Layer) -> str:
    return _PARAMETERS.get(layer.type) or layers.of(layer.type).parameters


def _fillers(layer: Layer) -> List[str]:
    """The fillers of a BatchNorm's scale and bias, as a Scale names them."""
    lines = []
    for written, name in (("scale_filler", "filler"), ("bias_filler", "bias_filler")):
        for parameters in layer.field.value.all("batch_norm_param"):
            for filler in parameters.value.all(written):
                text = filler.source.text[filler.value.start:filler.value.end]
                lines.append(name + " " + " ".join(text.split()))
    return lines


def _divide(edits: Edits, layer: Layer, work: Mapping[str, List[str]]) -> str:
    """Insert the layers that take over a layer's further work; gives a note."""
    if layer.field.in_list:
        raise layer.field.error(f"layer {layer.name} stands in a list; write it as layer {{ ... }}")
    tree = layer.field.value
    for parameters in tree.all(_parameters(layer)):
        for entry in parameters.value:
            if entry.name in ("scale_bias", "scale_filler", "bias_filler", "relu",
                              "negative_slope", "lambda"):
                edits.remove(entry)
    specs = tree.all("param")[_STATISTICS:] if "Scale" in work else []
    for spec in specs:
        edits.remove(spec)
    kept = [_flat(entry) for entry in layer.rules]
    lines: List[str] = []
    for layer_type, parameters in work.items():
        name = scale_name(layer.name) if layer_type == "Scale" else (
            f"{layer.name}/{layer_type.lower()}")
        learned = [_flat(spec) for spec in specs] if layer_type == "Scale" else []
        top = quoted(layer.tops[0])
        lines += braced("layer", "name: " + quoted(name), "type: " + quoted(layer_type),
                        "bottom: " + top, "top: " + top, kept, learned, parameters)
    edits.insert_after(layer.field, fitted(layer.field, lines))
    return f"split {describe_layer(layer)} into a {' and a '.join([layer.type] + list(work))}"


def _flat(entry: Any) -> str:
    """The text of a field in one line."""
    text = entry.source.text[entry.start:entry.end]
    return " ".join(line.split("#")[0].strip() for line in text.split("\n")).strip()


def _divided(stored: Stored, names: Set[str]) -> Stored:
    """The weights, with those of the named BatchNorms given to a BatchNorm and a Scale each."""
    divided: Stored = []
    for name, blobs in stored:
        if name in names and len(blobs) == _WITH_SCALE:
            blobs = [Blob(blob.array.reshape(-1), False) for blob in _in_new_order(blobs)]
            # This fork keeps the statistics themselves, and the third blob means nothing.
            blobs[2] = Blob(np.ones(1, np.float32), False)
            divided.append((name, blobs[:_STATISTICS]))
            divided.append((scale_name(name), blobs[_STATISTICS:]))
        else:
            divided.append((name, list(blobs)))
    return divided


def _is_of_nvidia(blobs: Sequence[Blob]) -> bool:
    """Whether the blobs of a BatchNorm tell that scale and bias are inside.

    Five blobs in the later order, with a factor, may be Intel's, which divides by it.
    """
    return len(blobs) == _WITH_SCALE and (
        _is_old_order(blobs) or bool((blobs[2].array == 1).all()))


def _is_old_order(blobs: Sequence[Blob]) -> bool:
    return blobs[-1].array.size == 1 < blobs[0].array.size


def _in_new_order(blobs: Sequence[Blob]) -> List[Blob]:
    """Mean, variance, factor, scale, bias.

    Older versions of NVIDIA's fork have scale, bias, mean, variance, factor; where the single
    number stands tells. Source: ``Net::CopyTrainedLayersFrom`` in its ``net.cpp``.
    """
    if _is_old_order(blobs):
        return [blobs[index] for index in (2, 3, 4, 0, 1)]
    return list(blobs)
