"""Make Caffe compute gradients in a deploy net, which it does not do by itself.

A deploy net has no loss, so ``Net::Init`` (``src/caffe/net.cpp``) switches the backward pass of
every layer off, and ``net.backward`` silently leaves all diffs at zero.
"""

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.text.edits import Edits

_TRUE = ("true", "True", "t", "1")


def force_backward(document):
    """Add ``force_backward: true``, or set it where it stands.

    It switches every layer on, and forces the gradients of all weights as well; see
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
        If the document is no net.
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
            raise field.error("force_backward wants true or false")
        if field.value.text not in _TRUE:
            edits.replace(field.value, "true")
            notes.append(f"set force_backward to true in line {field.line}")
    return Rewrite(edits.apply(), notes)


def lean_backward(document, score, targets):
    """Switch on just the backward pass that leads from a score blob to target blobs.

    The layer that writes the score gets ``loss_weight: 1`` (so that its bottoms "contribute to
    the loss"), everything downstream of the targets ``lr_mult: 0`` (so that no gradient of a
    weight is computed), and ``force_backward`` goes. The gradient at the targets is the same to
    the last bit as with ``force_backward``. ``loss_weight`` fills the score's diff when the net
    is built: overwrite it before each backward.

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
        If a blob is not there, a target is no ancestor of the score or has no weights before it,
        or the form is V0, which has no place for ``loss_weight``.
    """
    net = Net.parse(document).at("TEST")
    graph = Graph(net)
    _check(net, graph, score, targets)
    edits, notes = Edits(document), []
    for field in document.root.all("force_backward"):
        edits.remove(field)
        notes.append(f"removed force_backward (line {field.line})")
    writer = net.layers[graph.writers(score)[-1]]
    if _set_loss_weight(edits, writer, score):
        notes.append(f"gave {said(writer)} loss_weight: 1")
    head = _downstream(graph, targets)
    shared = _weight_names(net, set(range(len(net.layers))) - head)
    for index in sorted(head):
        if _freeze(edits, net.layers[index], shared):
            notes.append(f"gave {said(net.layers[index])} lr_mult: 0")
    for target in targets:
        notes += _keep_learning(edits, net, graph, target, head)
    return Rewrite(edits.apply(), notes)


def _check(net, graph, score, targets):
    if net.form == "V0":
        raise InputError("lean backward has no form in V0 nets; upgrade the file to V2 first")
    for blob in [score] + list(targets):
        if not graph.writers(blob):
            raise InputError(f"no layer of the net writes a blob {blob!r}")
    ancestors = graph.ancestors([score])
    for target in targets:
        if target == score or graph.writers(target)[0] not in ancestors:
            raise InputError(f"{score} does not depend on {target}")


def _downstream(graph, targets):
    """Indices of the layers that depend on the final value of a target."""
    reached, blobs = set(), set()
    starts = {target: graph.writers(target)[-1] for target in targets}
    for index, layer in enumerate(graph.net.layers):
        if blobs & set(layer.bottoms):
            reached.add(index)
            blobs.update(layer.tops)
        blobs.update(target for target, last in starts.items() if last == index)
    return reached


def _set_loss_weight(edits, layer, score):
    """One loss_weight per top (``Layer::SetLossWeights``); False if they stand there already."""
    present = layer.field.value.all("loss_weight")
    wanted = ["1" if top == score else "0" for top in layer.tops]
    if [field.value.text for field in present] == wanted:
        return False
    for field in present:
        edits.remove(field)
    for value in reversed(wanted):
        edits.insert_after(layer.field.value.all("top")[-1], "loss_weight: " + value)
    return True


def _weight_names(net, indices):
    """Names under which layers share weights."""
    specs = [spec for index in indices for spec in net.layers[index].message.param]
    return {spec.name for spec in specs if spec.name}


def _freeze(edits, layer, shared):
    """Set lr_mult of all weights to 0; False if nothing had to change."""
    count = shapes.parameter_count(layer)
    if layer.type == "BatchNorm" or not count:
        return False
    # Caffe refuses a shared weight with two different lr_mult.
    if any(spec.name in shared for spec in layer.message.param):
        return False
    return _set_rates(edits, layer, ["0"] * count)


def _set_rates(edits, layer, rates):
    tree = layer.field.value
    key = "blobs_lr" if layer.form == "V1" else "param"
    present, changed = tree.all(key), False
    for field, rate in zip(present, rates):
        place = field if key == "blobs_lr" else field.value.first("lr_mult")
        if place is None:
            edits.append(field, "lr_mult: " + rate)
        elif float(place.value.text.rstrip("fF")) != float(rate):
            edits.replace(place.value, rate)
        else:
            continue
        changed = True
    line = "blobs_lr: {}" if key == "blobs_lr" else "param {{ lr_mult: {} }}"
    anchor = (present or tree.all("top") or tree.fields)[-1]
    for rate in reversed(rates[len(present):]):
        edits.insert_after(anchor, line.format(rate))
        changed = True
    return changed


def _keep_learning(edits, net, graph, target, head):
    """See to it that some weight before the target learns, or its diff would stay zero."""
    before = [net.layers[i] for i in sorted(graph.ancestors([target])) if i not in head]
    weighty = [x for x in before if shapes.parameter_count(x) and x.type != "BatchNorm"]
    if not weighty:
        if _downstream_of_other(graph, target, head):
            return []
        raise InputError(
            f"no layer before {target} has weights, so lean backward cannot reach it; "
            "use force_backward"
        )
    for layer in weighty:
        rates = [spec.lr_mult for spec in layer.message.param]
        if len(rates) < shapes.parameter_count(layer) or any(rates):
            return []
    _set_rates(edits, weighty[-1], ["1"] * shapes.parameter_count(weighty[-1]))
    return [f"gave {said(weighty[-1])} lr_mult: 1, so that {target} gets a gradient"]


def _downstream_of_other(graph, target, head):
    return graph.writers(target)[0] in head
