"""Boxes of what is in some photographs, as people drew them."""

import csv
import io
import json
import os

from prototxt_tools.errors import InputError

_COLUMNS = ("path", "class", "x", "y", "width", "height")


def read_boxes(path, find_class):
    """Read a file of boxes.

    Parameters
    ----------
    path : str or os.PathLike
        ``.csv`` with the columns path, class, x, y, width, height, in any order and among others;
        or ``.json``: photograph -> list of objects with "class" and "box" (x, y, width, height).
        Numbers are pixels of the photograph.
    find_class : callable
        Number or label -> class index; raises InputError.

    Returns
    -------
    dict
        Photograph as the file names it -> {class index: [(x, y, width, height), ...]}.

    Raises
    ------
    InputError
        A file that cannot be read, or a row that makes no sense, by its place.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: no text in UTF-8") from None
    rows = _json_rows(text, path) if path.lower().endswith(".json") else _csv_rows(text, path)
    found = {}
    for place, photograph, meant, numbers in rows:
        try:
            box = tuple(float(number) for number in numbers)
            index = find_class(str(meant))
        except (TypeError, ValueError):
            raise InputError(f"{place}: x, y, width and height want numbers") from None
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        if len(box) != 4 or not box[2] > 0 or not box[3] > 0 or not all(map(_is_finite, box)):
            raise InputError(f"{place}: a box is x, y, width and height, the last two above 0")
        found.setdefault(photograph, {}).setdefault(index, []).append(box)
    if not found:
        raise InputError(f"{path}: holds no boxes")
    return found


def boxes_of(path, boxes):
    """The boxes of a photograph: by its path, else by its file name; {} where there are none."""
    by_name = {os.path.basename(one): found for one, found in boxes.items()}
    return boxes.get(path) or by_name.get(os.path.basename(path)) or {}


def _csv_rows(text, path):
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError("{}: no column {}; its first line names the columns: {}".format(
            path, missing[0], ",".join(_COLUMNS)))
    for row in reader:
        yield (f"{path}:{reader.line_num}", row["path"], row["class"],
               [row[name] for name in _COLUMNS[2:]])


def _json_rows(text, path):
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: wants an object, photograph -> list of boxes")
    for photograph, things in document.items():
        place = f"{path}: {photograph}"
        for thing in things if isinstance(things, list) else [None]:
            if not isinstance(thing, dict) or "class" not in thing or "box" not in thing:
                raise InputError(f'{place}: wants a list of {{"class": ..., "box": [x, y, width, '
                                 'height]}')
            yield place, photograph, thing["class"], thing["box"]


def _is_finite(number):
    return abs(number) < float("inf")
