"""What is known of a model, as a table for people."""

from typing import TYPE_CHECKING, Any, Dict, List, Tuple

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.model.preprocess import Preprocessing


def describe(model: "LoadedModel") -> str:
    """A table of a model's values, and where each comes from.

    A value in which a net's inputs differ is shown for each of them, as BLOB.FIELD.
    """
    rows = model_rows(model)
    widest = max(13, max(len(name) for name, _, _ in rows))
    width = min(60, max(len(value) for _, value, _ in rows))
    lines = [f"  {name:<{widest}}  {value:<{width}}  {origin}" for name, value, origin in rows]
    return "\n".join([model.name] + lines)


def model_rows(model: "LoadedModel") -> List[Tuple[str, str, str]]:
    """The name, the value and the origin of each of a model's values."""
    origins = model.origins
    rows = [("weights", str(model.weights), origins["weights"])]
    rows += _preprocessing_rows(model)
    rows += [
        ("score", model.score, origins["score"]),
        *_layout_rows(model),
        ("layers", ", ".join(model.layers), origins["layers"]),
        ("labels", f"{len(model.class_names)} class names" if model.class_names else "none",
         origins["labels"]),
    ]
    return rows


def _layout_rows(model: "LoadedModel") -> List[Tuple[str, str, str]]:
    """What the axes of the score blob are, where there are others than classes and places."""
    layout, shape = model.layout, model.shapes.get(model.score)
    if not layout.indexed or shape is None:
        return []
    axes = " x ".join(f"{size} {axis}" for axis, size in zip(layout.axes, shape)
                      if axis not in ("item", "unit"))
    return [("score-axes", axes, layout.origin)]


def _preprocessing_rows(model: "LoadedModel") -> List[Tuple[str, str, str]]:
    """The name, the value and the origin of each field, in the order of the fields."""
    by_input = {blob: _fields_of(values) for blob, values in model.inputs.items()}
    rows = []
    for field in dict.fromkeys(field for fields in by_input.values() for field in fields):
        option = field.replace("_", "-")
        values = {blob: fields[field] for blob, fields in by_input.items() if field in fields}
        if len(values) == len(by_input) and len(set(values.values())) == 1:
            rows.append((option, values[model.input], model.origins[field]))
            continue
        for blob, value in values.items():
            origin = model.origins.get(f"{blob}.{field}", model.origins[field])
            rows.append((f"{blob}.{option}", value, origin))
    return rows


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
    if preprocessing.value_range is not None:
        fields["value_range"] = "{:g} to {:g}".format(*preprocessing.value_range)
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
