"""Fold BatchNorm and Scale into the convolution before them."""

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import describe_layer
from prototxt_tools.rewrite.separate import WithWeights, separate
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

_OWNERS = ("Convolution", "InnerProduct")
_FOLDED = ("BatchNorm", "Scale")

Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class _Affine:
    """``scale * x + offset``, each with one value per channel."""

    scale: np.ndarray
    offset: np.ndarray


class _Obstacle(Exception):
    """Why a layer cannot be folded."""


def fold(document: Document, weights: Mapping[str, Arrays]) -> WithWeights:
    """Multiply each BatchNorm and Scale into the Convolution or InnerProduct before it.

    In phase TEST both are ``a * x + b`` with one a and b per channel: a BatchNorm with mean m,
    variance v and scale factor s has a = 1 / sqrt(v / s + eps) and b = -a * m / s
    (``batch_norm_layer.cpp``; Ioffe and Szegedy 2015, section 3.1). The layer before it takes
    over both: weights a * W, bias a * c + b. This is done where nothing else reads the value in
    between. The outputs are the same up to rounding.

    Parameters
    ----------
    document : Document
        Of a net without training phase; see ``deploy``.
    weights : dict
        Layer name to list of arrays, as ``weights.load`` gives them; not changed.

    Returns
    -------
    WithWeights
        The weights are float32 where they are new, without the folded layers.

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    WeightsError
        As ``separate``, which is applied first.
    """
    separated = separate(document, weights)
    document, folded_weights = separated.document, dict(separated.weights)
    net = Net.parse(document)
    edits, notes = Edits(document), []
    chains = _Chains(net)
    for index, layer in enumerate(net.layers):
        if layer.type not in _FOLDED:
            continue
        try:
            owner_index = chains.owner(index)
            owner = net.layers[owner_index]
            affine = _affine(layer, owner, folded_weights)
        except _Obstacle as obstacle:
            notes.append(f"left {describe_layer(layer)}: {obstacle}")
            continue
        folded_weights[owner.name] = _scaled(owner, folded_weights[owner.name], affine)
        del folded_weights[layer.name]
        edits.remove(layer.field)
        chains.fold(index, owner_index)
        notes.append(f"folded {describe_layer(layer)} into {describe_layer(owner)}")
    for owner_index, top in chains.tops.items():
        _finish(edits, net.layers[owner_index], top)
    return WithWeights(edits.apply(), separated.notes + tuple(notes), folded_weights)


class _Chains:
    """Which layer made the value that a layer reads, and which other layers read that value.

    Attributes
    ----------
    tops : dict
        Index of each layer that others were folded into -> its top afterwards.
    """

    def __init__(self, net: Net) -> None:
        self.net = net
        self.tops: Dict[int, str] = {}
        self._sources: Dict[int, Optional[int]] = {}
        self._readers: Dict[Tuple[Optional[int], str], List[int]] = {}
        self._owners: Dict[int, int] = {}  # folded layer -> the layer that stands for it
        self._shared = _shared_weights(net)
        writers: Dict[str, int] = {}
        for index, layer in enumerate(net.layers):
            for bottom in layer.bottoms:
                source = writers.get(bottom)
                self._sources[index] = source
                self._readers.setdefault((source, bottom), []).append(index)
            writers.update(dict.fromkeys(layer.tops, index))

    def owner(self, index: int) -> int:
        """The index of the layer that another can be folded into; raises _Obstacle."""
        layer = self.net.layers[index]
        source = self._sources.get(index)
        if source is None or len(layer.bottoms) != 1 or len(layer.tops) != 1:
            raise _Obstacle("it does not read one layer and write one blob")
        owner_index = self._owners.get(source, source)
        owner = self.net.layers[owner_index]
        if owner.type not in _OWNERS or len(owner.bottoms) != 1 or len(owner.tops) != 1:
            raise _Obstacle(f"it follows {describe_layer(owner)}")
        if self._readers[source, layer.bottoms[0]] != [index]:
            raise _Obstacle(f"another layer reads {layer.bottoms[0]} as well")
        for party in (owner, layer):
            if party.name in self._shared or party.form == "V0" or party.rules:
                raise _Obstacle(f"{describe_layer(party)} shares its name or weights or has phases")
        if not self._is_free(layer.tops[0], owner_index, index):
            raise _Obstacle(f"{layer.tops[0]} has another value before")
        return owner_index

    def fold(self, index: int, owner_index: int) -> None:
        self._owners[index] = owner_index
        self.tops[owner_index] = self.net.layers[index].tops[0]

    def _is_free(self, top: str, start: int, end: int) -> bool:
        """Whether no layer in between reads or writes the later top of the first layer."""
        between = self.net.layers[start + 1 : end]
        if top in (self.net.layers[start].tops[0], self.tops.get(start)):
            return True
        return not any(top in layer.bottoms + layer.tops for layer in between)


