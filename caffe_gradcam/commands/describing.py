"""What is known of a model, as a table for people."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel


def describe(model: "LoadedModel") -> str:
    """A table of a model's values, and where each comes from."""
    shown = model.preprocessing
    sizes = dict.fromkeys(_size(preprocessing.size) for preprocessing in model.inputs.values())
    values = [
        ("weights", str(model.weights)),
        ("size", ", ".join(sizes)),
        ("channel_order", shown.channel_order),
        ("mean", _mean(shown.mean)),
        ("scale", f"{shown.scale:g}"),
        ("resize", _size(shown.resize)),
        ("crop", _size(shown.crop)),
        ("score", model.score),
        ("layers", ", ".join(model.layers)),
        ("labels", f"{len(model.class_names)} class names" if model.class_names else "none"),
    ]
    if shown.crops > 1:
        values.insert(7, ("crops", str(shown.crops)))
    width = min(60, max(len(value) for _, value in values))
    lines = [f"  {name.replace('_', '-'):<13}  {value:<{width}}  {model.origins[name]}"
             for name, value in values]
    return "\n".join([model.name] + lines)


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
