"""Rewrite what forks of Caffe write in fields of their own with the fields of stock Caffe."""

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools import layers, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.layers.windows import dilations
from prototxt_tools.net import fork_fields, schema
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite.data_shapes import data_shape
from prototxt_tools.rewrite.inputs import without_doubled_inputs
from prototxt_tools.rewrite.result import Rewrite, describe_layer
from prototxt_tools.rewrite.separate import WithWeights, separate
from prototxt_tools.rewrite.text import braced, fitted, quoted
from prototxt_tools.rewrite.upgrade import upgrade_layers
from prototxt_tools.text.document import Document, Field
from prototxt_tools.text.edits import Edits

# (message, field) -> the value that means what stock Caffe does, the field for the other value.
_BOOLS: Dict[Tuple[str, str], Tuple[bool, Optional[str]]] = {
    ("PoolingParameter", "ceil_mode"): (True, "round_mode: FLOOR"),
    ("PoolingParameter", "torch_pooling"): (False, "round_mode: FLOOR"),
    ("PoolingParameter", "round_below"): (False, "round_mode: FLOOR"),
    ("BatchNormParameter", "relu"): (False, None),
    ("BatchNormParameter", "scale_bias"): (False, None),
    ("ConvolutionParameter", "relu"): (False, None),
    ("EltwiseParameter", "relu"): (False, None),
    ("InnerProductParameter", "relu"): (False, None),
    ("DropoutParameter", "scale_train"): (True, None),
    ("DropoutParameter", "sample_weights_test"): (False, None),
}
_TRUE = ("true", "True", "t", "1")
_DEPTHWISE = {"DepthwiseConvolution", "ConvolutionDepthwise"}


def stock(document: Document,
          weights: Optional[Mapping[str, Sequence[np.ndarray]]] = None) -> WithWeights:
    """Replace what a fork writes by fields of stock Caffe, where they mean exactly the same.

    - ``ceil_mode: false`` and ``torch_pooling: true`` become ``round_mode: FLOOR``
    - ``round_below: true`` becomes ``round_mode: FLOOR``, and ``hole`` becomes ``dilation``
    - ``Axpy`` becomes ``Flatten``, ``Scale`` along axis 0 and ``Eltwise``
    - ``ReLU6`` becomes ``Clip`` between 0 and 6
    - depthwise convolution types become ``Convolution`` with one group per channel
    - what a layer does besides becomes layers of their own: see ``separate``
    - what chooses engines, number formats and algorithms is removed, as is a byte order mark
    - ``input:`` fields are removed for blobs that an Input layer fills
    - V0 and V1 layers beside V2 ones, or of a type written in V2's manner, become V2

    Parameters
    ----------
    document : Document
    weights : dict, optional
        Layer name to list of arrays; not changed. See ``separate``.

    Returns
    -------
    WithWeights
        The notes that begin with "left" name what stock Caffe still does not know.

    Raises
    ------
    PrototxtError
        If the document does not define a net.
    """
    changed = Rewrite(document).then(_without_byte_order_mark).then(_in_one_form)
    changed = changed.then(without_doubled_inputs)
    separated = changed.then(separate, weights)
    changed = Rewrite(separated.document, separated.notes)
    for step in (_with_stock_fields, _with_stock_types, _with_notes_of_the_rest):
        changed = changed.then(step)
    return WithWeights(changed.document, changed.notes, separated.weights)


def _without_byte_order_mark(document: Document) -> Rewrite:
    if not document.text().startswith("\ufeff"):
        return Rewrite(document)
    stripped = Document.parse(document.text()[1:], document.path)
    return Rewrite(stripped, ("removed the byte order mark",))


def _in_one_form(document: Document) -> Rewrite:
    net = Net.parse(document)
    if net.form == "mixed" or any(map(_is_quoted_v1, net.layers)):
        return upgrade_layers(document)
    return Rewrite(document)


