"""Boxes around the hot parts of a heatmap."""

import csv
import io
import json
import os
from typing import NamedTuple

import numpy as np

from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

# Of the hottest pixel: Grad-CAM's own, see find; of 0.15 to 0.7 it fits the digits' boxes best.
THRESHOLD = 0.15


class Box(NamedTuple):
    """Where a heatmap is hot.

    Attributes
    ----------
    x, y : int
        The left column and the top row, in pixels.
    width, height : int
        In pixels.
    score : float
        The highest heat inside.
    mean : float
        The mean heat of the part's pixels.
    area : int
        How many pixels are hot, connected and inside.
    """

    x: int
    y: int
    width: int
    height: int
    score: float
    mean: float
    area: int


def find(heatmap, threshold=THRESHOLD, least_area=0.0):
    """Boxes around the connected parts of a heatmap that are hot.

    Grad-CAM (Selvaraju et al., ICCV 2017, section 4.1) takes what is above 0.15 of the maximum;
    CAM (Zhou et al., CVPR 2016, section 3.2) above 0.2. Both keep the largest part alone; here
    are all of them. Pixels that touch at a corner are connected.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W float32; only what is positive counts.
    threshold : float
        The part of the map's maximum that a pixel must reach, above 0, at most 1.
    least_area : float
        The part of the map's pixels that a hot part must fill, 0 to 1.

    Returns
    -------
    list of Box
        The hottest first, and of equally hot ones the largest. Empty where the map is flat.

    Raises
    ------
    InputError
        A threshold or area out of range, or a map that holds NaN or infinity.
    """
    import cv2

    if not 0 < threshold <= 1:
        raise InputError(f"the threshold goes from above 0 to 1, not {threshold:g}")
    if not 0 <= least_area <= 1:
        raise InputError(f"the least area goes from 0 to 1, not {least_area:g}")
    if not np.isfinite(heatmap).all():
        raise InputError("the map holds NaN or infinity, so there is nothing to box")
    largest = heatmap.max()
    if largest <= 0 or heatmap.min() == largest:
        return []
    hot = np.uint8(heatmap >= np.float32(threshold) * largest)
    count, parts, places, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    found = []
    for part in range(1, count):
        x, y, width, height, area = places[part].tolist()
        if area < least_area * heatmap.size:
            continue
        window = slice(y, y + height), slice(x, x + width)
        heat = heatmap[window][parts[window] == part]
        mean = float(heat.mean(dtype=np.float64))
        found.append(Box(x, y, width, height, float(heat.max()), mean, area))
    return sorted(found, key=lambda box: (-box.score, -box.area, box.y, box.x))


def rows(found, **about):
    """Boxes as rows of a table.

    Parameters
    ----------
    found : list of Box
    **about
        What goes before in every row, such as ``path``, ``label``, ``method``, ``target``.

    Returns
    -------
    list of dict
        Ready for :func:`write` and for JSON.
    """
    return [dict(about, **box._asdict()) for box in found]


def write(path, table):
    """Write rows of boxes to a file, whole or not at all.

    Parameters
    ----------
    path : str or os.PathLike
        ``.json`` for a list of objects, ``.csv`` for a table with a heading; UTF-8.
    table : list of dict
        As :func:`rows` gives them, all with the same keys.

    Raises
    ------
    InputError
        Another extension, or a place that cannot be written.
    """
    path = os.fspath(path)
    extension = os.path.splitext(path)[1].lower()
    if extension == ".json":
        text = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    elif extension == ".csv":
        text = _csv(table)
    else:
        raise InputError(f"{path}: boxes are written as .csv or .json")
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _csv(table):
    file = io.StringIO(newline="")
    # An empty table still says what its columns would be.
    writer = csv.DictWriter(file, list(table[0] if table else Box._fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()
