"""One view over the three forms in which Caffe nets are written.

V2 says ``layer { type: "Convolution" }``, V1 ``layers { type: CONVOLUTION }`` and V0
``layers { layer { type: "conv" } }``; all three are in use. Here every layer has a V2 type
name and a V2 message, and remembers the field of the text it was read from.
"""

from typing import NamedTuple, Optional, Tuple

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net import legacy, schema
from prototxt_tools.text.document import Document, Field


class Input(NamedTuple):
    """A blob that is filled from outside.

    ``shape`` is None where the file does not say it; ``field`` is the ``input:`` line or the
    Input layer.
    """

    blob: str
    shape: Optional[Tuple[int, ...]]
    field: Field


class Layer:
    """A layer, whatever the form it is written in.

    Attributes
    ----------
    name, type : str
        ``type`` is the V2 name (``InnerProduct``), or what the file says if nobody knows it.
    bottoms, tops : list of str
    field : prototxt_tools.text.document.Field
        The ``layer {...}`` or ``layers {...}`` of the text.
    form : str
        "V0", "V1" or "V2".
    padding : Layer or None
        V0: the padding layer before this one, whose ``pad`` the message has; ``bottoms`` are its.
    """

    def __init__(self, field, form):
        self.field = field
        self.form = form
        said = {"name": [], "type": [], "bottom": [], "top": []}
        _gather(field.value, said)
        if form == "V0":
            inner = {"name": [], "type": []}
            _gather(field.value.first("layer").value, inner)
            said.update(inner)
        self.bottoms = said["bottom"]
        self.tops = said["top"]
        self.name = "".join(said["name"][:1])
        self.type = legacy.v2_type("".join(said["type"][:1]), form)
        self.padding = None
        self._message = None
        self._unknown = None

    def __repr__(self):
        return f"<Layer {self.name!r} {self.type}>"

    @property
    def message(self):
        """The layer as a V2 ``LayerParameter`` of ``schema``, with Caffe's defaults.

        Raises
        ------
        PrototxtError
            Where a value does not fit its field.
        """
        if self._message is None:
            self._message, self._unknown = legacy.layer_message(self.field, self.form, self.type)
            if self.padding is not None:
                legacy.set_pad(self._message, self.padding.field)
        return self._message

    @property
    def unknown(self):
        """The fields of the layer that no schema knows."""
        if self._unknown is None:
            self.message  # noqa: B018 (reading it finds them)
        return self._unknown

    @property
    def is_padding(self):
        """Whether it is one of V0's padding layers, which are no layers in later forms."""
        return self.form == "V0" and self.type == "padding"

    @property
    def is_in_place(self):
        """Whether the layer writes a blob that it reads."""
        return bool(set(self.bottoms) & set(self.tops))

    def meets(self, phase, stages, level):
        """Whether the ``include`` and ``exclude`` rules let the layer exist.

        Caffe: ``Net::FilterNet`` and ``Net::StateMeetsRule`` in ``src/caffe/net.cpp``.
        """
        includes = [rule.value for rule in self.field.value.all("include") if rule.is_message]
        excludes = [rule.value for rule in self.field.value.all("exclude") if rule.is_message]
        if includes:
            return any(_rule_met(rule, phase, stages, level) for rule in includes)
        return not any(_rule_met(rule, phase, stages, level) for rule in excludes)


