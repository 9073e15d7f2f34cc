"""BatchNorm and Scale as part of the convolution before them."""

from collections import Counter

import numpy as np

from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.text import quoted
from prototxt_tools.text.edits import Edits

_WEIGHTED = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param"}
_FOLDED = ("BatchNorm", "Scale")


def fold(document, weights):
    """Multiply each BatchNorm and Scale into the Convolution or InnerProduct before it.

    In phase TEST both are ``a * x + b`` with one a and b per channel: a BatchNorm with mean m,
    variance v and scale factor s has a = 1 / sqrt(v / s + eps) and b = -a * m / s
    (``batch_norm_layer.cpp``; Ioffe and Szegedy 2015, section 3.1). The layer before it takes
    both over: weights a * W, bias a * c + b. That is done where nothing else reads the value in
    between. The outputs are the same up to rounding.

    Parameters
    ----------
    document : Document
        Of a net without training phase; see ``deploy``.
    weights : dict
        Layer name to list of arrays, as ``weights.load`` gives them; not changed.

    Returns
    -------
    Rewrite
    weights : dict
        With the new weights, and without the layers that are gone.

    Raises
    ------
    PrototxtError
        If the document is no net.
    """
    net = Net.parse(document)
    edits, notes, weights = Edits(document), [], dict(weights)
    chains = _Chains(net)
    for index, layer in enumerate(net.layers):
        if layer.type not in _FOLDED:
            continue
        owner, obstacle = chains.owner(index)
        if owner is not None:
            factors, obstacle = _factors(layer, net.layers[owner], weights)
        if obstacle:
            notes.append(f"left {said(layer)}: {obstacle}")
            continue
        maker = net.layers[owner]
        weights[maker.name] = _scaled(maker, weights[maker.name], *factors)
        del weights[layer.name]
        edits.remove(layer.field)
        chains.fold(index, owner)
        notes.append(f"folded {said(layer)} into {said(maker)}")
    for owner, top in chains.tops.items():
        _finish(edits, net.layers[owner], top)
    return Rewrite(edits.apply(), notes), weights


class _Chains:
    """Which layer made the value that a layer reads, and who else reads that value."""

    def __init__(self, net):
        self.net = net
        self.sources, self.readers = {}, {}
        self.tops = {}  # index of a layer that took others over -> its top now
        self._stand_in = {}
        last = {}
        for index, layer in enumerate(net.layers):
            for bottom in layer.bottoms:
                source = last.get(bottom)
                self.sources[index] = source
                self.readers.setdefault((source, bottom), []).append(index)
            last.update(dict.fromkeys(layer.tops, index))
        self._shared = _shared_weights(net)

    def owner(self, index):
        """(index of the Convolution or InnerProduct that can take a layer over, None), or (None,
        why there is none)."""
        layer = self.net.layers[index]
        source = self.sources.get(index)
        owner = self._stand_in.get(source, source)
        if owner is None or len(layer.bottoms) != 1 or len(layer.tops) != 1:
            return None, "it does not read one layer and write one blob"
        maker = self.net.layers[owner]
        if maker.type not in _WEIGHTED or len(maker.bottoms) != 1 or len(maker.tops) != 1:
            return None, f"it follows {said(maker)}"
        if self.readers[source, layer.bottoms[0]] != [index]:
            return None, f"another layer reads {layer.bottoms[0]} as well"
        for party in (maker, layer):
            if party.name in self._shared or party.form == "V0" or _rules(party):
                return None, f"{said(party)} shares its name or weights or has phases"
        if not self._is_free(layer.tops[0], owner, index):
            return None, f"{layer.tops[0]} has another value before"
        return owner, None

    def fold(self, index, owner):
        self._stand_in[index] = owner
        self.tops[owner] = self.net.layers[index].tops[0]

    def _is_free(self, top, start, end):
        """Whether no layer in between reads or writes what will be the top of the first."""
        between = self.net.layers[start + 1 : end]
        mine = {self.net.layers[start].tops[0], self.tops.get(start)}
        return top in mine or not any(top in layer.bottoms + layer.tops for layer in between)


def _rules(layer):
    return layer.field.value.all("include") + layer.field.value.all("exclude")


def _shared_weights(net):
    """Names of layers that share weights with others, or their own name with another layer."""
    counts = Counter(layer.name for layer in net.layers)
    shared = {name for name, count in counts.items() if count > 1}
    for layer in net.layers:
        if any(spec.name for spec in layer.message.param):
            shared.add(layer.name)
    return shared


def _factors(layer, maker, weights):
    """((a, b), None), each of one value per channel, or (None, what stands in the way)."""
    for needed in (layer, maker):
        if needed.name not in weights:
            return None, f"there are no weights for {needed.name}"
    if maker.message.inner_product_param.axis != 1 or maker.message.convolution_param.axis != 1:
        return None, f"{maker.name} works along another axis than 1"
    blobs = [np.asarray(blob, np.float64).ravel() for blob in weights[layer.name]]
    channels = getattr(maker.message, _WEIGHTED[maker.type]).num_output
    sizes = [np.size(blob) for blob in weights[maker.name]]
    if not channels or sizes[0] % channels or sizes[1:] not in ([], [channels]):
        return None, f"the weights of {maker.name} do not fit it"
    if layer.type == "BatchNorm":
        parameters = layer.message.batch_norm_param
        if parameters.HasField("use_global_stats") and not parameters.use_global_stats:
            return None, "it uses the statistics of each batch"
        if len(blobs) != 3 or blobs[0].size != channels:
            return None, "its weights are not stock Caffe's mean, variance and factor"
        factor = 1 / blobs[2][0] if blobs[2][0] else 0
        scale = 1 / np.sqrt(blobs[1] * factor + parameters.eps)
        return (scale, -scale * blobs[0] * factor), None
    parameters = layer.message.scale_param
    if (parameters.axis, parameters.num_axes) != (1, 1) or blobs[0].size != channels:
        return None, "it does not scale each channel by itself"
    offset = blobs[1] if len(blobs) > 1 else np.zeros(channels)
    return (blobs[0], offset), None


def _scaled(maker, blobs, scale, offset):
    weight = np.asarray(blobs[0], np.float64)
    bias = np.asarray(blobs[1], np.float64).ravel() if len(blobs) > 1 else np.zeros(len(scale))
    if maker.type == "InnerProduct" and maker.message.inner_product_param.transpose:
        scaled = weight.reshape(-1, len(scale)) * scale
    else:
        scaled = weight.reshape(len(scale), -1) * scale[:, None]
    bias = bias * scale + offset
    return [scaled.reshape(weight.shape).astype(np.float32), bias.astype(np.float32)]


def _finish(edits, layer, top):
    """The text of a layer that took others over: their top, and a bias."""
    tree = layer.field.value
    if layer.tops[0] != top:
        edits.replace(tree.first("top").value, quoted(top))
    parameters = tree.first(_WEIGHTED[layer.type])
    bias = parameters.value.first("bias_term") if parameters is not None else None
    if bias is not None and not getattr(layer.message, _WEIGHTED[layer.type]).bias_term:
        edits.remove(bias)
