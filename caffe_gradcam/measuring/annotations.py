"""Boxes around the objects in images, as people drew them."""

import csv
import io
import os
from typing import Any, Callable, Dict, Iterator, List, Tuple, Union

from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json, read_bytes

Box = Tuple[float, float, float, float]
ClassBoxes = Dict[int, List[Box]]
# Where it stands in the file, the image's name, the class, and the four numbers of the box.
_Row = Tuple[str, str, Any, Any]

MOST_BYTES = 512 << 20
_COLUMNS = ("path", "class", "x", "y", "width", "height")


def read_boxes(
    path: Union[str, "os.PathLike[str]"], find_class: Callable[[str], int]
) -> Dict[str, ClassBoxes]:
    """Read a file of boxes.

    Parameters
    ----------
    path : str or os.PathLike
        ``.csv`` with the columns path, class, x, y, width and height, in any order and beside
        others; or ``.json``: image -> list of objects with "class" and "box" (x, y, width,
        height). Numbers are pixels of the image.
    find_class : callable
        Number or class name -> class index; raises InputError.

    Returns
    -------
    dict
        Image, as the file names it -> {class index: [(x, y, width, height), ...]}.

    Raises
    ------
    InputError
        The file cannot be read, or a row is not a box; the message names the line.
    """
    path = os.fspath(path)
    rows = _json_rows(path) if path.lower().endswith(".json") else _csv_rows(path)
    boxes: Dict[str, ClassBoxes] = {}
    for position, image, class_text, numbers in rows:
        try:
            index = find_class(str(class_text))
        except InputError as error:
            raise InputError(f"{position}: {error}", path) from None
        box = _box(numbers, position)
        boxes.setdefault(image, {}).setdefault(index, []).append(box)
    if not boxes:
        raise InputError(f"{path}: the file holds no boxes", path)
    return boxes


def read_json_object(path: str, content: str, most_bytes: int = MOST_BYTES) -> Dict[str, Any]:
    """The JSON object in a file.

    Parameters
    ----------
    path : str
    content : str
        What the object must hold, for the message about a file that holds something else.
    most_bytes : int
        A larger file is not read.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    try:
        document = parse_json(_text(path, most_bytes))
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file: {str(error)[:200]}", path) from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: must hold a JSON object, {content}", path)
    return document


def boxes_of(path: str, boxes: Dict[str, ClassBoxes]) -> ClassBoxes:
    """The boxes of an image: by its path, otherwise by its file name; {} where there are none."""
    by_name = {os.path.basename(image): image_boxes for image, image_boxes in boxes.items()}
    return boxes.get(path) or by_name.get(os.path.basename(path)) or {}


def _box(numbers: Any, position: str) -> Box:
    try:
        x, y, width, height = (float(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        raise InputError.about(
            position, "a box needs four numbers: x, y, width and height") from None
    if not (width > 0 and height > 0 and all(map(_is_finite, (x, y, width, height)))):
        raise InputError.about(position, "the width and height of a box must be above 0, and all "
                                         "four numbers finite")
    return x, y, width, height


def _text(path: str, most_bytes: int) -> str:
    try:
        return read_bytes(path, most_bytes).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8", path) from None


def _csv_rows(path: str) -> Iterator[_Row]:
    try:
        yield from _rows_of_table(_text(path, MOST_BYTES), path)
    except csv.Error as error:
        raise InputError(f"{path}: not a table: {error}", path) from None


def _rows_of_table(text: str, path: str) -> Iterator[_Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path}: the column {missing[0]} is missing; the first line must name "
                         "the columns " + ",".join(_COLUMNS), path)
    for row in reader:
        yield (f"{path}:{reader.line_num}", row["path"], row["class"],
               [row[name] for name in _COLUMNS[2:]])


def _json_rows(path: str) -> Iterator[_Row]:
    for image, entries in read_json_object(path, "image -> list of boxes").items():
        position = f"{path}: {image}"
        for entry in entries if isinstance(entries, list) else [None]:
            if not isinstance(entry, dict) or "class" not in entry or "box" not in entry:
                raise InputError(f'{position}: must be a list of objects {{"class": ..., '
                                 '"box": [x, y, width, height]}', path)
            numbers = entry["box"]
            is_box = isinstance(numbers, list) and not any(
                isinstance(number, (bool, str)) for number in numbers)
            yield position, image, entry["class"], numbers if is_box else None


def _is_finite(number: float) -> bool:
    return abs(number) < float("inf")
