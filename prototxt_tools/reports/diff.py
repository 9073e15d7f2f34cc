"""In what two net definitions differ, whatever form each is written in."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from prototxt_tools.net import schema
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.text.tree import Field, Message

_INPUT_FIELDS = {"input", "input_shape", "input_dim"}
_LAYER_FIELDS = {"layer", "layers"}


# What identifies a layer: its name, its rules if the name is used twice, and a count.
Key = Tuple[Any, ...]
Values = Dict[str, str]


@dataclass(frozen=True)
class Difference:
    """Something in which two nets differ.

    ``subject`` is "net", "input NAME" or "layer NAME"; ``field`` is None where the whole of it is
    added or removed. ``before`` and ``after`` are texts, None where there is nothing.
    """

    subject: str
    field: Optional[str]
    before: Optional[str]
    after: Optional[str]

    def __str__(self) -> str:
        if self.field is None:
            mark, what = ("+", self.after) if self.before is None else ("-", self.before)
            return f"{mark} {self.subject} ({what})"
        absent = "(nothing)"
        before = absent if self.before is None else self.before
        after = absent if self.after is None else self.after
        return f"~ {self.subject} {self.field}: {before} -> {after}"


def differences(before: Net, after: Net) -> List[Difference]:
    """Compare two nets: layers added, removed and changed, and inputs, and the net's own fields.

    Spacing, comments, the order of fields, the form (V0, V1, V2), the style of the inputs and
    values that are the default do not count, nor does the order of the layers where each reads
    the same values. Layers are matched by name.

    Parameters
    ----------
    before, after : prototxt_tools.net.net.Net

    Returns
    -------
    list of Difference

    Raises
    ------
    PrototxtError
        Where a value does not fit its field.
    """
    result = _compared("net", _net_values(before), _net_values(after))
    inputs = [{entry.blob: _shape(entry.shape) for entry in net.inputs} for net in (before, after)]
    for blob in dict.fromkeys(list(inputs[0]) + list(inputs[1])):
        result += _input(blob, inputs[0].get(blob), inputs[1].get(blob))
    layers = [_keyed(net.layers, before.layers, after.layers) for net in (before, after)]
    for key in _merged(*map(list, layers)):
        old, new = layers[0].get(key), layers[1].get(key)
        names = [layer.name for layer in (old, new) if layer is not None]
        subject = f"layer {names[0] or '(unnamed)'}"
        if old is None or new is None:
            types = [None if layer is None else layer.type for layer in (old, new)]
            result.append(Difference(subject, None, *types))
        else:
            result += _compared(subject, _layer_values(old), _layer_values(new))
    return result + _order((before, after), layers)


def _compared(subject: str, before: Values, after: Values) -> List[Difference]:
    return [
        Difference(subject, field, before.get(field), after.get(field))
        for field in _merged(list(before), list(after))
        if before.get(field) != after.get(field)
    ]


def _merged(before: List[Any], after: List[Any]) -> List[Any]:
    """The items of both lists, each once, in the order of the first and then the second."""
    return list(dict.fromkeys(before + after))


def _net_values(net: Net) -> Values:
    root = net.document.root
    rest = Message(root.source, root.start)
    rest.fields = [field for field in root if field.name not in _INPUT_FIELDS | _LAYER_FIELDS]
    message = schema.new("NetParameter")
    unknown = schema.fill(message, rest)
    return dict(_values(message), **_unknown_values(unknown))


def _layer_values(layer: Layer) -> Values:
    message = layer.message
    values = dict(_values(message), **_unknown_values(layer.unknown))
    values.update(type=layer.type, bottom=", ".join(layer.bottoms), top=", ".join(layer.tops))
    return {name: value for name, value in values.items() if value}


def _values(message: Any, prefix: str = "") -> Values:
    """The values of a message that differ from the default, as texts by path."""
    values: Values = {}
    for descriptor, value in message.ListFields():
        path = prefix + descriptor.name
        if hasattr(value, "ListFields"):
            values.update(_values(value, path + "."))
        elif hasattr(value, "extend"):
            for index, item in enumerate(value):
                item_path = f"{path}[{index}]" if len(value) > 1 else path
                if hasattr(item, "ListFields"):
                    values.update(_values(item, item_path + ".") or {item_path: "{}"})
                else:
                    values[item_path] = _text(descriptor, item)
        elif not descriptor.has_default_value or value != descriptor.default_value:
            values[path] = _text(descriptor, value)
    return values


def _text(descriptor: Any, value: Any) -> str:
    if descriptor.enum_type is not None:
        return str(descriptor.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _unknown_values(fields: Iterable[Field]) -> Values:
    """The fields of forks as they are written, without the spacing."""
    texts: Dict[str, List[str]] = {}
    for field in fields:
        texts.setdefault(field.name, []).append(_canonical(field))
    return {name: " ".join(sorted(values)) for name, values in texts.items()}


def _canonical(field: Field) -> str:
    if not field.is_message:
        return field.string()
    inner = " ".join(sorted(f"{child.name}: {_canonical(child)}" for child in field.value))
    return f"{{ {inner} }}"


def _shape(shape: Optional[Sequence[int]]) -> str:
    return "of unknown shape" if shape is None else " x ".join(map(str, shape))


def _input(blob: str, before: Optional[str], after: Optional[str]) -> List[Difference]:
    subject = f"input {blob}"
    if before == after:
        return []
    if before is None or after is None:
        return [Difference(subject, None, before, after)]
    return [Difference(subject, "shape", before, after)]


def _keyed(layers: Sequence[Layer], *nets: Sequence[Layer]) -> Dict[Key, Layer]:
    """Layers by name, and if a name is used twice also by their rules and a count."""
    doubled = {
        name
        for net_layers in nets
        for name, count in Counter(layer.name for layer in net_layers).items()
        if count > 1
    }
    keyed: Dict[Key, Layer] = {}
    for layer in layers:
        if layer.type == "Input":
            continue
        key: Key = (layer.name,)
        count = 0
        if layer.name in doubled:
            key += tuple(sorted(map(_canonical, layer.rules)))
        while key + (count,) in keyed:
            count += 1
        keyed[key + (count,)] = layer
    return keyed


def _order(nets: Sequence[Net], keyed: Sequence[Dict[Key, Layer]]) -> List[Difference]:
    """Layers that read the same blob of another layer, because the layers stand in another order.

    That is all the order changes; independent branches may stand in any order.
    """
    before, after = (_makers(net, layers) for net, layers in zip(nets, keyed))
    result: Dict[Difference, bool] = {}
    for reading, old in before.items():
        phase, key, bottom = reading
        new = after.get(reading, old)
        ends = [(phase, maker, None) for maker in (old, new)]
        if old != new and all(end in makers for end in ends for makers in (before, after)):
            subject = f"layer {key[0] or '(unnamed)'}"
            result[Difference(subject, f"bottom {bottom}", _made_by(old), _made_by(new))] = True
    return list(result)


def _makers(net: Net, keyed: Dict[Key, Layer]) -> Dict[Tuple[str, Any, Optional[str]], Any]:
    """(phase, layer, bottom) -> the layer that makes the value it reads.

    An input has the key None. Every layer of a phase also has an entry with the bottom None.
    """
    keys = {id(layer): key for key, layer in keyed.items()}
    readings: Dict[Tuple[str, Any, Optional[str]], Any] = {}
    for phase in ("TRAIN", "TEST"):
        makers: Dict[str, Any] = {}
        readings[phase, None, None] = None
        for layer in net.at(phase).layers:
            key = keys.get(id(layer))
            readings[phase, key, None] = None
            for bottom in layer.bottoms if key else ():
                readings[phase, key, bottom] = makers.get(bottom)
            makers.update(dict.fromkeys(layer.tops, key))
    return readings


def _made_by(key: Optional[Key]) -> str:
    return f"made by {key[0] or '(unnamed)'}" if key else "an input"