class Net:
    """A net definition.

    Attributes
    ----------
    document : Document
    name : str
    form : str
        "V0", "V1", "V2" or "mixed" (which Caffe refuses).
    inputs : list of Input
    layers : list of Layer
    """

    def __init__(self, document, name, form, inputs, layers):
        self.document = document
        self.name = name
        self.form = form
        self.inputs = inputs
        self.layers = layers

    @classmethod
    def parse(cls, document):
        """The net a document defines; every layer, whatever its phase.

        Parameters
        ----------
        document : Document or str

        Raises
        ------
        PrototxtError
            If the document defines no net (a solver, say), or a layer is no message.
        """
        if not isinstance(document, Document):
            document = Document.parse(document)
        root = document.root
        fields = [f for f in root if f.name in ("layer", "layers")]
        if not fields and not root.all("input"):
            raise _no_net(document)
        for field in fields:
            if not field.is_message:
                raise field.error(f"{field.name} wants braces: {field.name} {{ ... }}")
        layers = [Layer(field, _form(field)) for field in fields]
        forms = {layer.form for layer in layers} or {"V2"}
        name = "".join(root.strings("name")[:1])
        form = forms.pop() if len(forms) == 1 else "mixed"
        return cls(document, name, form, _inputs(root, layers), legacy.fold_padding(layers))

    @classmethod
    def load(cls, path):
        """The net of a file; raises as ``Document.load`` and ``parse`` do."""
        return cls.parse(Document.load(path))

    def at(self, phase="TEST", stages=(), level=0):
        """The net that Caffe builds in a phase, at a level, with stages.

        The stages of the file's own ``state`` are added, as Caffe adds them.
        """
        stages = set(stages)
        for state in self.document.root.all("state"):
            if state.is_message:
                stages.update(state.value.strings("stage"))
        layers = [layer for layer in self.layers if layer.meets(phase, stages, level)]
        kept = {id(layer.field) for layer in layers}
        dropped = {id(layer.field) for layer in self.layers} - kept
        inputs = [entry for entry in self.inputs if id(entry.field) not in dropped]
        return Net(self.document, self.name, self.form, inputs, layers)

    def of(self, layers):
        """The same net with some of its layers only; all inputs stay."""
        return Net(self.document, self.name, self.form, self.inputs, layers)

    def layer(self, name):
        """The first layer of that name, or None."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        return None

    def blobs(self):
        """The names of all blobs, in the order in which they are first written."""
        tops = [top for layer in self.layers for top in layer.tops]
        return list(dict.fromkeys([entry.blob for entry in self.inputs] + tops))

    def outputs(self):
        """The blobs that no layer reads after their last writer, in file order."""
        unread = {entry.blob: True for entry in self.inputs}
        for layer in self.layers:
            for bottom in layer.bottoms:
                unread.pop(bottom, None)
            for top in layer.tops:
                unread.pop(top, None)
                unread[top] = True
        return list(unread)


def _gather(tree, said):
    """Add the values of some fields to lists, in one walk: large nets have 100,000 fields."""
    for field in tree:
        values = said.get(field.name)
        if values is not None and not field.is_message:
            values.append(field.string())


def _form(field):
    if field.name == "layer":
        return "V2"
    inner = field.value.first("layer")
    return "V0" if inner is not None and inner.is_message else "V1"


def _rule_met(rule, phase, stages, level):
    phases = rule.strings("phase")
    if phases and legacy.phase_name(phases[0]) != phase:
        return False
    minimum, maximum = rule.first("min_level"), rule.first("max_level")
    if minimum is not None and level < _integer(minimum):
        return False
    if maximum is not None and level > _integer(maximum):
        return False
    wanted, unwanted = rule.strings("stage"), rule.strings("not_stage")
    return set(wanted) <= set(stages) and not set(unwanted) & set(stages)


def _inputs(root, layers):
    """All four styles: input_dim, input_shape, Input layers, and names without a shape."""
    fields = root.all("input")
    shapes = [_dims(field) for field in root.all("input_shape")]
    dims = [_integer(field) for field in root.all("input_dim")]
    if not shapes:
        shapes = [tuple(dims[i : i + 4]) for i in range(0, len(dims) // 4 * 4, 4)]
    inputs = []
    for index, field in enumerate(fields):
        if field.is_message:
            raise field.error('input wants the name of a blob: input: "data"')
        shape = shapes[index] if index < len(shapes) else None
        inputs.append(Input(field.string(), shape, field))
    for layer in layers:
        if layer.type == "Input":
            inputs += _layer_inputs(layer)
    return inputs


def _layer_inputs(layer):
    parameters = layer.field.value.first("input_param")
    shapes = []
    if parameters is not None and parameters.is_message:
        shapes = [_dims(field) for field in parameters.value.all("shape")]
    if len(shapes) == 1:
        shapes = shapes * len(layer.tops)
    shapes += [None] * (len(layer.tops) - len(shapes))
    return [Input(top, shape, layer.field) for top, shape in zip(layer.tops, shapes)]


def _dims(field):
    if not field.is_message:
        raise field.error(f"{field.name} wants braces: {field.name} {{ dim: ... }}")
    return tuple(_integer(dim) for dim in field.value.all("dim"))


def _integer(field):
    try:
        return field.value.integer()
    except (AttributeError, ValueError):
        raise field.error(f"{field.name} wants a whole number") from None


def _no_net(document):
    solver_fields = schema.SOLVER_FIELDS
    for field in document.root:
        if field.name in solver_fields:
            return field.error(
                f"a solver, not a net ({field.name} is a solver's field); give the net it names"
            )
    first = document.root.fields[0] if len(document.root) else None
    if first is None:
        is_blank = not document.text().strip("\ufeff \t\r\n\v\f")
        problem = "the file is empty" if is_blank else "only comments, no layers; not a net"
        return PrototxtError(problem, document.path, 1, 1)
    return first.error(f"no layers in this file (it begins with {first.name}); not a net")
