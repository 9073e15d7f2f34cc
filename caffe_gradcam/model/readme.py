"""The ``gradcam:`` section of a model's readme.md."""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from caffe_gradcam.model import caption_files, choices
from caffe_gradcam.model.caption_files import CaptionFiles
from caffe_gradcam.model.fields import OF_INPUT
from prototxt_tools.errors import ModelError

# Keys of the model itself -> the field that each sets.
_KEYS = {"score": "score", "layer": "layers", "labels": "labels", "outputs": "outputs"}
# The keys of inputs that are no pictures: what they hold where nothing else is given, and the words
# whose numbers they take.
OF_ARRAY = ("value", "words")
# Keys of the first version of this section, in folders in the wild -> today's.
_FORMER = {"input": "inputs", "target": "layer"}


@dataclass(frozen=True, eq=False)
class Section:
    """What a readme.md specifies.

    Attributes
    ----------
    path : str
        Of the readme.md.
    fields : dict
        Field -> value, of the model and of all its inputs.
    by_blob : dict
        Input blob -> {field -> value}, where the inputs differ.
    warnings : tuple of str
    caption : CaptionFiles, optional
    """

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    by_blob: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: Tuple[str, ...] = ()
    caption: Optional[CaptionFiles] = None

    def value(self, name: str, blob: Optional[str]) -> Tuple[bool, Any]:
        """Whether a field is specified, for an input blob or the model, and its value."""
        for fields in (self.by_blob.get(blob, {}) if blob else {}, self.fields):
            if name in fields:
                return True, fields[name]
        return False, None

    def check_blobs(self, pictures: Iterable[str], arrays: Iterable[str]) -> None:
        """Raise a ModelError where the section names an input that the net does not have, or sets
        what an input that is no picture does not have."""
        pictures, arrays = list(pictures), list(arrays)
        _check_keys(self.path, "gradcam.inputs", self.by_blob, pictures + arrays)
        for blob, values in self.by_blob.items():
            _check_keys(self.path, f"gradcam.inputs.{blob}", values,
                        OF_INPUT if blob in pictures else OF_ARRAY)


def read(front: Mapping[Any, Any], path: str) -> Section:
    """The section of a readme.md's front matter.

    Parameters
    ----------
    front : dict
        The front matter.
    path : str
        Of the readme.md, for messages.

    Raises
    ------
    ModelError
        An unknown key; near names are suggested.
    """
    section, warnings = _renamed(_mapping(path, "gradcam", front.get("gradcam")), path)
    inputs = _mapping(path, "gradcam.inputs", section.pop("inputs", None))
    caption = caption_files.read(section.pop("caption", None), path)
    _check_keys(path, "gradcam", section, ["inputs", "caption"] + list(_KEYS))
    fields = {_KEYS[key]: value for key, value in section.items()}
    by_blob: Dict[str, Mapping[str, Any]] = {}
    if inputs and all(isinstance(value, dict) for value in inputs.values()):
        by_blob = {str(blob): value for blob, value in inputs.items()}
    else:
        _check_keys(path, "gradcam.inputs", inputs, OF_INPUT)
        fields.update(inputs)
    for blob, values in by_blob.items():
        _check_keys(path, f"gradcam.inputs.{blob}", values, OF_INPUT + OF_ARRAY)
    return Section(path, fields, by_blob, warnings, caption)


def _renamed(section: Dict[Any, Any], path: str) -> Tuple[Dict[Any, Any], Tuple[str, ...]]:
    """A section of the first version in today's words, and a warning where it is one."""
    former = [key for key in _FORMER if key in section]
    if not former:
        return section, ()
    renamings = " and ".join(f"{key} to {_FORMER[key]}" for key in former)
    renamed = {_FORMER.get(key, key): value for key, value in section.items()}
    if len(renamed) < len(section):
        raise ModelError(f"{path}: gradcam has both an old and a new key; rename {renamings}", path)
    return renamed, (f"{path}: gradcam uses keys of an older version; rename {renamings}",)


def _mapping(path: str, key: str, value: Any) -> Dict[Any, Any]:
    if value is not None and not isinstance(value, dict):
        raise ModelError(f"{path}: {key} must consist of `key: value` lines", path)
    return dict(value or {})


def _check_keys(path: str, section: str, keys: Iterable[Any], allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    for key in keys:
        if key not in allowed:
            raise ModelError(f"{path}: unknown key {section}.{key}; "
                             + choices.hint(key, allowed, 1, 0.6), path)


