"""A training definition as a deploy net: one that takes images and gives probabilities."""

import re

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.data_shapes import data_shape
from prototxt_tools.rewrite.inputs import remove_unread
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.text import put, quoted
from prototxt_tools.rewrite.upgrade import input_layer, upgrade_layers
from prototxt_tools.text.edits import Edits

# Layers without bottoms that a deploy net may have.
_CONSTANT = {"Input", "Parameter", "DummyData"}
_JUDGES = re.compile("Loss|Accuracy|Eval|Silence|Annotator")
_LINKS = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
_LINK_FIELDS = {"name", "type", "bottom", "top", "softmax_param", "sigmoid_param"}


def deploy(document, input_shape=None):
    """Make a deploy net of the net that a training definition gives in phase TEST.

    Data layers become Input layers; losses, accuracies and whatever else needs labels go, as do
    the layers of other phases and auxiliary heads; a SoftmaxWithLoss becomes a Softmax, a
    SigmoidCrossEntropyLoss a Sigmoid; include and exclude rules, which then say nothing, go.
    Where rules name the stage "deploy", the net is the one with that stage.

    Parameters
    ----------
    document : Document
        Of any form; V0 and V1 become V2.
    input_shape : tuple of int or dict, optional
        Shape of the one input, or shapes by blob; goes before what the data layers say.

    Returns
    -------
    Rewrite
        The notes say what was assumed, and what the data layers did to images.

    Raises
    ------
    InputError
        If nothing says the shape of an input.
    """
    document, notes = upgrade_layers(document)
    whole = Net.parse(document)
    net = whole.at("TEST", _stages(whole))
    kept, links = _kept(whole, net)
    if not kept:
        place = document.path or "<prototxt>"
        raise InputError(f"{place}: nothing but data and losses; no deploy net")
    edits = Edits(document)
    fed, said_of_it = _feed(edits, whole, net, kept, input_shape)
    notes += said_of_it + _restless(kept)
    names, stay = _link_names(links, kept), {id(layer) for layer in kept}
    readers = []
    for layer in whole.layers:
        if id(layer) in names:
            _make_link(edits, layer, names[id(layer)])
            notes.append(f"made {said(layer)} a {_LINKS[layer.type]}")
        elif id(layer) in stay or layer.type == "Input":
            readers.append(layer)
            for rule in _rules(layer):
                edits.remove(rule)
        elif id(layer) not in fed:
            edits.remove(layer.field)
            notes.append(f"removed {said(layer)}")
    notes += remove_unread(edits, whole.of(readers), [layer.bottoms[0] for layer in links])
    return Rewrite(edits.apply(), notes)


def _rules(layer):
    return layer.field.value.all("include") + layer.field.value.all("exclude")


def _stages(net):
    for layer in net.layers:
        for rule in _rules(layer):
            if rule.is_message and "deploy" in (
                rule.value.strings("stage") + rule.value.strings("not_stage")
            ):
                return ("deploy",)
    return ()


def _is_source(layer):
    return not layer.bottoms and bool(layer.tops) and layer.type not in _CONSTANT


def _is_weighted(layer):
    return shapes.parameter_count(layer) > 0


def _behind(layers, blobs):
    """The layers that depend on any of the blobs, however indirectly."""
    blobs, found = set(blobs), []
    for layer in layers:
        if blobs & set(layer.bottoms):
            found.append(layer)
            blobs.update(layer.tops)
    return found


def _labels(net, sources):
    """The tops of data layers that no layer with weights depends on; of these, a first top is
    no label where the net has no weights."""
    tops = [(top, index) for layer in sources for index, top in enumerate(layer.tops)]
    images = {top for top, _ in tops if any(map(_is_weighted, _behind(net.layers, [top])))}
    images = images or {top for top, index in tops if index == 0}
    return {top for top, _ in tops} - images


def _kept(whole, net):
    """The layers that a deploy net keeps, and the losses that become Softmax or Sigmoid."""
    sources = [layer for layer in net.layers if _is_source(layer)]
    dropped = sources + _behind(net.layers, _labels(net, sources))
    dropped += [layer for layer in net.layers if _JUDGES.search(layer.type)]
    gone = {id(layer) for layer in dropped}
    left = [layer for layer in net.layers if id(layer) not in gone]
    pruned = net.of(left)
    losses, auxiliary = _losses(whole, net, pruned)
    judged = {blob for layer in dropped for blob in layer.bottoms}
    silenced = {x for layer in dropped if layer.type == "Silence" for x in layer.bottoms}
    weighted = {id(layer) for layer in left if _is_weighted(layer)}
    graph = Graph(pruned)
    wanted = []
    for blob in pruned.outputs():
        above = {id(left[index]) for index in graph.ancestors([blob])}
        if blob not in auxiliary and (blob not in judged or above & weighted):
            wanted.append(blob)
    wanted = [blob for blob in wanted if blob not in silenced] or wanted
    kept = [left[index] for index in sorted(graph.ancestors(wanted))]
    tops = {top for layer in kept for top in layer.tops}
    return kept, [layer for layer in losses if layer.bottoms[0] in tops]


