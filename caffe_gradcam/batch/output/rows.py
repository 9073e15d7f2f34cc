"""Rows of a part: one per image and explanation, or one that says why there is none."""

import os
from typing import Any, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.pictures.boxes import find

# Column -> kind, in the order in which parts hold them.
COLUMNS = {
    "item": "int64", "id": "string", "path": "string", "sha256": "string",
    "status": "string", "error": "string", "label": "int32", "predicted": "int32",
    "question": "string", "class": "int32", "name": "string",
    "score": "float32", "probability": "float32", "method": "string", "target": "string",
    "cam": "binary", "cam_shape": "list<int32>", "cam_scale": "float32",
    "positive_mass": "float64", "negative_mass": "float64",
    "input": "string", "photograph": "list<int32>", "rectangle": "list<float64>",
    "placement": "list<float64>", "box": "list<float64>", "boxes": "list<list<int32>>",
}
STATUSES = ("ok", "empty", "unreadable", "failed")
BAD = ("unreadable", "failed")


class Outcome(NamedTuple):
    """What became of an item.

    Attributes
    ----------
    item : Item
    sha256 : str or None
        Of the image file's bytes, if they could be read.
    label : int or None
        The true class.
    status : str
        "done", "unreadable" or "failed".
    error : str or None
    predicted : int or None
        The class with the highest score.
    explanations : list of Explanation
    """

    item: Item
    sha256: Optional[str] = None
    label: Optional[int] = None
    status: str = "done"
    error: Optional[str] = None
    predicted: Optional[int] = None
    explanations: List[Any] = []


def of_outcome(outcome, threshold=None):
    """The rows of an item: dicts with all of ``COLUMNS``.

    Parameters
    ----------
    outcome : Outcome
    threshold : float, optional
        Boxes around what is at least this part of the heatmap's maximum.
    """
    item = outcome.item
    row = dict.fromkeys(COLUMNS)
    row.update({
        "item": item.number, "id": printable(item.id), "path": printable(item.path),
        "sha256": outcome.sha256, "label": outcome.label, "predicted": outcome.predicted,
        "box": item.box,
    })
    if outcome.status != "done":
        return [dict(row, status=outcome.status, error=printable(outcome.error))]
    return [dict(row, **_of_explanation(one, threshold)) for one in outcome.explanations]


def _of_explanation(one, threshold):
    cam, scale = pack(one.cam)
    return {
        "status": one.status, "question": printable(one.question), "class": one.class_index,
        "name": None if one.label is None else printable(one.label),
        "score": _float32(one.score), "probability": _float32(one.probability),
        "method": one.method, "target": one.target,
        "cam": cam, "cam_shape": list(one.cam.shape), "cam_scale": scale,
        "positive_mass": one.positive_mass, "negative_mass": one.negative_mass,
        "input": one.input, "photograph": list(map(int, one.geometry.image_size)),
        "rectangle": list(map(float, one.geometry.rectangle)),
        "placement": None if one.placement is None else [
            float(value) for pair in one.placement for value in pair],
        "boxes": None if threshold is None else [
            list(box.rectangle) for box in find(one.heatmap, threshold)],
    }


def pack(cam):
    """A map as the bytes of float16 values in [-1, 1], and the factor that makes it again.

    Parameters
    ----------
    cam : numpy.ndarray
        h x w float32.

    Returns
    -------
    data : bytes
        Little-endian, row by row.
    scale : float
        The largest absolute value; 0 for a map of zeros.
    """
    scale = np.float32(np.abs(cam).max())
    unit = cam / scale if scale > 0 else cam
    return unit.astype("<f2").tobytes(), float(scale)


def unpack(row):
    """The map of a row: h x w float32, each value within 1/2048 of itself."""
    unit = np.frombuffer(row["cam"], "<f2").reshape(row["cam_shape"])
    return unit.astype(np.float32) * np.float32(row["cam_scale"])


def to_explanation(row):
    """The explanation that a row was made of, its map in half precision."""
    height, width = row["photograph"]
    numbers = row["placement"]
    placement = None if numbers is None else Placement(tuple(numbers[:2]), tuple(numbers[2:]))
    return Explanation(
        question=row["question"], class_index=row["class"], label=row["name"],
        score=row["score"], probability=row["probability"], method=row["method"],
        target=row["target"], cam=unpack(row),
        geometry=Geometry((height, width), tuple(row["rectangle"])), placement=placement,
        input=row["input"])


def printable(text):
    """A text with what no encoding can write as ``\\xff`` escapes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _float32(value):
    return None if value is None else float(np.float32(value))
