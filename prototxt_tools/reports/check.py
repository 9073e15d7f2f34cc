"""What stock Caffe refuses about a net, before Caffe is asked.

Caffe aborts at the first problem, and mostly without naming the line. The rules follow
``src/caffe/net.cpp``, ``include/caffe/layer.hpp``, ``src/caffe/util/upgrade_proto.cpp`` and
``insert_splits.cpp``.
"""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from prototxt_tools import layers, shapes
from prototxt_tools.errors import InputError, PrototxtError
from prototxt_tools.layers.sizes import Shape, volume
from prototxt_tools.net import schema
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.reports.forks import fork_of
from prototxt_tools.text.document import Document
from prototxt_tools.text.tree import Field, Message

_LAYER_MESSAGES = {"layer": "LayerParameter", "layers": "V1LayerParameter"}
_PERMISSIVE = 1
_FILLERS = {"bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"}


def problems(net: Net, phase: str = "TEST") -> List[str]:
    """What stock Caffe refuses about a net, as far as the text tells.

    The text does not tell whether the files of its data layers and its Python modules exist.

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
        sentences = strangers(net.document)
    except PrototxtError:
        return _refusals(net.document)
    for step in (_net_problems, _graph_problems, _shape_problems):
        sentences = sentences or step(net, phase)
    return sentences


def strangers(document: Document) -> List[str]:
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
    sentences = []
    groups: Dict[Tuple[str, Optional[str]], List[Field]] = {}
    if document.text().startswith("\ufeff"):
        problem = "a byte order mark, which stock Caffe refuses"
        sentences.append(_located(document, 0, problem))
    for stranger in schema.strangers("NetParameter", document.root):
        groups.setdefault(_unknown(stranger), []).append(stranger.field)
    for (unknown, fork), fields in groups.items():
        offsets = sorted({field.start for field in fields})
        problem = f"stock Caffe does not know {unknown}"
        problem += f"; {fork} does" if fork else ""
        problem += f" ({len(offsets)} times)" if len(offsets) > 1 else ""
        sentences.append(_located(document, offsets[0], problem))
    return sentences


def _unknown(stranger: schema.Stranger) -> Tuple[str, Optional[str]]:
    """What is unknown about a field, in words, and the fork that knows it."""
    field, owner, is_value = stranger
    if not is_value:
        return f"the field {field.name} in {owner}", fork_of(field.name)
    if field.in_list:
        return f"a list for {field.name} in {owner}", fork_of("list for " + field.name)
    value = field.string()
    return f"{field.name} {value} in {owner}", fork_of(value)


def _located(document: Document, offset: int, problem: str) -> str:
    return str(document.source.error(problem, offset))


def _refusals(document: Document) -> List[str]:
    """What no parser accepts, layer by layer."""
    rest, sentences = Message(document.source, 0), []
    rest.empty_lists = document.root.empty_lists
    for field in document.root:
        if field.name in _LAYER_MESSAGES and field.is_message:
            sentences += _refusal(_LAYER_MESSAGES[field.name], field.value)
        else:
            rest.fields.append(field)
    return _refusal("NetParameter", rest) + sentences


def _refusal(message_name: str, tree: Message) -> List[str]:
    try:
        schema.strangers(message_name, tree)
    except PrototxtError as error:
        return [str(error)]
    return []


def _net_problems(net: Net, phase: str) -> List[str]:
    """What Caffe's upgrade and each layer by itself refuse."""
    sentences = []
    if net.form == "mixed":
        forms = " and ".join(sorted({layer.form for layer in net.layers}))
        problem = f"the layers are of forms {forms}, which Caffe does not mix"
        sentences.append(str(net.layers[0].field.error(problem)))
    for entry in net.inputs:
        if entry.shape is None and entry.field.name == "input" and _has_shapes(net):
            problem = f"input {entry.blob} has no shape, and other inputs have"
            sentences.append(str(entry.field.error(problem)))
    for layer in net.layers:
        tree = layer.field.value
        if tree.first("include") and tree.first("exclude"):
            sentences.append(_of_layer(layer, "has both include and exclude rules"))
    for layer in net.at(phase).layers:
        sentences += [_of_layer(layer, problem) for problem in _layer_problems(layer)]
    return sentences


def _of_layer(layer: Layer, problem: str) -> str:
    name = " " + layer.name if layer.name else ""
    kind = f" ({layer.type})" if layer.type else ""
    return str(layer.field.error(f"layer{name}{kind} {problem}"))


def _has_shapes(net: Net) -> bool:
    root = net.document.root
    return root.first("input_shape") is not None or root.first("input_dim") is not None


def _layer_problems(layer: Layer) -> List[str]:
    if not layer.type:
        return ["has no type"]
    if not layers.of(layer.type).is_stock:
        fork = fork_of(layer.type)
        problem = "is of a type that stock Caffe does not know"
        meant = "" if fork else layers.similar(layer.type)
        if meant:
            return [f"{problem}; did you mean {meant}?"]
        return [f"{problem}; {fork} does" if fork else problem]
    return misfits(layer) + _weight_problems(layer, layer.message)


def misfits(layer: Layer) -> List[str]:
    """What ``LayerSetUp`` refuses of a stock layer whatever its bottoms hold, in words.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    list of str
        Such as "has 2 tops and needs 1". Empty for layer types of forks.
    """
    if not layers.of(layer.type).is_stock:
        return []
    return _arity_problems(layer, layer.message) + _value_problems(layer, layer.message)


