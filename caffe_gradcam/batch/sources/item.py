"""One image of a source, as the list of a shard names it."""

import json
from typing import Any, List, NamedTuple, Optional

from prototxt_tools.errors import InputError


class Item(NamedTuple):
    """An image, and what is asked about it.

    Attributes
    ----------
    number : int
        Its place in the source, from 0.
    id : str
        The source's own name for it.
    path : str
        Where it is: a path or URL; within an archive ``archive/name``.
    archive : str or None
        The LMDB or the tar that it lies in.
    where : list or str or None
        Offset and size in the tar; the LMDB's key in hexadecimal digits.
    label : int, str or None
        The true class, by number or label.
    asks : list of str
        Questions of its own, as ``caffe_gradcam.asking.questions.parse`` reads them.
    box : list of float or None
        x, y, width, height in pixels: the part of the picture that is asked about.
    """

    number: int
    id: str
    path: str
    archive: Optional[str] = None
    where: Any = None
    label: Any = None
    asks: List[str] = []
    box: Optional[List[float]] = None

    @classmethod
    def of(cls, path, **fields):
        """An item whose number is not known yet."""
        fields.setdefault("id", path)
        return cls(number=-1, path=path, **fields)


def dump(items):
    """Items as JSON lines, in bytes; file names in unknown encodings survive."""
    return "".join(json.dumps(list(one)) + "\n" for one in items).encode("ascii")


def load(data, name):
    """The items of JSON lines; raises InputError for a damaged list."""
    try:
        return [Item(*json.loads(line)) for line in data.decode("ascii").splitlines()]
    except (ValueError, TypeError):
        raise InputError(f"{name}: the list is damaged; start again with --no-resume") from None


def from_columns(columns, place):
    """An item of a table's row.

    Parameters
    ----------
    columns : dict
        ``path``, and any of ``id``, ``label``, ``class``, ``question`` and ``box``; empty text
        and None count as not there.
    place : str
        File and line, for messages.

    Raises
    ------
    InputError
        No path, or a box of other than four numbers.
    """
    given = {name: value for name, value in columns.items() if value is not None and value != ""}
    if "path" not in given:
        raise InputError(f"{place}: no path")
    path = str(given["path"])
    asks = [str(given[name]) for name in ("class", "question") if name in given]
    return Item.of(path, id=str(given.get("id", path)), label=to_label(given.get("label")),
                   asks=asks, box=_to_box(given.get("box"), place))


def to_label(value):
    """A class by number where it is one, else by label; None of nothing."""
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return str(value)


def _to_box(value, place):
    if value is None:
        return None
    try:
        numbers = value.replace(",", " ").split() if isinstance(value, str) else list(value)
        box = [float(one) for one in numbers]
        if len(box) == 4 and box[2] > 0 and box[3] > 0:
            return box
    except (TypeError, ValueError):
        pass
    raise InputError(f"{place}: a box is x,y,width,height in pixels, not {value!r}")
