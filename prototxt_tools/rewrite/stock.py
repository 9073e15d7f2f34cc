"""What forks of Caffe say in fields of their own, said in those of stock Caffe."""

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema
from prototxt_tools.net.net import Net
from prototxt_tools.rewrite.data_shapes import data_shape
from prototxt_tools.rewrite.result import Rewrite, said
from prototxt_tools.rewrite.text import braced, fitted, quoted
from prototxt_tools.rewrite.upgrade import upgrade_layers
from prototxt_tools.text.document import Document
from prototxt_tools.text.edits import Edits

# Fields that say how a fork computes or trains, not what: message -> names, * for every message.
_DROPPED = {
    "*": {"engine"},
    "NetParameter": {
        "default_forward_type", "default_backward_type", "default_forward_math",
        "default_backward_math", "default_conv_algos_override", "global_grad_scale",
        "global_grad_scale_adaptive", "bn_stats_batch_size", "version",
    },
    "LayerParameter": {"forward_type", "backward_type", "forward_math", "backward_math"},
    "ConvolutionParameter": {
        "cudnn_convolution_algo_seeker", "cudnn_math_override", "conv_algos_override",
        "cudnn_flavor",
    },
    "DataParameter": {"cache", "threads", "parser_threads"},
}
# (message, field) -> the value that means what stock Caffe does, the field for the other value.
_BOOLS = {
    ("PoolingParameter", "ceil_mode"): (True, "round_mode: FLOOR"),
    ("PoolingParameter", "torch_pooling"): (False, "round_mode: FLOOR"),
    ("DropoutParameter", "scale_train"): (True, None),
    ("DropoutParameter", "sample_weights_test"): (False, None),
}
_TRUE = ("true", "True", "t", "1")
_DEPTHWISE = {"DepthwiseConvolution", "ConvolutionDepthwise"}


def stock(document):
    """Say what a fork says in the fields of stock Caffe, where that means exactly the same.

    - ``ceil_mode: false`` and ``torch_pooling: true`` become ``round_mode: FLOOR``
    - ``Axpy`` becomes ``Flatten``, ``Scale`` along axis 0 and ``Eltwise``
    - ``ReLU6`` becomes ``Clip`` between 0 and 6
    - depthwise convolution types become ``Convolution`` with one group per channel
    - what chooses engines, number formats and algorithms goes, as does a byte order mark
    - V0 and V1 layers beside V2 ones, or of a type written in V2's manner, become V2

    Parameters
    ----------
    document : Document

    Returns
    -------
    Rewrite
        The notes that begin with "left" name what stock Caffe still does not know.

    Raises
    ------
    PrototxtError
        If the document is no net.
    """
    notes = []
    if document.text().startswith("\ufeff"):
        document = Document.parse(document.text()[1:], document.path)
        notes.append("removed the byte order mark")
    net = Net.parse(document)
    if net.form == "mixed" or any(map(_is_quoted_v1, net.layers)):
        document, upgraded = upgrade_layers(document)
        notes += upgraded
    for step in (_fields, _types):
        document, done = step(document)
        notes += done
    return Rewrite(document, notes + _left(document))


def _is_quoted_v1(layer):
    written = layer.field.value.first("type")
    return layer.form == "V1" and written is not None and (
        not written.is_message and written.value.is_string
    )


def _types(document):
    """Layer types that another type of stock Caffe can stand for."""
    net = Net.parse(document)
    sizes, edits, notes = None, Edits(document), []
    for layer in net.layers:
        if layer.form != "V2":
            continue
        if layer.type in _DEPTHWISE:
            sizes = _sizes(net) if sizes is None else sizes
            notes += _group(edits, layer, sizes)
        elif layer.type == "ReLU6":
            notes += _clip(edits, layer)
        elif layer.type == "Axpy" and _is_plain(layer, 3):
            edits.replace(layer.field, _axpy(layer))
            notes.append(f"made {said(layer)} a Flatten, a Scale and an Eltwise")
    return Rewrite(edits.apply(), notes)