def _losses(whole, net, pruned):
    """One loss to become Softmax or Sigmoid per score, and the scores of auxiliary heads.

    An auxiliary head has the label of another one and a smaller loss_weight, as in GoogLeNet.
    """
    first = {}
    for layer in net.layers + whole.layers:
        if layer.type in _LINKS and layer.bottoms:
            first.setdefault(layer.bottoms[0], layer)
    heaviest, auxiliary = {}, set()
    for layer in first.values():
        key = tuple(layer.bottoms[1:])
        heaviest[key] = max(heaviest.get(key, 0), _loss_weight(layer))
    for blob, layer in first.items():
        if _loss_weight(layer) < heaviest[tuple(layer.bottoms[1:])]:
            auxiliary.add(blob)
    links = set(_LINKS.values())
    linked = {blob for layer in pruned.layers if layer.type in links for blob in layer.bottoms}
    made = [loss for blob, loss in first.items() if blob not in linked | auxiliary]
    return made, auxiliary


def _restless(kept):
    """A note on the BatchNorm layers that do not use what they have learned."""
    restless = [
        layer
        for layer in kept
        if layer.type == "BatchNorm"
        and layer.message.batch_norm_param.HasField("use_global_stats")
        and not layer.message.batch_norm_param.use_global_stats
    ]
    if not restless:
        return []
    return [
        f"left {len(restless)} BatchNorm layers with use_global_stats: false, {said(restless[0])} first: they use the statistics "
        "of each batch, not the learned ones"
    ]


def _loss_weight(layer):
    weights = list(layer.message.loss_weight)
    return weights[0] if weights else 1.0


def _feed(edits, whole, net, kept, input_shape):
    """Turn the data layers that kept layers read into Input layers; gives their ids and notes."""
    made = {entry.blob for entry in whole.inputs}
    for layer in kept:
        made.update(layer.tops)
    needed = [blob for layer in kept for blob in layer.bottoms if blob not in made]
    sources, notes = {}, []
    for layer in net.layers + whole.layers:
        for top in layer.tops if _is_source(layer) else ():
            sources.setdefault(top, layer)
    fed, blobs = set(), [blob for blob in dict.fromkeys(needed) if blob in sources]
    given = _given_shapes(input_shape, blobs, whole)
    for layer in dict.fromkeys(sources[blob] for blob in blobs):
        tops = [top for top in layer.tops if top in blobs and sources[top] is layer]
        sizes = []
        for top in tops:
            size, reason = data_shape(layer, top)
            if top in given:
                size, reason = given[top], "as given"
            if size is None:
                raise InputError(
                    "{}: {}, so give the shape of {}: --input-shape {}=1,3,224,224, say".format(
                        whole.document.path or "<prototxt>", reason, top, top
                    )
                )
            sizes.append(size)
            notes.append(
                "made {} an Input: {} is {} ({})".format(
                    said(layer), top, " x ".join(map(str, size)), reason
                )
            )
        notes += _preprocessing(layer)
        put(edits, layer.field, input_layer(layer.name, tops, sizes))
        fed.add(id(layer))
    for blob in dict.fromkeys(needed):
        if blob not in sources:
            notes.append(f"left {blob}: no layer and no input makes it")
    return fed, notes


def _given_shapes(input_shape, blobs, whole):
    if input_shape is None:
        return {}
    if not isinstance(input_shape, dict):
        if len(blobs) > 1:
            raise InputError(
                "the net has several inputs ({}): say the shape of each by name".format(
                    ", ".join(blobs)
                )
            )
        return dict.fromkeys(blobs, tuple(input_shape))
    for blob in input_shape:
        if blob not in whole.blobs():
            raise InputError(f"the net has no blob {blob!r} to give a shape")
    return input_shape


def _preprocessing(layer):
    """What the data layer did to images, which whoever fills the Input has to do now."""
    field = layer.field.value.first("transform_param")
    if field is None:
        return []
    text = field.source.text
    values = [
        " ".join(text[part.start : part.end].split())
        for part in field.value
        if part.name in ("scale", "mean_file", "mean_value")
    ]
    return ["{} prepared images with {}".format(said(layer), ", ".join(values))] if values else []


def _link_names(links, kept):
    """``prob`` for one link, ``prob_SCORE`` for several, and not the name of anything kept."""
    taken = {name for layer in kept for name in [layer.name] + layer.tops}
    names = {}
    for layer in links:
        name = "prob" if len(links) == 1 else "prob_" + layer.bottoms[0]
        while name in taken:
            name += "_1"
        taken.add(name)
        names[id(layer)] = name
    return names


def _make_link(edits, layer, name):
    tree = layer.field.value
    edits.replace(tree.first("type").value, quoted(_LINKS[layer.type]))
    if tree.first("name") is not None:
        edits.replace(tree.first("name").value, quoted(name))
    if layer.tops:
        edits.replace(tree.first("top").value, quoted(name))
    else:
        edits.insert_after(tree.first("bottom"), "top: " + quoted(name))
    spare = tree.all("bottom")[1:] + tree.all("top")[1:]
    for field in spare + [field for field in tree if field.name not in _LINK_FIELDS]:
        edits.remove(field)
