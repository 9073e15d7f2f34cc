"""A training definition as a deploy net: one that takes images and gives probabilities."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Set, Tuple, Union

from prototxt_tools import layers, shapes
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.data_shapes import data_shape
from prototxt_tools.rewrite.inputs import remove_unread
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.text import quoted, replace_message
from prototxt_tools.rewrite.training_data import batch_sizes, with_single_images, without_targets
from prototxt_tools.rewrite.upgrade import input_layer, upgrade_layers
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

_LINK_FIELDS = {"name", "type", "bottom", "top", "softmax_param", "sigmoid_param"}

Shape = Tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a deploy net has of the net of phase TEST.

    Attributes
    ----------
    whole, net : Net
        The net with the layers of all phases, and that of phase TEST.
    kept : list of Layer
    links : list of Layer
        The losses that become a Softmax or a Sigmoid.
    """

    whole: Net
    net: Net
    kept: List[Layer]
    links: List[Layer]


def deploy(document: Document,
           input_shape: Union[None, Sequence[int], Mapping[str, Sequence[int]]] = None) -> Rewrite:
    """Make a deploy net of the net that a training definition gives in phase TEST.

    Data layers become Input layers. Losses, accuracies and whatever else needs labels are
    removed, as are the layers of other phases and auxiliary heads. A SoftmaxWithLoss becomes a
    Softmax, a SigmoidCrossEntropyLoss a Sigmoid. The include and exclude rules, which then mean
    nothing, are removed. Where rules name the stage "deploy", the net is the one with that stage.

    Parameters
    ----------
    document : Document
        Of any form; V0 and V1 become V2.
    input_shape : tuple of int or dict, optional
        Shape of the only input, or shapes by blob; they take precedence over the data layers.

    Returns
    -------
    Rewrite
        The notes name what was assumed, and what the data layers did to images.

    Raises
    ------
    InputError
        If the file does not give the shape of an input.
    """
    return upgrade_layers(document).then(without_targets).then(_deploy, input_shape)


def _deploy(document: Document,
            input_shape: Union[None, Sequence[int], Mapping[str, Sequence[int]]]) -> Rewrite:
    whole = Net.parse(document)
    plan = _plan(whole)
    if not plan.kept:
        path = document.shown_path
        raise ModelError(f"{path}: only data layers and losses, so there is no deploy net in it",
                         subject=path)
    edits = Edits(document)
    sources = _sources(plan)
    notes = _replace_data_layers(edits, plan, sources, input_shape)
    constants = [layer for layer in plan.kept if layer.type == "DummyData"]
    notes += with_single_images(edits, constants, batch_sizes(list(sources.values())))
    notes += _batch_statistics(plan.kept)
    names = _link_names(plan)
    kept = {id(layer) for layer in plan.kept}
    replaced = {id(layer) for layer in sources.values()}
    readers = []
    for layer in whole.layers:
        if id(layer) in names:
            _make_link(edits, layer, names[id(layer)])
            notes.append(f"made {describe_layer(layer)} a {layers.of(layer.type).inner_link}")
        elif id(layer) in kept or layer.type == "Input":
            readers.append(layer)
            for rule in layer.rules:
                edits.remove(rule)
        elif id(layer) not in replaced:
            edits.remove(layer.field)
            notes.append(f"removed {describe_layer(layer)}")
    notes += remove_unread(edits, whole.of(readers), [layer.bottoms[0] for layer in plan.links])
    return Rewrite(edits.apply(), tuple(notes))


def _stages(net: Net) -> Tuple[str, ...]:
    for layer in net.layers:
        for rule in layer.rules:
            if rule.is_message and "deploy" in (
                rule.value.strings("stage") + rule.value.strings("not_stage")
            ):
                return ("deploy",)
    return ()


def _data_layers(net: Net) -> List[Layer]:
    """The layers that give data which a deploy net gets from its user.

    DummyData, which measures speed in place of images, is such data where there is no other.
    """
    sources = [layer for layer in net.layers
               if not layer.bottoms and layer.tops and layers.of(layer.type).role != "constant"]
    if sources or net.inputs:
        return sources
    return [layer for layer in net.layers if layer.type == "DummyData"]


def _has_weights(layer: Layer) -> bool:
    return shapes.parameter_count(layer) > 0