def _is_plain(layer, bottoms):
    """Whether a layer says only what it reads and writes, not in place and not in a list."""
    names = {field.name for field in layer.field.value}
    counts = (len(layer.bottoms), len(layer.tops))
    return names <= {"name", "type", "bottom", "top"} and counts == (bottoms, 1) and (
        not layer.is_in_place and not layer.field.in_list
    )


def _sizes(net):
    net = net.at("TEST")
    images = {layer.tops[0]: data_shape(layer, layer.tops[0])[0]
              for layer in net.layers if layer.tops and not layer.bottoms}
    try:
        return shapes.infer(net, {blob: size for blob, size in images.items() if size})
    except InputError:
        return {}


def _group(edits, layer, sizes):
    field = layer.field.value.first("convolution_param")
    channels = (sizes.get(layer.bottoms[0]) or ())[1:2] if layer.bottoms else ()
    parameters = layer.message.convolution_param
    if field is None or not (channels or parameters.HasField("group")):
        return [f"left {said(layer)}: how many channels it reads is not known"]
    if channels and parameters.num_output % channels[0]:
        return [f"left {said(layer)}: its {parameters.num_output} outputs are no multiple of its {channels[0]} channels"]
    edits.replace(layer.field.value.first("type").value, '"Convolution"')
    group = field.value.first("group")
    if channels and group is None:
        edits.append(field, f"group: {channels[0]}")
    elif channels:
        edits.replace(group.value, str(channels[0]))
    return [f"made {said(layer)} a Convolution with one group per channel"]


def _clip(edits, layer):
    tree = layer.field.value
    if layer.message.relu_param.negative_slope:
        return [f"left {said(layer)}: it has a negative slope"]
    edits.replace(tree.first("type").value, '"Clip"')
    for field in tree.all("relu_param"):
        edits.remove(field)
    edits.insert_after(tree.fields[-1], fitted(tree.fields[-1], ["clip_param { min: 0 max: 6 }"]))
    return [f"made {said(layer)} a Clip from 0 to 6"]


def _axpy(layer):
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


def _layer(name, kind, bottoms, top, *parameters):
    said_so = ["name: " + quoted(name), "type: " + quoted(kind)]
    reads = ["bottom: " + quoted(bottom) for bottom in bottoms]
    return braced("layer", said_so, reads, "top: " + quoted(top), *parameters)


def _fields(document):
    """Fields that can go, or that a field of stock Caffe can stand for."""
    edits, notes = Edits(document), []
    for message, field in _strangers("NetParameter", document.root):
        where = f"{field.name} (line {field.line})"
        usual, other = _BOOLS.get((message, field.name), (None, None))
        if field.is_message:
            usual = other = None
        if field.name in _DROPPED["*"] | _DROPPED.get(message.replace("V1", ""), set()):
            edits.remove(field)
            notes.append(f"removed {where}")
        elif usual is not None and usual == (field.string() in _TRUE):
            edits.remove(field)
            notes.append(f"removed {where}, which says what stock Caffe does")
        elif other is not None:
            edits.replace(field, other)
            notes.append(f"made {where} {other}")
    return Rewrite(edits.apply(), notes)


def _left(document):
    notes, strange = [], set()
    for layer in Net.parse(document).layers:
        if layer.type not in schema.LAYER_TYPES and not layer.is_padding:
            notes.append(f"left {said(layer)}: no type of stock Caffe")
            strange.add(layer.field.start)
    known = [field for field in document.root if field.start not in strange]
    for message, field in _strangers("NetParameter", known):
        notes.append(
            f"left {field.name} (line {field.line}): stock Caffe's {message} has no such field or value"
        )
    return notes


def _strangers(message, tree):
    """(message, field) of all that stock Caffe's text parser would not know, at any depth."""
    known = schema.new(message).DESCRIPTOR.fields_by_name
    for field in tree:
        if not schema.is_stock(message, field.name):
            yield message, field
        elif field.is_message and known[field.name].message_type is not None:
            yield from _strangers(known[field.name].message_type.name, field.value)
        elif known[field.name].enum_type is not None and not field.is_message:
            word = field.value.text
            if not word.isdigit() and not schema.is_stock(message, field.name, word):
                yield message, field
