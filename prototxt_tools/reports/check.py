"""What stock Caffe says against a net, before Caffe is asked.

Caffe dies of what it does not like: of one problem at a time, and of most without naming the
line. The rules follow ``src/caffe/net.cpp``, ``include/caffe/layer.hpp``,
``src/caffe/util/upgrade_proto.cpp`` and ``insert_splits.cpp``.
"""

from prototxt_tools import layers, shapes
from prototxt_tools.errors import InputError, PrototxtError
from prototxt_tools.layers.sizes import volume
from prototxt_tools.net import schema
from prototxt_tools.reports.forks import fork_of
from prototxt_tools.text.tree import Message

_LAYER_MESSAGES = {"layer": "LayerParameter", "layers": "V1LayerParameter"}
_PERMISSIVE = 1
_FILLERS = {"bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"}


def problems(net, phase="TEST"):
    """What stock Caffe refuses about a net, as far as the text tells.

    Whether the files of its data layers and its Python modules are there, the text does not
    tell.

    Parameters
    ----------
    net : prototxt_tools.net.net.Net
        With the layers of every phase: Caffe's parser judges all of them.
    phase : str
        The one whose layers are judged further.

    Returns
    -------
    list of str
        Sentences that begin with ``file:line:column``. Caffe stops at the first step with a
        problem (text, upgrade, layers, shapes), and so does this, but with all that the step has.
    """
    try:
        found = strangers(net.document)
    except PrototxtError:
        return _refusals(net.document)
    for step in (_net_problems, _graph_problems, _shape_problems):
        found = found or step(net, phase)
    return found


def strangers(document):
    """What stock Caffe's parser does not know: fields and values that only forks have.

    Parameters
    ----------
    document : Document

    Returns
    -------
    list of str
        One sentence for each name and value, with its first place.

    Raises
    ------
    PrototxtError
        At what no parser accepts: a value of the wrong kind, a field given twice.
    """
    found, groups = [], {}
    if document.text().startswith("\ufeff"):
        found.append(_said(document, 0, "a byte order mark, which stock Caffe refuses"))
    for stranger in schema.strangers("NetParameter", document.root):
        groups.setdefault(_unknown(stranger), []).append(stranger.field)
    for (unknown, fork), fields in groups.items():
        places = sorted({field.start for field in fields})
        sentence = "stock Caffe knows no " + unknown
        sentence += f"; {fork} does" if fork else ""
        sentence += f" ({len(places)} times)" if len(places) > 1 else ""
        found.append(_said(document, places[0], sentence))
    return found


def _unknown(stranger):
    """What is unknown about a field, in words, and the fork that knows it."""
    field, owner, is_value = stranger
    if not is_value:
        return f"field {field.name} in {owner}", fork_of(field.name)
    if field.in_list:
        return f"list for {field.name} in {owner}", fork_of("list for " + field.name)
    value = field.string()
    return f"{field.name} {value} in {owner}", fork_of(value)


def _said(document, offset, sentence):
    return str(document.source.error(sentence, offset))


def _refusals(document):
    """What no parser accepts, layer by layer."""
    rest, found = Message(document.source, 0), []
    rest.empty_lists = document.root.empty_lists
    for field in document.root:
        if field.name in _LAYER_MESSAGES and field.is_message:
            found += _refusal(_LAYER_MESSAGES[field.name], field.value)
        else:
            rest.fields.append(field)
    return _refusal("NetParameter", rest) + found


def _refusal(message_name, tree):
    try:
        schema.strangers(message_name, tree)
    except PrototxtError as error:
        return [str(error)]
    return []


def _net_problems(net, phase):
    """What Caffe's upgrade and each layer by itself refuse."""
    found = []
    if net.form == "mixed":
        forms = " and ".join(sorted({layer.form for layer in net.layers}))
        problem = "the layers are of forms {}, which Caffe does not mix"
        found.append(str(net.layers[0].field.error(problem.format(forms))))
    for entry in net.inputs:
        if entry.shape is None and entry.field.name == "input" and _has_shapes(net):
            problem = "input {} has no shape, and other inputs have"
            found.append(str(entry.field.error(problem.format(entry.blob))))
    for layer in net.layers:
        tree = layer.field.value
        if tree.first("include") and tree.first("exclude"):
            found.append(_of_layer(layer, "has both include and exclude rules"))
    for layer in net.at(phase).layers:
        found += [_of_layer(layer, problem) for problem in _layer_problems(layer)]
    return found


def _of_layer(layer, problem):
    name = " " + layer.name if layer.name else ""
    return str(layer.field.error("layer{} ({}) {}".format(name, layer.type or "no type", problem)))


def _has_shapes(net):
    root = net.document.root
    return root.first("input_shape") is not None or root.first("input_dim") is not None


