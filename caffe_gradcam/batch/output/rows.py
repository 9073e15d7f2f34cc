"""Rows of a part: one per image and explanation, or one that says why there is none."""

import os
from typing import TYPE_CHECKING, Any, Dict, Sequence, Tuple

import numpy as np

from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.word_relevance import WordRelevance
from caffe_gradcam.model.geometry import Geometry, Placement

if TYPE_CHECKING:
    from caffe_gradcam.explaining.clips import ClipExplanation

Row = Dict[str, Any]

# Column -> kind, in the order in which parts hold them.
COLUMNS = {
    "item": "int64", "id": "string", "path": "string", "sha256": "string",
    "status": "string", "error": "string", "note": "string",
    "true_label": "int32", "predicted": "int32",
    "question": "string", "class": "int32", "class_name": "string",
    "step": "int32", "prior": "int32", "roi": "int32",
    "score": "float32", "probability": "float32", "method": "string", "layer": "string",
    "cam": "binary", "cam_shape": "list<int32>", "cam_scale": "float32",
    "positive_mass": "float64", "negative_mass": "float64",
    "input": "string", "image_size": "list<int32>", "rectangle": "list<float64>",
    "placement": "list<float64>", "box": "list<float64>", "heat_boxes": "list<list<int32>>",
    "detected_box": "list<float64>", "sentence": "string",
    "words": "list<string>", "word_relevances": "list<float32>", "frames": "list<int32>",
}
# The columns of axes along which a question picks one index.
POSITIONS = ("step", "prior", "roi")
STATUSES = ("ok", "empty", "unreadable", "failed")
BAD = ("unreadable", "failed")


def pack_all(cams: "np.ndarray") -> Tuple["np.ndarray", "np.ndarray"]:
    """Maps as float16 values in [-1, 1], and the factors that restore them.

    Parameters
    ----------
    cams : numpy.ndarray
        N x h x w float32; of clips N x t x h x w.

    Returns
    -------
    cells : numpy.ndarray
        Of the same shape, little-endian float16.
    scales : numpy.ndarray
        N float32: the largest absolute values; 0 for a map of zeros.
    """
    scales = np.abs(cams).reshape(len(cams), -1).max(axis=1)
    divisors = np.where(scales > 0, scales, np.float32(1))
    cells: np.ndarray = (cams / divisors.reshape((-1,) + (1,) * (cams.ndim - 1))).astype("<f2")
    return cells, scales


def pack(cam: "np.ndarray") -> Tuple[bytes, float]:
    """The bytes and the factor of a single map, h x w float32; see :func:`pack_all`."""
    cells, scales = pack_all(cam[np.newaxis])
    return cells.tobytes(), float(scales[0])


def unpack(row: Row) -> "np.ndarray":
    """The map of a row: h x w float32, of a clip t x h x w; each value within 1/2048 of itself."""
    unit = np.frombuffer(row["cam"], "<f2").reshape(row["cam_shape"])
    return unit.astype(np.float32) * np.float32(row["cam_scale"])


def to_explanation(row: Row) -> Explanation:
    """The explanation that a row was made of, its map in half precision."""
    height, width = row["image_size"]
    numbers = row["placement"]
    placement = None if numbers is None else Placement(tuple(numbers[:2]), tuple(numbers[2:]))
    return Explanation(
        question=row["question"], class_index=row["class"], class_name=row["class_name"],
        score=row["score"], probability=row["probability"], method=row["method"],
        layer=row["layer"], cam=unpack(row),
        geometry=Geometry((height, width), tuple(row["rectangle"])), placement=placement,
        input=row["input"], position=tuple(
            (axis, row[axis]) for axis in POSITIONS if row[axis] is not None),
        box=None if row["detected_box"] is None else tuple(row["detected_box"]),
        sentence=row["sentence"], words=tuple(
            WordRelevance(text, position, relevance) for position, (text, relevance)
            in enumerate(zip(row["words"] or (), row["word_relevances"] or ()))))


def to_clip_explanation(row: Row) -> "ClipExplanation":
    """The explanation of a clip that a row was made of, its map in half precision."""
    from caffe_gradcam.explaining.clips import ClipExplanation

    height, width = row["image_size"]
    geometry = Geometry((height, width), tuple(row["rectangle"]))
    return ClipExplanation(
        row["question"], row["class"], row["class_name"], row["score"], row["probability"],
        row["method"], row["layer"], unpack(row), [geometry] * len(row["frames"]), row["input"])


def printable(text: str) -> str:
    """The text with bytes that are not UTF-8 as ``\\xff`` escapes."""
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # Halves of characters, from JSON.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def all_printable(texts: Sequence[str]) -> Sequence[str]:
    """The texts as :func:`printable` gives them."""
    try:
        # Without halves of characters, which stand for other bytes, all of them are.
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        return list(map(printable, texts))
    return texts