def _is_quoted_v1(layer: Layer) -> bool:
    layer_type = layer.field.value.first("type")
    return layer.form == "V1" and layer_type is not None and (
        not layer_type.is_message and layer_type.value.is_string
    )


def _with_stock_types(document: Document) -> Rewrite:
    """Replace layer types by others of stock Caffe that compute the same."""
    net = Net.parse(document)
    sizes: Optional[shapes.Shapes] = None
    edits, notes = Edits(document), []
    for layer in net.layers:
        if layer.form != "V2":
            continue
        if layer.type in _DEPTHWISE:
            sizes = _sizes(net) if sizes is None else sizes
            notes.append(_group(edits, layer, sizes))
        elif layer.type == "ReLU6":
            notes.append(_clip(edits, layer))
        elif layer.type == "Axpy" and _is_plain(layer, 3):
            edits.replace(layer.field, _axpy(layer))
            notes.append(f"made {describe_layer(layer)} a Flatten, a Scale and an Eltwise")
    return Rewrite(edits.apply(), tuple(notes))


def _is_plain(layer: Layer, bottoms: int) -> bool:
    """Whether a layer has blobs and no parameters, and is neither in place nor in a list."""
    names = {field.name for field in layer.field.value}
    counts = (len(layer.bottoms), len(layer.tops))
    return names <= {"name", "type", "bottom", "top"} and counts == (bottoms, 1) and (
        not layer.is_in_place and not layer.field.in_list
    )


def _sizes(net: Net) -> shapes.Shapes:
    """The shapes of the blobs in phase TEST; none where the net cannot be built."""
    net = net.at("TEST")
    images = {layer.tops[0]: data_shape(layer, layer.tops[0])[0]
              for layer in net.layers if layer.tops and not layer.bottoms}
    try:
        return shapes.infer(net, {blob: size for blob, size in images.items() if size})
    except InputError:
        return {}


def _group(edits: Edits, layer: Layer, sizes: shapes.Shapes) -> str:
    """Make a depthwise convolution a Convolution with groups; gives a note."""
    name = describe_layer(layer)
    field = layer.field.value.first("convolution_param")
    channels = (sizes.get(layer.bottoms[0]) or ())[1:2] if layer.bottoms else ()
    parameters = layer.message.convolution_param
    if field is None or not (channels or parameters.HasField("group")):
        return f"left {name}: how many channels it reads is not known"
    if channels and parameters.num_output % channels[0]:
        return (f"left {name}: its {parameters.num_output} outputs are not a multiple of its "
                f"{channels[0]} channels")
    edits.replace(layer.field.value.first("type").value, '"Convolution"')
    group = field.value.first("group")
    if channels and group is None:
        edits.append(field, f"group: {channels[0]}")
    elif channels:
        edits.replace(group.value, str(channels[0]))
    return f"made {name} a Convolution with one group per channel"


def _clip(edits: Edits, layer: Layer) -> str:
    """Make a ReLU6 a Clip; gives a note."""
    tree = layer.field.value
    if layer.message.relu_param.negative_slope:
        return f"left {describe_layer(layer)}: it has a negative slope"
    edits.replace(tree.first("type").value, '"Clip"')
    for field in tree.all("relu_param"):
        edits.remove(field)
    last = tree.fields[-1]
    edits.insert_after(last, fitted(last, ["clip_param { min: 0 max: 6 }"]))
    return f"made {describe_layer(layer)} a Clip from 0 to 6"


def _axpy(layer: Layer) -> str:
    """``scale * x + y``, where the bottoms are scale (N x C, maybe x 1 x 1), x and y."""
    scale, x, y = layer.bottoms
    stem = layer.name or layer.tops[0]
    flat, scaled = stem + "/flat", stem + "/scaled"
    return fitted(
        layer.field,
        _layer(flat, "Flatten", [scale], flat)
        + _layer(scaled, "Scale", [x, flat], scaled, "scale_param { axis: 0 }")
        + _layer(layer.name, "Eltwise", [scaled, y], layer.tops[0]),
    )


