"""Rows of a part: one per image and explanation, or one that says why there is none."""

import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.pictures.boxes import find

Row = Dict[str, Any]

# Column -> kind, in the order in which parts hold them.
COLUMNS = {
    "item": "int64", "id": "string", "path": "string", "sha256": "string",
    "status": "string", "error": "string", "note": "string",
    "true_label": "int32", "predicted": "int32",
    "question": "string", "class": "int32", "class_name": "string",
    "score": "float32", "probability": "float32", "method": "string", "layer": "string",
    "cam": "binary", "cam_shape": "list<int32>", "cam_scale": "float32",
    "positive_mass": "float64", "negative_mass": "float64",
    "input": "string", "image_size": "list<int32>", "rectangle": "list<float64>",
    "placement": "list<float64>", "box": "list<float64>", "heat_boxes": "list<list<int32>>",
}
STATUSES = ("ok", "empty", "unreadable", "failed")
BAD = ("unreadable", "failed")


@dataclass(frozen=True, eq=False)
class ItemResult:
    """What became of an item.

    Attributes
    ----------
    item : Item
    sha256 : str or None
        Of the image file's bytes, if they could be read.
    true_label : int or None
        The true class.
    status : str
        "done", "unreadable" or "failed".
    error : str or None
    predicted : int or None
        The class with the highest score.
    explanations : list of Explanation
    note : str or None
        Of a batch that was smaller than usual.
    """

    item: Item
    sha256: Optional[str] = None
    true_label: Optional[int] = None
    status: str = "done"
    error: Optional[str] = None
    predicted: Optional[int] = None
    explanations: List[Explanation] = field(default_factory=list)
    note: Optional[str] = None


def of_result(result: ItemResult, threshold: Optional[float] = None) -> List[Row]:
    """The rows of an item: dicts with all of ``COLUMNS``.

    Parameters
    ----------
    result : ItemResult
    threshold : float, optional
        Find boxes around everything that is at least this part of the heatmap's maximum.
    """
    item = result.item
    row: Row = dict.fromkeys(COLUMNS)
    row.update({
        "item": item.number, "id": printable(item.id), "path": printable(item.path),
        "note": None if result.note is None else printable(result.note),
        "sha256": result.sha256, "true_label": result.true_label, "predicted": result.predicted,
        "box": None if item.box is None else list(item.box),
    })
    if result.status != "done":
        return [dict(row, status=result.status, error=printable(result.error or ""))]
    return [dict(row, **_of_explanation(explanation, threshold))
            for explanation in result.explanations]


def _of_explanation(explanation: Explanation, threshold: Optional[float]) -> Row:
    cam, scale = pack(explanation.cam)
    geometry, placement, name = (
        explanation.geometry, explanation.placement, explanation.class_name)
    return {
        "status": explanation.status, "question": printable(explanation.question),
        "class": explanation.class_index, "class_name": None if name is None else printable(name),
        "score": _float32(explanation.score), "probability": _float32(explanation.probability),
        "method": explanation.method, "layer": explanation.layer,
        "cam": cam, "cam_shape": list(explanation.cam.shape), "cam_scale": scale,
        "positive_mass": explanation.positive_mass, "negative_mass": explanation.negative_mass,
        "input": explanation.input, "image_size": list(map(int, geometry.image_size)),
        "rectangle": list(map(float, geometry.rectangle)),
        "placement": None if placement is None else [
            float(value) for pair in (placement.rows, placement.columns) for value in pair],
        "heat_boxes": None if threshold is None else [
            list(box.rectangle) for box in find(explanation.heatmap, threshold)],
    }


def pack(cam: "np.ndarray") -> Tuple[bytes, float]:
    """A map as the bytes of float16 values in [-1, 1], and the factor that restores it.

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


def unpack(row: Row) -> "np.ndarray":
    """The map of a row: h x w float32, each value within 1/2048 of itself."""
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
        input=row["input"])


def printable(text: str) -> str:
    """The text with bytes that are not UTF-8 as ``\\xff`` escapes."""
    try:
        return os.fsencode(text).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # Halves of characters, from JSON.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _float32(value: Optional[float]) -> Optional[float]:
    return None if value is None else float(np.float32(value))