def _dependents(net: Net, blobs: Iterable[str]) -> List[Layer]:
    """The layers that depend on any of the blobs, however indirectly."""
    reached, dependents = set(blobs), []
    for layer in net.layers:
        if reached & set(layer.bottoms):
            dependents.append(layer)
            reached.update(layer.tops)
    return dependents


def _labels(net: Net, sources: List[Layer]) -> Set[str]:
    """The tops of data layers that no layer with weights depends on.

    Where the net has no weights, the first top of a data layer is an image all the same.
    """
    tops = [(top, index) for layer in sources for index, top in enumerate(layer.tops)]
    images = {top for top, _ in tops if any(map(_has_weights, _dependents(net, [top])))}
    images = images or {top for top, index in tops if index == 0}
    return {top for top, _ in tops} - images


def _plan(whole: Net) -> _Plan:
    """Choose the layers that a deploy net keeps."""
    net = whole.at("TEST", _stages(whole))
    sources = _data_layers(net)
    dropped = sources + _dependents(net, _labels(net, sources))
    dropped += [layer for layer in net.layers if layers.of(layer.type).judges]
    dropped_ids = {id(layer) for layer in dropped}
    remaining = net.of([layer for layer in net.layers if id(layer) not in dropped_ids])
    losses, auxiliary = _losses(whole, net, remaining)
    graph = Graph(remaining)
    outputs = _outputs(graph, dropped, auxiliary)
    kept = [remaining.layers[index] for index in sorted(graph.ancestors(outputs))]
    tops = {top for layer in kept for top in layer.tops}
    return _Plan(whole, net, kept, [loss for loss in losses if loss.bottoms[0] in tops])


def _outputs(graph: Graph, dropped: List[Layer], auxiliary: Set[str]) -> List[str]:
    """The blobs that a deploy net computes: no auxiliary head, nothing made of labels only."""
    remaining = graph.net.layers
    judged = {blob for layer in dropped for blob in layer.bottoms}
    silenced = {blob for layer in dropped if layer.type == "Silence" for blob in layer.bottoms}
    outputs = []
    for blob in graph.net.outputs():
        if blob in auxiliary:
            continue
        ancestors = (remaining[index] for index in graph.ancestors([blob]))
        if blob not in judged or any(map(_has_weights, ancestors)):
            outputs.append(blob)
    return [blob for blob in outputs if blob not in silenced] or outputs


def _losses(whole: Net, net: Net, remaining: Net) -> Tuple[List[Layer], Set[str]]:
    """One loss to become Softmax or Sigmoid per score, and the scores of auxiliary heads.

    An auxiliary head has the label of another one and a smaller loss_weight, as in GoogLeNet.
    """
    losses: Dict[str, Layer] = {}
    for layer in net.layers + whole.layers:
        if layers.of(layer.type).inner_link and layer.bottoms:
            losses.setdefault(layer.bottoms[0], layer)
    heaviest: Dict[Tuple[str, ...], float] = {}
    for loss in losses.values():
        labels = tuple(loss.bottoms[1:])
        heaviest[labels] = max(heaviest.get(labels, 0), _loss_weight(loss))
    auxiliary = {score for score, loss in losses.items()
                 if _loss_weight(loss) < heaviest[tuple(loss.bottoms[1:])]}
    linked = {blob for layer in remaining.layers if layers.of(layer.type).role == "link"
              for blob in layer.bottoms}
    links = [loss for score, loss in losses.items() if score not in linked | auxiliary]
    return links, auxiliary


def _batch_statistics(kept: List[Layer]) -> List[str]:
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
        f"left {len(restless)} BatchNorm layers with use_global_stats: false, "
        f"{describe_layer(restless[0])} first: they use the statistics of each batch, "
        "not the learned ones"
    ]


def _loss_weight(layer: Layer) -> float:
    weights = list(layer.message.loss_weight)
    return weights[0] if weights else 1.0


def _unmade_blobs(plan: _Plan) -> List[str]:
    """The blobs that kept layers read and neither a kept layer nor an input fills."""
    filled = {entry.blob for entry in plan.whole.inputs}
    filled.update(top for layer in plan.kept for top in layer.tops)
    bottoms = [blob for layer in plan.kept for blob in layer.bottoms]
    return [blob for blob in dict.fromkeys(bottoms) if blob not in filled]


