"""One view over the three forms in which Caffe nets are written.

V2 has ``layer { type: "Convolution" }``, V1 ``layers { type: CONVOLUTION }`` and V0
``layers { layer { type: "conv" } }``; all three are in use. Here every layer has a V2 type
name and a V2 message, and keeps the field of the text that it was read from.
"""

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Iterable, List, Optional, Sequence, Tuple, Union

from prototxt_tools.errors import PrototxtError
from prototxt_tools.net import crops, legacy, schema
from prototxt_tools.text.document import Document, Field, Message

Shape = Tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Input:
    """A blob that is filled from outside.

    ``shape`` is None where the file does not give one; ``field`` is the ``input:`` line or the
    Input layer.
    """

    blob: str
    shape: Optional[Shape]
    field: Field


class Layer:
    """A layer, in whichever form it is written.

    Attributes
    ----------
    name, type : str
        ``type`` is the V2 name (``InnerProduct``), or what the file has where it is unknown.
    bottoms, tops : list of str
    field : prototxt_tools.text.document.Field
        The ``layer {...}`` or ``layers {...}`` of the text.
    form : str
        "V0", "V1" or "V2".
    padding : Layer or None
        V0: the padding layer before this one; the message has its ``pad``, and ``bottoms`` are
        those of the padding layer.
    offset : (int, int) or None
        V1: where a CROP of the first fully convolutional nets cuts; the message has it.
    """

    def __init__(self, field: Field, form: str) -> None:
        self.field = field
        self.form = form
        values: Dict[str, List[str]] = {"name": [], "type": [], "bottom": [], "top": []}
        _gather(field.value, values)
        if form == "V0":
            inner: Dict[str, List[str]] = {"name": [], "type": []}
            _gather(field.value.first("layer").value, inner)
            values.update(inner)
        self.bottoms = values["bottom"]
        self.tops = values["top"]
        self.name = "".join(values["name"][:1])
        self.type = legacy.v2_type("".join(values["type"][:1]), form)
        self.padding: Optional[Layer] = None
        self.offset: Optional[Tuple[int, int]] = None
        self._message: Any = None
        self._unknown: Optional[List[Field]] = None

    def __getstate__(self) -> Dict[str, Any]:
        # The classes of the messages are made at run time, so no message can be pickled.
        return dict(self.__dict__, _message=None, _unknown=None)

    def __repr__(self) -> str:
        return f"<Layer {self.name!r} {self.type}>"

    @property
    def message(self) -> Any:
        """The layer as a V2 ``LayerParameter`` of ``schema``, with Caffe's defaults.

        Raises
        ------
        PrototxtError
            If a value does not fit its field.
        """
        if self._message is None:
            self._message, self._unknown = legacy.layer_message(self.field, self.form, self.type)
            if self.padding is not None:
                legacy.set_pad(self._message, self.padding.field)
            if self.offset is not None:
                self._message.crop_param.offset[:] = self.offset
        return self._message

    @property
    def unknown(self) -> List[Field]:
        """The fields of the layer that no schema knows."""
        if self._unknown is None:
            self.message  # noqa: B018 (reading it finds them)
        return self._unknown or []

    @property
    def is_padding(self) -> bool:
        """Whether it is one of V0's padding layers, which later forms do not have."""
        return self.form == "V0" and self.type == "padding"

    @property
    def is_in_place(self) -> bool:
        """Whether the layer writes a blob that it reads."""
        return bool(set(self.bottoms) & set(self.tops))

    @property
    def rules(self) -> List[Field]:
        """The ``include`` and ``exclude`` fields, which make the layer exist in some nets only."""
        tree = self.field.value
        return [*tree.all("include"), *tree.all("exclude")]

    def meets(self, phase: str, stages: Iterable[str], level: int) -> bool:
        """Whether the ``include`` and ``exclude`` rules let the layer exist.

        Caffe: ``Net::FilterNet`` and ``Net::StateMeetsRule`` in ``src/caffe/net.cpp``.
        """
        includes = [rule.value for rule in self.field.value.all("include") if rule.is_message]
        excludes = [rule.value for rule in self.field.value.all("exclude") if rule.is_message]
        if includes:
            return any(_rule_met(rule, phase, stages, level) for rule in includes)
        return not any(_rule_met(rule, phase, stages, level) for rule in excludes)