def _shared_weights(net: Net) -> Set[str]:
    """Names of layers that share weights with others, or their own name with another layer."""
    counts = Counter(layer.name for layer in net.layers)
    shared = {name for name, count in counts.items() if count > 1}
    for layer in net.layers:
        if any(spec.name for spec in layer.message.param):
            shared.add(layer.name)
    return shared


def _affine(layer: Layer, owner: Layer, weights: Mapping[str, Arrays]) -> _Affine:
    """What a BatchNorm or a Scale computes on each channel; raises _Obstacle."""
    for name in (layer.name, owner.name):
        if name not in weights:
            raise _Obstacle(f"there are no weights for {name}")
    if owner.message.inner_product_param.axis != 1 or owner.message.convolution_param.axis != 1:
        raise _Obstacle(f"{owner.name} works along another axis than 1")
    channels = getattr(owner.message, layers.of(owner.type).parameters).num_output
    sizes = [np.size(blob) for blob in weights[owner.name]]
    if not channels or sizes[0] % channels or sizes[1:] not in ([], [channels]):
        raise _Obstacle(f"the weights of {owner.name} do not fit it")
    blobs = [np.asarray(blob, np.float64).ravel() for blob in weights[layer.name]]
    of_type = _batch_norm if layer.type == "BatchNorm" else _scale
    return of_type(layer, blobs, channels)


def _batch_norm(layer: Layer, blobs: List[np.ndarray], channels: int) -> _Affine:
    parameters = layer.message.batch_norm_param
    if parameters.HasField("use_global_stats") and not parameters.use_global_stats:
        raise _Obstacle("it uses the statistics of each batch")
    if len(blobs) != 3 or blobs[0].size != channels:
        raise _Obstacle("its weights are not stock Caffe's mean, variance and factor")
    mean, variance, count = blobs
    factor = 1 / count[0] if count[0] else 0
    scale = 1 / np.sqrt(variance * factor + parameters.eps)
    return _Affine(scale, -scale * mean * factor)


def _scale(layer: Layer, blobs: List[np.ndarray], channels: int) -> _Affine:
    parameters = layer.message.scale_param
    if (parameters.axis, parameters.num_axes) != (1, 1) or blobs[0].size != channels:
        raise _Obstacle("it does not scale each channel by itself")
    return _Affine(blobs[0], blobs[1] if len(blobs) > 1 else np.zeros(channels))


def _scaled(owner: Layer, blobs: Arrays, affine: _Affine) -> List[np.ndarray]:
    """The weight and the bias of a layer that computes an affine map of its output as well."""
    weight = np.asarray(blobs[0], np.float64)
    channels = len(affine.scale)
    bias = np.asarray(blobs[1], np.float64).ravel() if len(blobs) > 1 else np.zeros(channels)
    if owner.type == "InnerProduct" and owner.message.inner_product_param.transpose:
        scaled = weight.reshape(-1, channels) * affine.scale
    else:
        scaled = weight.reshape(channels, -1) * affine.scale[:, None]
    bias = bias * affine.scale + affine.offset
    return [scaled.reshape(weight.shape).astype(np.float32), bias.astype(np.float32)]


def _finish(edits: Edits, layer: Layer, top: str) -> None:
    """Give a layer that others were folded into their top, and a bias."""
    tree = layer.field.value
    if layer.tops[0] != top:
        edits.replace(tree.first("top").value, quoted(top))
    name = layers.of(layer.type).parameters
    parameters = tree.first(name)
    bias_term = parameters.value.first("bias_term") if parameters is not None else None
    if bias_term is not None and not getattr(layer.message, name).bias_term:
        edits.remove(bias_term)
