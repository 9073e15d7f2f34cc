"""Files of class names, in the forms that people have them.

One name per line; lines that carry the number of their class, in any order; CSV; JSON; a label map
(``item { name: ... label: ... }``). A class gets a name only where the file leaves no doubt.
"""

import ast
import csv
import itertools
import os
import re
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

from prototxt_tools.errors import InputError, ModelError, shortened
from prototxt_tools.files import parse_json, read_bytes
from prototxt_tools.text.document import Document

if TYPE_CHECKING:
    StrPath = Union[str, "os.PathLike[str]"]

MOST_BYTES = 16 << 20
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_WORDNET_ID = re.compile(r"n\d{8}\s+")
_LABEL_MAP = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:item|entry)\s*:?\s*\{")
# ``0 cat``, ``0: cat``, ``0,cat``, ``0<tab>cat``, and ``{0: 'cat',`` of a printed dictionary.
_NUMBER_FIRST = re.compile(r"\{?\s*(\d{1,6})\s*(?:[\s:,;=]|\.\s)\s*(\S.*)$")
_NUMBER_LAST = re.compile(r"(.*\S)[\s,;]+(\d{1,6})$")
_IMAGE_NAME = re.compile(r"\S+\.(?:jpe?g|png|bmp|tiff?|webp|ppm)\s+\d+$", re.IGNORECASE)
# Places' names begin with their letter: /a/abbey.
_PLACES_PREFIX = re.compile(r"^/\w/")

# Brackets within each other in a printed list.
_DEEPEST = 20

Numbered = List[Tuple[int, str]]

# The letters of a value that messages show.
_SHOWN = 40


def load(path: "StrPath") -> List[str]:
    """Read a labels file.

    Parameters
    ----------
    path : str or os.PathLike
        In UTF-8 (or UTF-16 with a byte order mark), of at most 16 MiB. A WordNet number before a
        name (``n02119789 kit fox, Vulpes macrotis``, as in ImageNet's ``synset_words.txt``) is
        dropped, and so is Places' ``/a/`` before ``abbey 0``.

    Returns
    -------
    list of str
        The name of class 0, of class 1, and so on. Where the file numbers its lines, they are in
        the order of the numbers, which begin with 0 or 1.

    Raises
    ------
    ModelError
        The file is missing, unreadable, empty, not UTF-8, a list of images, or numbers its
        classes with gaps or twice.
    """
    path = os.fspath(path)
    text = _decoded(read_bytes(path, MOST_BYTES, ModelError), path)
    if path.lower().endswith((".yaml", ".yml")):
        raise ModelError(f"{path}: YAML; write one class name per line, or JSON", path)
    if not text.strip():
        raise ModelError(f"{path}: holds no labels; there must be one per line", path)
    names = _read(text, path)
    return [_WORDNET_ID.sub("", name.strip()) for name in names]


def _decoded(data: bytes, path: str) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise ModelError(f"{path}:{line}: not UTF-8; convert the file, for example with `iconv -f "
                         "GBK -t UTF-8` if its names are Chinese, or -f LATIN1 if they are "
                         "western European", path) from None


def _read(text: str, path: str) -> Sequence[str]:
    values = _json_values(text, path)
    if values is not None:
        return _of_json(values, path)
    if _LABEL_MAP.match(text):
        return _in_order(_label_map(text, path), path)
    lines = [line.strip() for line in re.split("\r\n|\r|\n", text.rstrip())]
    if path.lower().endswith((".csv", ".tsv")):
        return _of_table(lines, path)
    return _of_lines(lines, path)


def _json_values(text: str, path: str) -> Any:
    """What the text holds where it is JSON: a list or a dictionary; else None."""
    is_json = path.lower().endswith(".json")
    if not is_json and text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        values = parse_json(text)
    except ValueError as error:
        if is_json:
            raise ModelError(f"{path}: not JSON: {error}", path) from None
        values = _printed(text)
        if values is None:
            return None
    if not isinstance(values, (list, dict)) or not values:
        raise ModelError(f"{path}: must hold a list of names, or a mapping of numbers to names",
                         path)
    return values


def _printed(text: str) -> Any:
    """What the text holds where it is a list or dictionary as Python prints it; else None."""
    depths = itertools.accumulate(1 if letter in "[{(" else -1
                                  for letter in re.findall(r"[\[\]{}()]", text))
    if max(depths) > _DEEPEST:
        return None
    try:
        values = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return {str(key): value for key, value in values.items()} if isinstance(
        values, dict) else values


def _of_json(values: Any, path: str) -> Sequence[str]:
    if isinstance(values, list):
        if all(isinstance(value, str) for value in values):
            return list(values)
        return _in_order([_of_object(value, path) for value in values], path)
    numbered = []
    for key, value in values.items():
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = value[-1]  # As in {"0": ["n01440764", "tench"]}.
        if key.isdigit() and isinstance(value, str):
            numbered.append((_number(key, path), value))
        elif isinstance(value, int) and not isinstance(value, bool):
            numbered.append((value, key))
        else:
            raise ModelError(f"{path}: {shortened(repr(key), _SHOWN)} is neither the number of a "
                             "class with its name nor a name with its number", path)
    if all(key.isdigit() for key in values) and all(isinstance(value, int)
                                                    for value in values.values()):
        raise ModelError(f"{path}: maps numbers to numbers, not to names", path)
    return _in_order(numbered, path)


def _of_object(value: Any, path: str) -> Tuple[int, str]:
    """``{"id": 1, "name": "person"}``, as COCO lists its categories."""
    if isinstance(value, dict):
        number = next((value[key] for key in ("id", "label", "index") if key in value), None)
        name = next((value[key] for key in ("display_name", "name") if key in value), None)
        if isinstance(number, int) and not isinstance(number, bool) and isinstance(name, str):
            return number, name
    raise ModelError(f"{path}: {shortened(repr(value), _SHOWN)} is neither a name nor an object "
                     "with id and name", path)


def _label_map(text: str, path: str) -> Numbered:
    """The items of a label map, as SSD's (``label``) and TensorFlow's (``id``) have them."""
    try:
        root = Document.parse(text, path).root
    except InputError as error:
        raise ModelError(str(error), path) from None
    numbered = []
    for field in root.all("item") + root.all("entry"):
        values = field.value if field.is_message else None
        numbers = (values.strings("label") or values.strings("id")) if values else []
        names = (values.strings("display_name") or values.strings("name")) if values else []
        if not numbers or not names or not numbers[0].isdigit():
            raise ModelError(f"{path}:{field.line}: an item of a label map needs a label and a "
                             "name", path)
        numbered.append((_number(numbers[0], path), names[0]))
    return numbered


def _of_table(lines: Sequence[str], path: str) -> Sequence[str]:
    """Names from a table of number and name, with or without a heading, or of names alone."""
    delimiter = "\t" if path.lower().endswith(".tsv") else ","
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)
            if row]
    widths = {len(row) for row in rows}
    if widths == {1}:
        return _of_lines([row[0] for row in rows], path)
    if len(widths) != 1:
        raise ModelError(f"{path}: its lines have different numbers of columns; quote names that "
                         "hold commas", path)
    for body in (rows, rows[1:]):
        columns = [column for column in range(len(rows[0]))
                   if body and all(row[column].isdigit() for row in body)]
        others = [column for column in range(len(rows[0])) if column not in columns]
        if len(columns) == 1 and others:
            name = _name_column(rows[0], others) if body is not rows else others[-1]
            return _in_order([(_number(row[columns[0]], path), row[name]) for row in body], path)
    raise ModelError(f"{path}: a table of labels needs one column of numbers and one of names",
                     path)


