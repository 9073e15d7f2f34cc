"""Make Caffe compute gradients in a deploy net, which it does not do by itself.

A deploy net has no loss, so ``Net::Init`` (``src/caffe/net.cpp``) switches the backward pass of
every layer off, and ``net.backward`` silently leaves all diffs at zero.
"""

from typing import Dict, Iterable, List, Set

from prototxt_tools import shapes
from prototxt_tools.errors import InputError, QuestionError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

_TRUE = ("true", "True", "t", "1")


def force_backward(document: Document) -> Rewrite:
    """Add ``force_backward: true``, or set it where the field is already there.

    It switches every layer on, and makes Caffe compute the gradients of all weights as well; see
    ``lean_backward`` for a way without them.

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    """
    Net.parse(document)
    edits, notes = Edits(document), []
    present = document.root.all("force_backward")
    if not present:
        name = document.root.first("name")
        if name is not None:
            edits.insert_after(name, "force_backward: true")
        else:
            edits.insert_before(document.root.fields[0], "force_backward: true")
        notes.append("added force_backward: true")
    for field in present:
        if field.is_message:
            raise field.error("force_backward must be true or false")
        if field.value.text not in _TRUE:
            edits.replace(field.value, "true")
            notes.append(f"set force_backward to true in line {field.line}")
    return Rewrite(edits.apply(), tuple(notes))


def lean_backward(document: Document, score: str, targets: Iterable[str]) -> Rewrite:
    """Switch on only the backward pass that leads from a score blob to target blobs.

    The layer that writes the score gets ``loss_weight: 1`` (so that its bottoms "contribute to
    the loss"), everything downstream of the targets gets ``lr_mult: 0`` (so that no gradient of a
    weight is computed), and ``force_backward`` is removed. The gradient at the targets is the
    same to the last bit as with ``force_backward``. ``loss_weight`` fills the score's diff when
    the net is built: overwrite it before each backward pass.

    Parameters
    ----------
    document : Document
        Of form V1 or V2, without anything behind the score (see ``strip_softmax`` and ``cut``).
    score : str
    targets : iterable of str

    Returns
    -------
    Rewrite

    Raises
    ------
    InputError
        If the net does not have one of the blobs, the score does not depend on a target, no layer
        before a target has weights, or the form is V0, which has no place for ``loss_weight``.
    """
    targets = list(targets)
    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    _check(graph, score, targets)
    edits, notes = Edits(document), []
    for field in document.root.all("force_backward"):
        edits.remove(field)
        notes.append(f"removed force_backward (line {field.line})")
    writer = net.layers[graph.writers(score)[-1]]
    if _set_loss_weight(edits, writer, score):
        notes.append(f"gave {describe_layer(writer)} loss_weight: 1")
    downstream = _downstream(graph, targets)
    shared = _weight_names(net, set(range(len(net.layers))) - downstream)
    for index in sorted(downstream):
        if _freeze(edits, net.layers[index], shared):
            notes.append(f"gave {describe_layer(net.layers[index])} lr_mult: 0")
    for target in targets:
        notes += _keep_learning(edits, graph, target, downstream)
    return Rewrite(edits.apply(), tuple(notes))


def _check(graph: Graph, score: str, targets: List[str]) -> None:
    if graph.net.form == "V0":
        raise InputError("lean backward has no form in V0 nets; upgrade the file to V2 first")
    for blob in [score] + targets:
        if not graph.writers(blob):
            raise QuestionError(f"no layer of the net writes a blob {blob!r}", subject=blob)
    ancestors = graph.ancestors([score])
    for target in targets:
        if target == score or graph.writers(target)[0] not in ancestors:
            raise QuestionError(f"{score} does not depend on {target}", subject=target)


def _downstream(graph: Graph, targets: List[str]) -> Set[int]:
    """Indices of the layers that depend on the final value of a target."""
    indices: Set[int] = set()
    blobs: Set[str] = set()
    last_writers: Dict[str, int] = {target: graph.writers(target)[-1] for target in targets}
    for index, layer in enumerate(graph.net.layers):
        if blobs & set(layer.bottoms):
            indices.add(index)
            blobs.update(layer.tops)
        blobs.update(target for target, last in last_writers.items() if last == index)
    return indices


def _set_loss_weight(edits: Edits, layer: Layer, score: str) -> bool:
    """One loss_weight per top (``Layer::SetLossWeights``); False if the file has them already."""
    present = layer.field.value.all("loss_weight")
    weights = ["1" if top == score else "0" for top in layer.tops]
    if [field.value.text for field in present] == weights:
        return False
    for field in present:
        edits.remove(field)
    for weight in reversed(weights):
        edits.insert_after(layer.field.value.all("top")[-1], "loss_weight: " + weight)
    return True


def _weight_names(net: Net, indices: Iterable[int]) -> Set[str]:
    """Names under which layers share weights."""
    specs = [spec for index in indices for spec in net.layers[index].message.param]
    return {spec.name for spec in specs if spec.name}


def _freeze(edits: Edits, layer: Layer, shared: Set[str]) -> bool:
    """Set lr_mult of all weights to 0; False if nothing had to change."""
    count = shapes.parameter_count(layer)
    if layer.type == "BatchNorm" or not count:
        return False
    # Caffe refuses a shared weight with two different lr_mult.
    if any(spec.name in shared for spec in layer.message.param):
        return False
    return _set_rates(edits, layer, ["0"] * count)


def _set_rates(edits: Edits, layer: Layer, rates: List[str]) -> bool:
    """Set the learning rates of a layer's weights; False if nothing had to change."""
    tree = layer.field.value
    key = "blobs_lr" if layer.form == "V1" else "param"
    present, changed = tree.all(key), False
    for field, rate in zip(present, rates):
        rate_field = field if key == "blobs_lr" else field.value.first("lr_mult")
        if rate_field is None:
            edits.append(field, "lr_mult: " + rate)
        elif float(rate_field.value.text.rstrip("fF")) != float(rate):
            edits.replace(rate_field.value, rate)
        else:
            continue
        changed = True
    anchor = (present or tree.all("top") or tree.fields)[-1]
    for rate in reversed(rates[len(present):]):
        line = f"blobs_lr: {rate}" if key == "blobs_lr" else f"param {{ lr_mult: {rate} }}"
        edits.insert_after(anchor, line)
        changed = True
    return changed


def _keep_learning(edits: Edits, graph: Graph, target: str, downstream: Set[int]) -> List[str]:
    """Make sure that a weight before the target learns, or its diff would stay zero."""
    layers = graph.net.layers
    before = [layers[i] for i in sorted(graph.ancestors([target])) if i not in downstream]
    weighted = [layer for layer in before
                if shapes.parameter_count(layer) and layer.type != "BatchNorm"]
    if not weighted:
        if graph.writers(target)[0] in downstream:  # the weights lie before another target
            return []
        raise InputError(
            f"no layer before {target} has weights, so lean backward cannot reach it; "
            "use force_backward", subject=target
        )
    for layer in weighted:
        rates = [spec.lr_mult for spec in layer.message.param]
        if len(rates) < shapes.parameter_count(layer) or any(rates):
            return []
    last = weighted[-1]
    _set_rates(edits, last, ["1"] * shapes.parameter_count(last))
    return [f"gave {describe_layer(last)} lr_mult: 1, so that {target} gets a gradient"]