class Net:
    """A net definition. It must not be changed, because all callers share it.

    Attributes
    ----------
    document : Document
    name : str
    form : str
        "V0", "V1", "V2" or "mixed" (which Caffe refuses).
    inputs : list of Input
    layers : list of Layer
    """

    def __init__(self, document: Document, name: str, form: str, inputs: List[Input],
                 layers: List[Layer]) -> None:
        self.document = document
        self.name = name
        self.form = form
        self.inputs = inputs
        self.layers = layers
        self._states: Dict[Tuple[str, FrozenSet[str], int], Net] = {}

    @classmethod
    def parse(cls, document: Union[Document, str]) -> "Net":
        """The net that a document defines, with the layers of every phase.

        It is kept with the document, which never changes, so that each document is read only once.

        Parameters
        ----------
        document : Document or str

        Raises
        ------
        PrototxtError
            If the document defines no net (but a solver, for example), or a layer has no braces.
        """
        if not isinstance(document, Document):
            document = Document.parse(document)
        net = document.derived.get("net")
        if net is None:
            net = document.derived["net"] = cls._read(document)
        return net

    @classmethod
    def _read(cls, document: Document) -> "Net":
        root = document.root
        fields = [f for f in root if f.name in ("layer", "layers")]
        if not fields and not root.all("input"):
            raise _no_net(document)
        for field in fields:
            if not field.is_message:
                raise field.error(f"{field.name} needs braces: {field.name} {{ ... }}")
        layers = [Layer(field, _form(field)) for field in fields]
        forms = {layer.form for layer in layers} or {"V2"}
        name = "".join(root.strings("name")[:1])
        form = forms.pop() if len(forms) == 1 else "mixed"
        layers = _fold_padding(layers)
        crops.align(layers)
        return cls(document, name, form, _inputs(root, layers), layers)

    @classmethod
    def load(cls, path: str) -> "Net":
        """The net of a file; raises as ``Document.load`` and ``parse`` do."""
        return cls.parse(Document.load(path))

    def at(self, phase: str = "TEST", stages: Iterable[str] = (), level: int = 0) -> "Net":
        """The net that Caffe builds for a phase, a level and stages.

        As in Caffe, the stages of the file's own ``state`` are added.
        """
        state = (phase, frozenset(stages), level)
        if state not in self._states:
            self._states[state] = self._filtered(*state)
        return self._states[state]

    def _filtered(self, phase: str, given_stages: FrozenSet[str], level: int) -> "Net":
        stages = set(given_stages)
        for state in self.document.root.all("state"):
            if state.is_message:
                stages.update(state.value.strings("stage"))
        layers = [layer for layer in self.layers if layer.meets(phase, stages, level)]
        kept = {id(layer.field) for layer in layers}
        dropped = {id(layer.field) for layer in self.layers} - kept
        inputs = [entry for entry in self.inputs if id(entry.field) not in dropped]
        return Net(self.document, self.name, self.form, inputs, layers)

    def of(self, layers: List[Layer]) -> "Net":
        """The same net with some of its layers only; all inputs stay."""
        return Net(self.document, self.name, self.form, self.inputs, layers)

    def layer(self, name: str) -> Optional[Layer]:
        """The first layer of that name, or None."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        return None

    def blobs(self) -> List[str]:
        """The names of all blobs, in the order in which they are first written."""
        tops = [top for layer in self.layers for top in layer.tops]
        return list(dict.fromkeys([entry.blob for entry in self.inputs] + tops))

    def outputs(self) -> List[str]:
        """The blobs that no layer reads after their last writer, in file order."""
        unread = {entry.blob: True for entry in self.inputs}
        for layer in self.layers:
            for bottom in layer.bottoms:
                unread.pop(bottom, None)
            for top in layer.tops:
                unread.pop(top, None)
                unread[top] = True
        return list(unread)


def _fold_padding(layers: Sequence[Layer]) -> List[Layer]:
    """Let V0's padding layers become the ``pad`` of the convolutions and poolings behind them,
    which get them as ``padding``, and their bottoms.

    Caffe: ``UpgradeV0PaddingLayers``. One that another layer reads stays; Caffe refuses it.
    """
    makers: Dict[str, Layer] = {}
    pairs = []
    for layer in layers:
        sources = [makers[bottom] for bottom in layer.bottoms if bottom in makers]
        pairs += [(layer, source) for source in sources if source.is_padding]
        makers.update(dict.fromkeys(layer.tops, layer))
    odd = {
        id(source)
        for layer, source in pairs
        if layer.type not in ("Convolution", "Pooling")
        or [len(layer.bottoms), len(source.bottoms), len(source.tops)] != [1, 1, 1]
    }
    for layer, source in pairs:
        if id(source) not in odd:
            layer.padding, layer.bottoms = source, source.bottoms
    return [layer for layer in layers if not layer.is_padding or id(layer) in odd]


def _gather(tree: Message, values: Dict[str, List[str]]) -> None:
    """Add the values of some fields to lists, in one walk: large nets have 100,000 fields."""
    for field in tree:
        values_of_field = values.get(field.name)
        if values_of_field is not None and not field.is_message:
            values_of_field.append(field.string())


def _form(field: Field) -> str:
    if field.name == "layer":
        return "V2"
    inner = field.value.first("layer")
    return "V0" if inner is not None and inner.is_message else "V1"


def _rule_met(rule: Message, phase: str, stages: Iterable[str], level: int) -> bool:
    phases = rule.strings("phase")
    if phases and legacy.phase_name(phases[0]) != phase:
        return False
    minimum, maximum = rule.first("min_level"), rule.first("max_level")
    if minimum is not None and level < _integer(minimum):
        return False
    if maximum is not None and level > _integer(maximum):
        return False
    required, excluded = set(rule.strings("stage")), set(rule.strings("not_stage"))
    return required.issubset(stages) and excluded.isdisjoint(stages)


def _inputs(root: Message, layers: Sequence[Layer]) -> List[Input]:
    """All four styles: input_dim, input_shape, Input layers, and names without a shape.

    A blob that an Input layer fills as well counts once.
    """
    fields = root.all("input")
    shapes = [_dims(field) for field in root.all("input_shape")]
    dims = [_integer(field) for field in root.all("input_dim")]
    if not shapes:
        axes = axes_of_inputs(root, layers)
        shapes = [tuple(dims[i : i + axes]) for i in range(0, len(dims) // axes * axes, axes)]
    inputs = []
    of_layers = {top for layer in layers if layer.type == "Input" and not layer.rules
                 for top in layer.tops}
    for index, field in enumerate(fields):
        if field.is_message:
            raise field.error('input needs the name of a blob: input: "data"')
        if field.string() in of_layers:
            continue
        shape = shapes[index] if index < len(shapes) else None
        inputs.append(Input(field.string(), shape, field))
    for layer in layers:
        if layer.type == "Input":
            inputs += _layer_inputs(layer)
    return inputs


def axes_of_inputs(root: Message, layers: Iterable[Layer]) -> int:
    """How many ``input_dim`` fields belong to each input: five in C3D 1.0, for the time."""
    has_time = any(layer.type in ("Convolution3D", "Pooling3D") for layer in layers)
    return 5 if has_time and len(root.all("input_dim")) == 5 * len(root.all("input")) else 4


def _layer_inputs(layer: Layer) -> List[Input]:
    parameters = layer.field.value.first("input_param")
    shapes: List[Optional[Shape]] = []
    if parameters is not None and parameters.is_message:
        shapes = [_dims(field) for field in parameters.value.all("shape")]
    if len(shapes) == 1:
        shapes = shapes * len(layer.tops)
    shapes += [None] * (len(layer.tops) - len(shapes))
    return [Input(top, shape, layer.field) for top, shape in zip(layer.tops, shapes)]


def _dims(field: Field) -> Shape:
    if not field.is_message:
        raise field.error(f"{field.name} needs braces: {field.name} {{ dim: ... }}")
    return tuple(_integer(dim) for dim in field.value.all("dim"))


def _integer(field: Field) -> int:
    try:
        return field.value.integer()
    except (AttributeError, ValueError):
        raise field.error(f"{field.name} needs a whole number") from None


def _no_net(document: Document) -> PrototxtError:
    solver_fields = schema.SOLVER_FIELDS
    for field in document.root:
        if field.name in solver_fields:
            return field.error(f"a solver, not a net ({field.name} is a solver's field); "
                               "give the net that it names")
    first = document.root.fields[0] if len(document.root) else None
    if first is None:
        is_blank = not document.text().strip("\ufeff \t\r\n\v\f")
        problem = "the file is empty" if is_blank else "the file has only comments; it is not a net"
        return PrototxtError(problem, document.path, 1, 1)
    return first.error(f"the file has no layers (it begins with {first.name}); it is not a net")