def _layer(name: str, layer_type: str, bottoms: List[str], top: str,
           *parameters: str) -> List[str]:
    """The lines of a layer."""
    head = ["name: " + quoted(name), "type: " + quoted(layer_type)]
    reads = ["bottom: " + quoted(bottom) for bottom in bottoms]
    return braced("layer", head, reads, "top: " + quoted(top), *parameters)


def _with_stock_fields(document: Document) -> Rewrite:
    """Remove the fields that change nothing, and replace those that stock Caffe has others for."""
    edits, notes = Edits(document), []
    holes: List[Field] = []
    for message, field in _unknown_to_stock("NetParameter", document.root):
        name = f"{field.name} (line {field.line})"
        if message == "ConvolutionParameter" and field.name in ("hole", "hole_h", "hole_w"):
            holes.append(field)
            continue
        usual, other = _BOOLS.get((message, field.name), (None, None))
        if field.is_message:
            usual = other = None
        if fork_fields.is_immaterial(message, field.name):
            edits.remove(field)
            notes.append(f"removed {name}")
        elif usual is not None and usual == (field.string() in _TRUE):
            edits.remove(field)
            notes.append(f"removed {name}, which stands for what stock Caffe does")
        elif other is not None:
            edits.replace(field, other)
            notes.append(f"made {name} {other}")
    notes += _dilate(edits, document, holes)
    return Rewrite(edits.apply(), tuple(notes))


def _dilate(edits: Edits, document: Document, holes: List[Field]) -> List[str]:
    """Replace DeepLab's ``hole``, or ``hole_h`` and ``hole_w``, by ``dilation``; gives notes."""
    notes, starts = [], {field.start for field in holes}
    for layer in Net.parse(document).layers:
        for parameters in layer.field.value.all("convolution_param"):
            fields = [field for field in parameters.value if field.start in starts]
            if fields:
                try:
                    height, width = dilations(layer.message.convolution_param, 2)
                except ValueError as error:
                    raise fields[0].error(f"layer {layer.name} cannot be built: {error}") from error
                sizes = [height] if height == width else [height, width]
                line = " ".join(f"dilation: {size}" for size in sizes)
                edits.replace(fields[0], line)
                for field in fields[1:]:
                    edits.remove(field)
                notes.append(f"made {fields[0].name} (line {fields[0].line}) {line}")
    return notes


def _with_notes_of_the_rest(document: Document) -> Rewrite:
    """Note what stock Caffe does not know."""
    notes, unknown_layers = [], set()
    for layer in Net.parse(document).layers:
        if not layers.of(layer.type).is_stock and not layer.is_padding:
            notes.append(f"left {describe_layer(layer)}: stock Caffe has no such layer type")
            unknown_layers.add(layer.field.start)
    fields = [field for field in document.root if field.start not in unknown_layers]
    for message, field in _unknown_to_stock("NetParameter", fields):
        notes.append(f"left {field.name} (line {field.line}): "
                     f"stock Caffe's {message} has no such field or value")
    return Rewrite(document, tuple(notes))


def _unknown_to_stock(message: str, tree: Iterable[Field]) -> Iterator[Tuple[str, Field]]:
    """(message, field) for all that stock Caffe's text parser would not accept, at any depth."""
    descriptors: Any = schema.new(message).DESCRIPTOR.fields_by_name
    for field in tree:
        if not schema.is_stock(message, field.name):
            yield message, field
            continue
        descriptor = descriptors[field.name]
        if field.is_message and descriptor.message_type is not None:
            yield from _unknown_to_stock(descriptor.message_type.name, field.value)
        elif descriptor.enum_type is not None and not field.is_message:
            word = field.value.text
            if not word.isdigit() and not schema.is_stock(message, field.name, word):
                yield message, field
