"""Boxes around the hot parts of a heatmap."""

import csv
import dataclasses
import io
import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.errors import InputError, QuestionError
from prototxt_tools.files import write_bytes

Row = Dict[str, Any]

# Of the hottest pixel: Grad-CAM's own, see find; of 0.15 to 0.7 it fits the digits' boxes best.
THRESHOLD = 0.15
# Of the map's pixels: smaller parts are specks, not objects.
LEAST_AREA = 0.001


@dataclass(frozen=True)
class Box:
    """A rectangle around a hot part of a heatmap.

    Attributes
    ----------
    x, y : int
        The left column and the top row, in pixels.
    width, height : int
        In pixels.
    score : float
        The highest heat inside.
    mean : float
        The mean heat of the hot part's pixels.
    area : int
        How many pixels the hot part has.
    """

    x: int
    y: int
    width: int
    height: int
    score: float
    mean: float
    area: int

    @property
    def rectangle(self) -> Tuple[int, int, int, int]:
        """x, y, width and height."""
        return self.x, self.y, self.width, self.height


def find(heatmap: np.ndarray, threshold: float = THRESHOLD, least_area: float = LEAST_AREA
         ) -> List[Box]:
    """Boxes around the connected parts of a heatmap that are hot.

    Grad-CAM (Selvaraju et al., ICCV 2017, section 4.1) takes what is above 0.15 of the maximum;
    CAM (Zhou et al., CVPR 2016, section 3.2) above 0.2. Both keep only the largest part; this
    function returns them all. Pixels that touch at a corner are connected.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W float32; only positive values count.
    threshold : float
        The fraction of the map's maximum that a pixel must reach: above 0, at most 1.
    least_area : float
        The fraction of the map's pixels that a hot part must fill: 0 to 1.

    Returns
    -------
    list of Box
        The hottest first, and of equally hot ones the largest. Empty where the map is flat.

    Raises
    ------
    QuestionError
        A threshold or area out of range, or a map that holds NaN or infinity.
    """
    import cv2

    check_threshold(threshold)
    if not 0 <= least_area <= 1:
        raise QuestionError(f"the least area must be between 0 and 1, not {least_area:g}")
    if not np.isfinite(heatmap).all():
        raise QuestionError("the map holds NaN or infinity, so it has no boxes")
    largest = heatmap.max()
    if largest <= 0 or heatmap.min() == largest:
        return []
    hot = (heatmap >= np.float32(threshold) * largest).astype(np.uint8)
    count, parts, rectangles, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    boxes = []
    for part in range(1, count):
        x, y, width, height, area = rectangles[part].tolist()
        if area < least_area * heatmap.size:
            continue
        window = slice(y, y + height), slice(x, x + width)
        heat = heatmap[window][parts[window] == part]
        mean = float(heat.mean(dtype=np.float64))
        boxes.append(Box(x, y, width, height, float(heat.max()), mean, area))
    return sorted(boxes, key=lambda box: (-box.score, -box.area, box.y, box.x))


def check_threshold(threshold: float) -> None:
    """Raise a QuestionError for a threshold that :func:`find` does not take."""
    if not 0 < threshold <= 1:
        raise QuestionError(
            f"the threshold of boxes must be greater than 0 and at most 1, not {threshold:g}")


def rows(boxes: Sequence[Box], **about: Any) -> List[Row]:
    """Boxes as rows of a table.

    Parameters
    ----------
    boxes : sequence of Box
    **about
        The first columns of every row, such as ``path``, ``class_name``, ``method``, ``layer``.

    Returns
    -------
    list of dict
        Ready for :func:`write` and for JSON.
    """
    return [dict(about, **dataclasses.asdict(box)) for box in boxes]


def write(path: "Union[str, os.PathLike[str]]", table: Sequence[Row]) -> None:
    """Write rows of boxes to a file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        ``.json`` for a list of objects, ``.csv`` for a table with a heading; UTF-8.
    table : sequence of dict
        As :func:`rows` returns them, all with the same keys.

    Raises
    ------
    InputError
        Another extension, or a file that cannot be written.
    """
    path = os.fspath(path)
    extension = os.path.splitext(path)[1].lower()
    if extension == ".json":
        text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    elif extension == ".csv":
        text = _csv(table)
    else:
        raise InputError(f"{path}: boxes are written as .csv or .json", path)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _csv(table: Sequence[Row]) -> str:
    file = io.StringIO(newline="")
    # An empty table still shows its columns.
    columns = list(table[0]) if table else [field.name for field in dataclasses.fields(Box)]
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()
