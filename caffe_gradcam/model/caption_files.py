"""What a readme.md tells of the net that describes images in words."""

import os
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from caffe_gradcam.model import choices, fields
from prototxt_tools.errors import ModelError

_FILES = ("net", "weights", "words")


@dataclass(frozen=True)
class CaptionFiles:
    """``gradcam: caption:`` of a readme.md.

    Attributes
    ----------
    net, weights : str, optional
        The prototxt and the caffemodel of a language net that reads what the image net writes;
        both or neither: without, the folder's one net is both.
    words : str, optional
        The labels file of the words.
    features : str, optional
        The blob of the image net that the language net reads; without it, the one of the same
        name as the language net's input, or else the score.
    """

    net: Optional[str] = None
    weights: Optional[str] = None
    words: Optional[str] = None
    features: Optional[str] = None


def read(value: Any, path: str) -> Optional[CaptionFiles]:
    """The value of ``gradcam: caption:``.

    Parameters
    ----------
    value : dict or None
    path : str
        Of the readme.md, for messages; files are looked for beside it.

    Raises
    ------
    ModelError
        An unknown key, a file that is missing or in another folder, or a net without weights.
    """
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: gradcam.caption must consist of `key: value` lines", path)
    known = _FILES + ("features",)
    for key in value:
        if key not in known:
            raise ModelError(f"{path}: unknown key gradcam.caption.{key}; "
                             + choices.hint(key, known, 1, 0.6), path)
    found = _files(value, path)
    if ("net" in found) != ("weights" in found):
        raise ModelError(f"{path}: gradcam.caption needs both net and weights, or neither", path)
    features = value.get("features")
    return CaptionFiles(features=None if features is None else str(features), **found)


def _files(value: Mapping[Any, Any], path: str) -> Dict[str, str]:
    files = {}
    for key in _FILES:
        if value.get(key) is None:
            continue
        try:
            files[key] = fields.file(value[key], os.path.dirname(path) or ".")
        except ValueError as error:
            raise ModelError(f"{path}: gradcam.caption.{key} {error}", path) from None
        if not os.path.isfile(files[key]):
            raise ModelError(f"{path}: gradcam.caption.{key}: there is no file {files[key]}", path)
    return files
