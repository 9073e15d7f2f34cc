"""What is known of a model, as a table for people."""

from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.model.preprocess import Preprocessing


def describe(model: "LoadedModel") -> str:
    """A table of a model's values, and where each comes from.

    Of the inputs after the first only the values that differ from the first one's are shown.
    """
    first = _fields_of(model.preprocessing)
    values = [("weights", str(model.weights))] + list(first.items())
    for blob, preprocessing in list(model.inputs.items())[1:]:
        fields = _fields_of(preprocessing)
        values += [(f"{blob}.{name}", value) for name, value in fields.items()
                   if first.get(name) != value]
    values += [
        ("score", model.score),
        ("layers", ", ".join(model.layers)),
        ("labels", f"{len(model.class_names)} class names" if model.class_names else "none"),
    ]
    widest = max(13, max(len(name) for name, _ in values))
    width = min(60, max(len(value) for _, value in values))
    lines = [f"  {_option(name):<{widest}}  {value:<{width}}  {model.origins[name]}"
             for name, value in values]
    return "\n".join([model.name] + lines)


def _option(name: str) -> str:
    """A field's name as that of its option, behind the input's blob if there is one."""
    blob, dot, field = name.rpartition(".")
    return blob + dot + field.replace("_", "-")


def _fields_of(preprocessing: "Preprocessing") -> Dict[str, str]:
    """How an input's images are prepared, in words."""
    fields = {
        "size": _size(preprocessing.size),
        "channel_order": preprocessing.channel_order,
        "mean": _mean(preprocessing.mean),
        "scale": f"{preprocessing.scale:g}",
        "resize": _size(preprocessing.resize),
        "crop": _size(preprocessing.crop),
    }
    if preprocessing.crops > 1:
        fields["crops"] = str(preprocessing.crops)
    return fields


def _size(size: Any) -> str:
    if isinstance(size, tuple):
        return "{}x{}".format(*size)
    if isinstance(size, str):
        return size
    return "none" if size is None else f"short side {size}"


def _mean(mean: Any) -> str:
    if mean is None:
        return "none"
    if mean.ndim == 3:
        return "image of {}x{}".format(*mean.shape[1:])
    return ", ".join(f"{value:g}" for value in mean)
