"""What two net definitions say differently, however each is written."""

from collections import Counter
from typing import NamedTuple, Optional

from prototxt_tools.net import schema
from prototxt_tools.text.tree import Message

_INPUT_FIELDS = {"input", "input_shape", "input_dim"}
_LAYER_FIELDS = {"layer", "layers"}


class Difference(NamedTuple):
    """Something that two nets say differently.

    ``subject`` is "net", "input NAME" or "layer NAME"; ``field`` is None where the whole of it is
    added or removed. ``before`` and ``after`` are texts, None where there is nothing.
    """

    subject: str
    field: Optional[str]
    before: Optional[str]
    after: Optional[str]

    def __str__(self):
        if self.field is None:
            mark, what = ("+", self.after) if self.before is None else ("-", self.before)
            return f"{mark} {self.subject} ({what})"
        absent = "(nothing)"
        before = absent if self.before is None else self.before
        after = absent if self.after is None else self.after
        return f"~ {self.subject} {self.field}: {before} -> {after}"


def differences(before, after):
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
    found = _compared("net", _net_values(before), _net_values(after))
    inputs = [{entry.blob: _shape(entry.shape) for entry in net.inputs} for net in (before, after)]
    for blob in dict.fromkeys(list(inputs[0]) + list(inputs[1])):
        found += _input(blob, inputs[0].get(blob), inputs[1].get(blob))
    layers = [_keyed(net.layers, before.layers, after.layers) for net in (before, after)]
    for key in _merged(*map(list, layers)):
        old, new = layers[0].get(key), layers[1].get(key)
        subject = "layer {}".format((old or new).name or "(unnamed)")
        if old is None or new is None:
            found.append(Difference(subject, None, old and old.type, new and new.type))
        else:
            found += _compared(subject, _layer_values(old), _layer_values(new))
    return found + _order((before, after), layers)


def _compared(subject, before, after):
    return [
        Difference(subject, field, before.get(field), after.get(field))
        for field in _merged(list(before), list(after))
        if before.get(field) != after.get(field)
    ]


def _merged(before, after):
    """The items of both lists, each once, in the order of the first and then the second."""
    return list(dict.fromkeys(before + after))


def _net_values(net):
    root = net.document.root
    own = Message(root.source, root.start)
    own.fields = [f for f in root if f.name not in _INPUT_FIELDS | _LAYER_FIELDS]
    message = schema.new("NetParameter")
    unknown = schema.fill(message, own)
    return dict(_values(message), **_unknown_values(unknown))


def _layer_values(layer):
    message = layer.message
    values = dict(_values(message), **_unknown_values(layer.unknown))
    values.update(type=layer.type, bottom=_said(layer.bottoms), top=_said(layer.tops))
    return {name: value for name, value in values.items() if value}


def _values(message, prefix=""):
    """The values of a message that differ from the default, as texts by path."""
    values = {}
    for descriptor, value in message.ListFields():
        path = prefix + descriptor.name
        if hasattr(value, "ListFields"):
            values.update(_values(value, path + "."))
        elif hasattr(value, "extend"):
            for index, item in enumerate(value):
                place = f"{path}[{index}]" if len(value) > 1 else path
                if hasattr(item, "ListFields"):
                    values.update(_values(item, place + ".") or {place: "{}"})
                else:
                    values[place] = _text(descriptor, item)
        elif not descriptor.has_default_value or value != descriptor.default_value:
            values[path] = _text(descriptor, value)
    return values


def _text(descriptor, value):
    if descriptor.enum_type is not None:
        return descriptor.enum_type.values_by_number[value].name
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _unknown_values(fields):
    """The fields of forks, as written but for the spacing."""
    texts = {}
    for field in fields:
        texts.setdefault(field.name, []).append(_canonical(field))
    return {name: " ".join(sorted(values)) for name, values in texts.items()}


def _canonical(field):
    if not field.is_message:
        return field.string()
    inner = sorted(f"{child.name}: {_canonical(child)}" for child in field.value)
    return "{{ {} }}".format(" ".join(inner))


def _shape(shape):
    return "of unknown shape" if shape is None else " x ".join(map(str, shape))


def _said(blobs):
    return ", ".join(blobs)


def _input(blob, before, after):
    subject = f"input {blob}"
    if before == after:
        return []
    if before is None or after is None:
        return [Difference(subject, None, before, after)]
    return [Difference(subject, "shape", before, after)]


def _keyed(layers, *both):
    """Layers by name, and where a name stands twice by their rules and count, too."""
    doubled = {
        name
        for own in both
        for name, count in Counter(layer.name for layer in own).items()
        if count > 1
    }
    keyed = {}
    for layer in layers:
        if layer.type == "Input":
            continue
        key, count = (layer.name,), 0
        if layer.name in doubled:
            tree = layer.field.value
            rules = sorted(map(_canonical, tree.all("include") + tree.all("exclude")))
            key += tuple(rules)
        while key + (count,) in keyed:
            count += 1
        keyed[key + (count,)] = layer
    return keyed


def _order(nets, layers):
    """Layers that read the same blob of another layer, because the layers stand in another order.

    That is all the order changes; independent branches may stand as they like.
    """
    before, after = (_makers(net, own) for net, own in zip(nets, layers))
    found = {}
    for place in before:
        old, new = before[place], after.get(place, before[place])
        phase, key, bottom = place
        ends = [(phase, maker, None) for maker in (old, new)]
        if old != new and all(end in own for end in ends for own in (before, after)):
            subject = "layer {}".format(key[0] or "(unnamed)")
            found[Difference(subject, "bottom " + bottom, _made_by(old), _made_by(new))] = True
    return list(found)


def _makers(net, keyed):
    """(phase, layer, bottom) -> the layer that makes the value it reads.

    An input has the key None. Every layer that a phase has stands there with the bottom None.
    """
    keys = {id(layer): key for key, layer in keyed.items()}
    found = {}
    for phase in ("TRAIN", "TEST"):
        makers, found[phase, None, None] = {}, None
        for layer in net.at(phase).layers:
            key = keys.get(id(layer))
            found[phase, key, None] = None
            for bottom in layer.bottoms if key else ():
                found[phase, key, bottom] = makers.get(bottom)
            makers.update(dict.fromkeys(layer.tops, key))
    return found


def _made_by(key):
    return "made by {}".format(key[0] or "(unnamed)") if key else "an input"
