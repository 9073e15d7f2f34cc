"""The old forms V0 and V1, read as V2.

Caffe does the same when it loads them: ``src/caffe/util/upgrade_proto.cpp``.
"""

from typing import Any, Dict, List, Tuple

from prototxt_tools.net import schema
from prototxt_tools.text.tree import Field

_TRANSFORM = "transform_param"
_SOURCES = {
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
}
_WEIGHTED = {"conv": "convolution_param", "innerproduct": "inner_product_param"}
_WINDOWED = {"conv": "convolution_param", "pool": "pooling_param"}
_BATCHED = {name: field for name, field in _SOURCES.items() if name != "infogain_loss"}
_ANY = dict.fromkeys(schema.V0_TYPES, _TRANSFORM)
_SKIPPING = {"data": "data_param", "images": "image_data_param"}
_IMAGES = {"images": "image_data_param"}
_WINDOWS = {"window_data": "window_data_param"}

# V0 field -> (layer type -> V2 message, name of the field there)
V0_FIELDS: Dict[str, Tuple[Dict[str, str], str]] = {
    "num_output": (_WEIGHTED, "num_output"),
    "biasterm": (_WEIGHTED, "bias_term"),
    "weight_filler": (_WEIGHTED, "weight_filler"),
    "bias_filler": (_WEIGHTED, "bias_filler"),
    "pad": (_WINDOWED, "pad"),
    "kernelsize": (_WINDOWED, "kernel_size"),
    "stride": (_WINDOWED, "stride"),
    "group": ({"conv": "convolution_param"}, "group"),
    "pool": ({"pool": "pooling_param"}, "pool"),
    "dropout_ratio": ({"dropout": "dropout_param"}, "dropout_ratio"),
    "local_size": ({"lrn": "lrn_param"}, "local_size"),
    "alpha": ({"lrn": "lrn_param"}, "alpha"),
    "beta": ({"lrn": "lrn_param"}, "beta"),
    "k": ({"lrn": "lrn_param"}, "k"),
    "concat_dim": ({"concat": "concat_param"}, "concat_dim"),
    "source": (_SOURCES, "source"),
    "batchsize": (_BATCHED, "batch_size"),
    "rand_skip": (_SKIPPING, "rand_skip"),
    "shuffle_images": (_IMAGES, "shuffle"),
    "new_height": (_IMAGES, "new_height"),
    "new_width": (_IMAGES, "new_width"),
    "scale": (_ANY, "scale"),
    "meanfile": (_ANY, "mean_file"),
    "cropsize": (_ANY, "crop_size"),
    "mirror": (_ANY, "mirror"),
    "det_fg_threshold": (_WINDOWS, "fg_threshold"),
    "det_bg_threshold": (_WINDOWS, "bg_threshold"),
    "det_fg_fraction": (_WINDOWS, "fg_fraction"),
    "det_context_pad": (_WINDOWS, "context_pad"),
    "det_crop_mode": (_WINDOWS, "crop_mode"),
}
_V1_TYPE = schema.new("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type
_V1_NUMBERS = {value.number: value.name for value in _V1_TYPE.values}
_REPLACED = {"type", "layer", "blobs_lr", "weight_decay", "param", "blob_share_mode"}

# V2 type -> the message in which V1 keeps what V2 keeps in transform_param.
V1_TRANSFORMED = {
    "Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param",
}
V1_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


def v2_type(written: str, form: str) -> str:
    """The V2 name of a layer type; what is written where the type is unknown."""
    if form == "V1" and written.isdigit():
        written = _V1_NUMBERS.get(int(written), written)
    table = {"V0": schema.V0_TYPES, "V1": dict(schema.V1_FORK_TYPES, **schema.V1_TYPES)}.get(
        form, {})
    return table.get(written, written)


def phase_name(written: str) -> str:
    """"TRAIN" or "TEST" of an enum value that may be a number."""
    return {"0": "TRAIN", "1": "TEST"}.get(written, written)


def layer_message(field: Field, form: str, layer_type: str) -> Tuple[Any, List[Field]]:
    """A layer of any form as a V2 ``LayerParameter``.

    Returns
    -------
    message
    unknown : list of Field
        The fields that no schema knows.

    Raises
    ------
    PrototxtError
        Where a value does not fit its field.
    """
    message = schema.new("LayerParameter")
    if form == "V2":
        return message, schema.fill(message, field.value)
    old = schema.new("V1LayerParameter")
    unknown = schema.fill(old, field.value)
    _copy_fields(old, message)
    if form == "V0":
        unknown += _copy_v0_fields(old.layer, message, field)
    message.type = schema.in_utf8(layer_type)
    _copy_param_specs(old.layer if form == "V0" else old, message)
    _move_transform_fields(message)
    return message, unknown


def set_pad(message: Any, field: Field) -> None:
    """Give a convolution or pooling the ``pad`` of a V0 padding layer in place of its own."""
    old = schema.new("V1LayerParameter")
    schema.fill(old, field.value)
    if message.type == "Pooling":
        message.pooling_param.pad = old.layer.pad
    else:
        message.convolution_param.pad[:] = [old.layer.pad]


def _copy_fields(old: Any, message: Any) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for descriptor, value in old.ListFields():
        if descriptor.name in fields and descriptor.name not in _REPLACED:
            _put(message, descriptor.name, value)


def _copy_v0_fields(old: Any, message: Any, field: Field) -> List[Field]:
    """Copy the fields of the inner layer; returns those that mean nothing to its type."""
    message.name = old.name
    inner = field.value.first("layer").value
    unknown = []
    for descriptor, value in old.ListFields():
        if descriptor.name == "hdf5_output_param":
            message.hdf5_output_param.CopyFrom(value)
        elif descriptor.name == "blobs":
            _put(message, "blobs", value)
        elif descriptor.name not in _REPLACED | {"name"}:
            owners, name = V0_FIELDS.get(descriptor.name, ({}, ""))
            if old.type in owners:
                _put(getattr(message, owners[old.type]), name, value)
            else:
                unknown.append(inner.first(descriptor.name))
    return unknown


def _copy_param_specs(old: Any, message: Any) -> None:
    """blobs_lr, weight_decay, param and blob_share_mode become ``param`` messages."""
    names = list(getattr(old, "param", ()))
    shares = list(getattr(old, "blob_share_mode", ()))
    count = max(len(old.blobs_lr), len(old.weight_decay), len(names), len(shares))
    for index in range(count):
        spec = message.param.add()
        if index < len(old.blobs_lr):
            spec.lr_mult = old.blobs_lr[index]
        if index < len(old.weight_decay):
            spec.decay_mult = old.weight_decay[index]
        if index < len(names):
            spec.name = names[index]
        if index < len(shares):
            spec.share_mode = shares[index]


def _move_transform_fields(message: Any) -> None:
    """Caffe: ``UpgradeNetDataTransformation``."""
    if message.type not in V1_TRANSFORMED:
        return
    parameters = getattr(message, V1_TRANSFORMED[message.type])
    for name in V1_TRANSFORM_FIELDS:
        if parameters.HasField(name):
            setattr(message.transform_param, name, getattr(parameters, name))
            parameters.ClearField(name)


def _put(message: Any, name: str, value: Any) -> None:
    """Set a field of any kind; a single value is added to a repeated field."""
    current = getattr(message, name)
    if hasattr(current, "CopyFrom"):
        current.CopyFrom(value)
    elif hasattr(current, "extend"):
        current.extend(value if hasattr(value, "extend") else [value])
    else:
        setattr(message, name, value)