def _name_column(heading: Sequence[str], columns: Sequence[int]) -> int:
    return next((column for word in ("display_name", "name") for column in columns
                 if word in heading[column].lower()), columns[-1])


def _of_lines(lines: Sequence[str], path: str) -> Sequence[str]:
    filled = [line for line in lines if line.strip("{}")]
    if all(_IMAGE_NAME.match(line) for line in filled):
        raise ModelError(f"{path}: a list of images with their labels, not of class names", path)
    first = [_NUMBER_FIRST.match(line) for line in filled]
    if all(first):
        numbered = [(int(match.group(1)), _unquoted(match.group(2))) for match in first if match]
        return _in_order(numbered, path)
    last = [_NUMBER_LAST.match(line) for line in filled]
    if all(last):
        numbered = [(int(match.group(2)), match.group(1)) for match in last if match]
        is_places = all(_PLACES_PREFIX.match(name) for _, name in numbered)
        # Names may well end with numbers, such as the years of cars.
        if is_places or _first_number(numbered) is not None:
            return _in_order([(number, _PLACES_PREFIX.sub("", name) if is_places else name)
                              for number, name in numbered], path)
    return lines


def _unquoted(text: str) -> str:
    """``'tench, Tinca tinca',`` of a printed dictionary without quotes and comma."""
    match = re.match(r"""u?(['"])(.*)\1\s*[,}]*$""", text)
    return match.group(2) if match else text


def _in_order(numbered: Numbered, path: str) -> Sequence[str]:
    """The names by their numbers, which must be 0, 1, ... or 1, 2, ..., each once."""
    first = _first_number(numbered)
    if first is not None:
        return [name for _, name in sorted(numbered)]
    by_number: Dict[int, str] = {}
    for number, name in numbered:
        if number in by_number:
            raise ModelError(f"{path}: gives class {number} two names, {by_number[number]!r} and "
                             f"{name!r}", path)
        by_number[number] = name
    highest, lowest = max(by_number), min(by_number)
    gap = next(number for number in range(min(1, max(0, lowest)), highest + 2)
               if number not in by_number)
    raise ModelError(f"{path}: numbers its {len(by_number)} classes from {lowest} to {highest}, "
                     f"but has no number {gap}; they must be numbered without gaps from 0 or 1 "
                     "(put names that begin with numbers into a JSON list)", path)


def _first_number(numbered: Numbered) -> Optional[int]:
    """0 or 1 where the numbers go on from there without gaps, else None."""
    numbers = sorted(number for number, _ in numbered)
    is_whole = bool(numbers) and numbers[0] in (0, 1) and numbers == list(
        range(numbers[0], numbers[0] + len(numbers)))
    return numbers[0] if is_whole else None


def _number(digits: str, path: str) -> int:
    if len(digits) > 6:
        raise ModelError(f"{path}: {shortened(repr(digits), _SHOWN)} is not the number of a class",
                         path)
    return int(digits)