def _arity_problems(layer: Layer, message: Any) -> List[str]:
    """Numbers of blobs, and of values that the message gives per blob."""
    layer_type, texts = layers.of(layer.type), []
    counts = layer_type.bottoms, layer_type.tops
    if layer_type.arity is not None:
        counts = layer_type.arity(message)
    for word, needed, blobs in zip(("bottom", "top"), counts, (layer.bottoms, layer.tops)):
        if not _fits(len(blobs), needed):
            texts.append(f"has {len(blobs)} {word}s and needs {needed}")
    if layer_type.role == "convolution" and len(layer.bottoms) != len(layer.tops):
        texts.append(f"has {len(layer.bottoms)} bottoms and {len(layer.tops)} tops")
    is_loss = layer_type.role == "loss"
    tops = max(len(layer.tops), is_loss)
    if tops > 1 and is_loss and not message.loss_weight:
        texts.append(f"has {tops} tops and no loss_weight for each")
    for name, count in (("loss_weight", tops), ("propagate_down", len(layer.bottoms))):
        given = len(getattr(message, name))
        if given not in (0, count):
            texts.append(f"has {given} {name} and needs {count}")
    return texts


def _value_problems(layer: Layer, message: Any) -> List[str]:
    """Values that ``LayerSetUp`` refuses for any bottoms."""
    given = len(message.input_param.shape)
    if layer.type == "Input" and given not in (0, 1, len(layer.tops)):
        return [f"has {given} shapes for {len(layer.tops)} tops"]
    parameters = {"Exp": message.exp_param, "Log": message.log_param}.get(layer.type)
    if parameters is not None and parameters.base != -1:
        is_base = 0 < parameters.base < float("inf")
        if not is_base or layer.type == "Log" and parameters.base == 1:
            return [f"has the base {parameters.base:g}"]
    return []


def _fits(count: int, needed: str) -> bool:
    low, _, high = needed.rstrip("+").partition("-")
    return int(low) <= count and (needed[-1] == "+" or count <= int(high or low))


def _weight_problems(layer: Layer, message: Any) -> List[str]:
    texts, specs = [], message.param
    if specs and layer.type != "Python":
        try:
            count = shapes.parameter_count(layer)
        except InputError:
            count = len(specs)
        if len(specs) > count:
            texts.append(f"has {len(specs)} param and {count} weights")
    if layer.type == "BatchNorm" and len(specs) < 3 and any(spec.lr_mult for spec in specs):
        texts.append("learns its statistics: give its three param lr_mult: 0")
    for kind in sorted({filler.type for filler in _fillers(message)} - _FILLERS):
        texts.append(f"has the filler {kind!r}, which Caffe does not know")
    return texts


def _fillers(message: Any) -> Iterator[Any]:
    """The filler messages of a layer's parameters."""
    for _, parameters in message.ListFields():
        for descriptor, value in getattr(parameters, "ListFields", list)():
            kind = descriptor.message_type
            if kind is not None and kind.name == "FillerParameter":
                for filler in value if hasattr(value, "__len__") else [value]:
                    yield filler


def _graph_problems(net: Net, phase: str) -> List[str]:
    """Blobs that no layer makes, or that two layers make."""
    built, sentences = net.at(phase), []
    # Blob -> how many layers read its present value, other than in place.
    readers: Dict[str, int] = {}
    for entry in built.inputs:
        if entry.shape is not None and entry.field.name == "input":
            if entry.blob in readers:
                problem = f"input {entry.blob} is declared twice"
                sentences.append(str(entry.field.error(problem)))
            readers[entry.blob] = 0
    for layer in built.layers:
        sentences += [_of_layer(layer, problem) for problem in _wiring_problems(layer, readers)]
    return sentences


def _wiring_problems(layer: Layer, readers: Dict[str, int]) -> List[str]:
    """Of one layer; counts it among the readers of its bottoms."""
    texts = [
        f"reads {bottom}, which no layer before it makes"
        for bottom in layer.bottoms if bottom not in readers
    ]
    in_place = {bottom for bottom, top in zip(layer.bottoms, layer.tops) if bottom == top}
    twice = {blob for blob in in_place if layer.bottoms.count(blob) > 1}
    for bottom in set(layer.bottoms) - in_place | twice:
        readers[bottom] = readers.get(bottom, 0) + 1
    for top in layer.tops:
        if top in readers and top not in in_place:
            texts.append(f"writes {top} a second time")
        elif readers.get(top, 0) and top in in_place:
            texts.append(f"changes {top} in place, but others read {top} before")
        readers[top] = 0
    return texts


def _shape_problems(net: Net, phase: str) -> List[str]:
    """Layers whose blobs or weights Caffe cannot shape, and weights that cannot be shared."""
    built = net.at(phase)
    errors: List[PrototxtError] = []
    weights = shapes.parameters(built, shapes.infer(built, problems=errors), errors)
    owners: Dict[str, Tuple[Layer, Shape]] = {}
    sentences = [str(error) for error in errors]
    for layer in built.layers:
        for spec, shape in zip(layer.message.param, weights.get(layer.name, ())):
            owner, size = layer, shape
            if spec.name:
                owner, size = owners.setdefault(spec.name, (layer, shape))
            same = size == shape
            if spec.share_mode == _PERMISSIVE:
                same = volume(size) == volume(shape)
            if not same:
                problem = f"shares {spec.name} with {owner.name}, but {shape} is not {size}"
                sentences.append(_of_layer(layer, problem))
    return sentences