def _layer_problems(layer):
    layer_type = layers.of(layer.type)
    if not layer_type.is_stock:
        fork = fork_of(layer.type)
        known = f"; {fork} does" if fork else ""
        return ["is of a type that stock Caffe does not know" + known if layer.type else "has none"]
    message, found = layer.message, []
    bottoms, tops = layer_type.arity(message) if layer_type.arity else (layer_type.bottoms, layer_type.tops)
    for word, wanted, blobs in (("bottom", bottoms, layer.bottoms), ("top", tops, layer.tops)):
        if not _fits(len(blobs), wanted):
            found.append(f"has {len(blobs)} {word}s and wants {wanted}")
    if layer_type.role == "convolution" and len(layer.bottoms) != len(layer.tops):
        found.append(f"has {len(layer.bottoms)} bottoms and {len(layer.tops)} tops")
    is_loss = layer_type.role == "loss"
    made = max(len(layer.tops), is_loss)
    if made > 1 and is_loss and not message.loss_weight:
        found.append(f"has {made} tops and no loss_weight for each")
    for name, count in (("loss_weight", made), ("propagate_down", len(layer.bottoms))):
        given = len(getattr(message, name))
        if given not in (0, count):
            found.append(f"has {given} {name} and wants {count}")
    return found + _value_problems(layer, message) + _weight_problems(layer, message)


def _value_problems(layer, message):
    """Values that ``LayerSetUp`` refuses whatever the bottoms."""
    given = len(message.input_param.shape)
    if layer.type == "Input" and given not in (0, 1, len(layer.tops)):
        return [f"has {given} shapes for {len(layer.tops)} tops"]
    parameters = {"Exp": message.exp_param, "Log": message.log_param}.get(layer.type)
    if parameters is not None and parameters.base != -1 and not parameters.base > 0:
        return [f"has the base {parameters.base:g}"]
    return []


def _fits(count, wanted):
    low, _, high = wanted.rstrip("+").partition("-")
    return int(low) <= count and (wanted[-1] == "+" or count <= int(high or low))


def _weight_problems(layer, message):
    found, specs = [], message.param
    if specs and layer.type != "Python":
        try:
            count = shapes.parameter_count(layer)
        except InputError:
            count = len(specs)
        if len(specs) > count:
            found.append(f"has {len(specs)} param and {count} weights")
    if layer.type == "BatchNorm" and len(specs) < 3 and any(spec.lr_mult for spec in specs):
        found.append("learns its statistics: give its three param lr_mult: 0")
    for kind in sorted({filler.type for filler in _fillers(message)} - _FILLERS):
        found.append(f"has the filler {kind!r}, which Caffe does not know")
    return found


def _fillers(message):
    """The filler messages of a layer's parameters."""
    for _, parameters in message.ListFields():
        for descriptor, value in getattr(parameters, "ListFields", list)():
            kind = descriptor.message_type
            if kind is not None and kind.name == "FillerParameter":
                for filler in value if hasattr(value, "__len__") else [value]:
                    yield filler


def _graph_problems(net, phase):
    """Blobs that nobody makes, or that two layers make."""
    net, found = net.at(phase), []
    made = {}  # blob -> how many layers read its present value, other than in place
    for entry in net.inputs:
        if entry.shape is not None and entry.field.name == "input":
            if entry.blob in made:
                found.append(str(entry.field.error(f"input {entry.blob} stands twice")))
            made[entry.blob] = 0
    for layer in net.layers:
        for bottom in layer.bottoms:
            if bottom not in made:
                problem = "reads {}, which no layer before makes"
                found.append(_of_layer(layer, problem.format(bottom)))
        in_place = {a for a, b in zip(layer.bottoms, layer.tops) if a == b}
        twice = {blob for blob in in_place if layer.bottoms.count(blob) > 1}
        for bottom in set(layer.bottoms) - in_place | twice:
            made[bottom] = made.get(bottom, 0) + 1
        for top in layer.tops:
            if top in made and top not in in_place:
                found.append(_of_layer(layer, f"makes {top} once more"))
            elif made.get(top, 0) and top in in_place:
                problem = "changes {0} in place, but others read {0} before"
                found.append(_of_layer(layer, problem.format(top)))
            made[top] = 0
    return found


def _shape_problems(net, phase):
    """Layers whose blobs or weights Caffe cannot shape, and weights that cannot be shared."""
    net, errors = net.at(phase), []
    weights = shapes.parameters(net, shapes.infer(net, problems=errors), errors)
    owners, found = {}, [str(error) for error in errors]
    for layer in net.layers:
        for spec, shape in zip(layer.message.param, weights.get(layer.name, ())):
            here = (layer, shape)
            owner, size = owners.setdefault(spec.name, here) if spec.name else here
            same = size == shape
            if spec.share_mode == _PERMISSIVE:
                same = volume(size) == volume(shape)
            if not same:
                problem = "shares {} with {}, but {} is not {}"
                found.append(_of_layer(layer, problem.format(spec.name, owner.name, shape, size)))
    return found
