"""From a row of a batch, of any version, to its map."""

from typing import Mapping

from caffe_gradcam.batch.output import rows
from caffe_gradcam.batch.output.rows import Row
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.report import lenient, thumbnails
from caffe_gradcam.report.entries import MapEntry
from caffe_gradcam.report.objects import NO_OBJECTS, Objects
from prototxt_tools.errors import ImageError, InputError

_LARGEST_MAP, _LARGEST_IMAGE = 1 << 22, 1 << 27
_UNUSABLE = (ValueError, TypeError, KeyError, OverflowError, ZeroDivisionError, MemoryError,
             InputError)


def explanation_of(row: Row) -> Explanation:
    """The explanation that a row was made of; raises ImageError where that cannot be read."""
    try:
        size, shape = lenient.image_size(row), row["cam_shape"]
        if size is None or size[0] * size[1] > _LARGEST_IMAGE or len(shape) != 2 \
                or not 0 < shape[0] * shape[1] <= _LARGEST_MAP:
            raise ValueError("no engine makes such a map")
        return rows.to_explanation(row)
    except _UNUSABLE:
        path = lenient.text(row.get("path"))
        raise ImageError(f"{path}: a map cannot be read", path) from None


def with_heat(row: Row, objects: Mapping[int, Objects]) -> MapEntry:
    """The map of a row with its picture; raises ImageError where it cannot be read."""
    explanation = explanation_of(row)
    index = lenient.index(row.get("class"))
    try:
        return thumbnails.of_explanation(
            explanation, objects.get(-1 if index is None else index, NO_OBJECTS))
    except _UNUSABLE:
        path = lenient.text(row.get("path"))
        raise ImageError(f"{path}: a map cannot be read", path) from None


def without_heat(row: Row) -> MapEntry:
    """What a row tells of its map besides the picture."""
    return MapEntry(
        lenient.text(row.get("question")), lenient.index(row.get("class")),
        lenient.text(row.get("class_name")), lenient.number(row.get("score")),
        lenient.number(row.get("probability")), lenient.text(row.get("method")),
        lenient.text(row.get("layer")), lenient.text(row.get("status")),
        positive_mass=lenient.number(row.get("positive_mass")),
        negative_mass=lenient.number(row.get("negative_mass")),
        position={axis: lenient.index(row.get(axis)) for axis in rows.POSITIONS},
        detected_box=lenient.numbers(row.get("detected_box")),
        sentence=lenient.text_or_none(row.get("sentence")))