def _sources(plan: _Plan) -> Dict[str, Layer]:
    """The blobs that kept layers read from data layers, with these layers."""
    sources: Dict[str, Layer] = {}
    for layer in _data_layers(plan.net) + _data_layers(plan.whole):
        for top in layer.tops:
            sources.setdefault(top, layer)
    return {blob: sources[blob] for blob in _unmade_blobs(plan) if blob in sources}


def _replace_data_layers(
    edits: Edits, plan: _Plan, sources: Dict[str, Layer],
    input_shape: Union[None, Sequence[int], Mapping[str, Sequence[int]]],
) -> List[str]:
    """Turn the data layers that kept layers read into Input layers; gives notes."""
    notes = []
    given = _given_shapes(input_shape, list(sources), plan.whole)
    for layer in dict.fromkeys(sources.values()):
        tops = [top for top in layer.tops if sources.get(top) is layer]
        sizes = []
        for top in tops:
            size, reason = _input_shape(layer, top, given, plan.whole)
            sizes.append(size)
            words = " x ".join(map(str, size))
            notes.append(f"made {describe_layer(layer)} an Input: {top} is {words} ({reason})")
        notes += _preprocessing(layer)
        replace_message(edits, layer.field, input_layer(layer.name, tops, sizes))
    for blob in _unmade_blobs(plan):
        if blob not in sources:
            notes.append(f"left {blob}: no layer and no input makes it")
    return notes


def _input_shape(layer: Layer, top: str, given: Mapping[str, Shape],
                 whole: Net) -> Tuple[Shape, str]:
    """The shape of an input, and where it comes from: this layer, or one of another phase."""
    if top in given:
        return given[top], "as given"
    size, reason = data_shape(layer, top)
    if size is not None:
        return size, reason
    for other in whole.layers:
        other_size, other_reason = (data_shape(other, top) if top in other.tops
                                    and not other.bottoms else (None, ""))
        if other_size is not None:
            return other_size, f"{other_reason}, of {describe_layer(other)}"
    raise ModelError(
        f"{whole.document.shown_path}: {reason}; give the shape of {top}, "
        f"for example --input-shape {top}=1,3,224,224", subject=top)


def _given_shapes(input_shape: Union[None, Sequence[int], Mapping[str, Sequence[int]]],
                  blobs: List[str], whole: Net) -> Dict[str, Shape]:
    """The shapes that the user gives, by blob."""
    if input_shape is None:
        return {}
    if not isinstance(input_shape, Mapping):
        if len(blobs) > 1:
            names = ", ".join(blobs)
            raise QuestionError(
                f"the net has several inputs ({names}): give the shape of each by name"
            )
        return dict.fromkeys(blobs, tuple(input_shape))
    for blob in input_shape:
        if blob not in whole.blobs():
            raise QuestionError(f"the net has no blob {blob!r} to give a shape", subject=blob)
    return {blob: tuple(shape) for blob, shape in input_shape.items()}


def _preprocessing(layer: Layer) -> List[str]:
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
    return [f"{describe_layer(layer)} prepared images with {', '.join(values)}"] if values else []


def _link_names(plan: _Plan) -> Dict[int, str]:
    """``prob`` for one link, ``prob_SCORE`` for several, and not the name of anything kept."""
    taken = {name for layer in plan.kept for name in [layer.name] + layer.tops}
    names = {}
    for layer in plan.links:
        name = "prob" if len(plan.links) == 1 else "prob_" + layer.bottoms[0]
        while name in taken:
            name += "_1"
        taken.add(name)
        names[id(layer)] = name
    return names


def _make_link(edits: Edits, layer: Layer, name: str) -> None:
    """Make a loss a Softmax or a Sigmoid."""
    tree = layer.field.value
    edits.replace(tree.first("type").value, quoted(layers.of(layer.type).inner_link))
    if tree.first("name") is not None:
        edits.replace(tree.first("name").value, quoted(name))
    if layer.tops:
        edits.replace(tree.first("top").value, quoted(name))
    else:
        edits.insert_after(tree.first("bottom"), "top: " + quoted(name))
    spare = tree.all("bottom")[1:] + tree.all("top")[1:]
    for field in spare + [field for field in tree if field.name not in _LINK_FIELDS]:
        edits.remove(field)
