"""One entry of a source: where an image is, and what is asked about it."""

import dataclasses
import json
import math
import os
import re
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    Iterable,
    List,
    Mapping,
    Optional,
    Tuple,
    Union,
)

from caffe_gradcam.model.array_files import is_number, split
from prototxt_tools.errors import ImageError, InputError, shortened
from prototxt_tools.files import parse_json

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

COLUMNS = ("path", "image", "id", "true_label", "label", "class", "question", "box")
# Rows hold class numbers as int32.
_LARGEST_LABEL = (1 << 31) - 1
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*$")

Label = Union[int, str, None]


@dataclass(frozen=True)
class InputColumns:
    """Which inputs of a net a source has to give.

    Attributes
    ----------
    pictures : tuple of str
        Inputs that take images.
    arrays : tuple of str
        Inputs that take other numbers, and have no value of their own.
    optional : tuple of str
        Those that have one.
    words : tuple of str
        Those of the arrays that also take a text, whose words they number.
    clips : bool
        Whether the picture is the frames of a clip.
    """

    pictures: Tuple[str, ...] = ()
    arrays: Tuple[str, ...] = ()
    optional: Tuple[str, ...] = ()
    words: Tuple[str, ...] = ()
    clips: bool = False

    @classmethod
    def of(cls, model: "LoadedModel") -> "InputColumns":
        """Those of a model."""
        needed = [blob for blob, spec in model.arrays.items() if spec.default is None]
        return cls(tuple(model.inputs), tuple(needed),
                   tuple(blob for blob in model.arrays if blob not in needed),
                   tuple(blob for blob, spec in model.arrays.items() if spec.words is not None),
                   bool(model.clips))

    def located(self, blob: str, text: str, locate: Callable[[str], str]) -> str:
        """What an item's ``input_paths`` hold for a text: the path of a file, a number, or the
        text itself after ``TEXT``.

        Parameters
        ----------
        blob, text : str
        locate : callable
            Name -> path.
        """
        if blob not in self.pictures and is_number(text):
            return text
        path = locate(text)
        is_sentence = blob in self.words and not os.path.exists(split(path)[0])
        return TEXT + text if is_sentence else path

    @property
    def needs_columns(self) -> bool:
        """Whether an image alone is not enough."""
        return len(self.pictures) > 1 or bool(self.arrays)

    @property
    def names(self) -> Tuple[str, ...]:
        """The columns that are read beside the usual ones."""
        return self.pictures + self.arrays + self.optional

    def missing(self, names: Collection[str]) -> List[str]:
        """What is needed and not among some columns; the only picture may be a column ``path``."""
        needed = list(self.pictures + self.arrays) or ["path"]
        if len(self.pictures) == 1 and "path" in names:
            needed.remove(self.pictures[0])
        missing = [name for name in needed if name not in names]
        plain = self.pictures[:1] if not self.needs_columns else ()
        return ["path" if name in plain else name for name in missing]


IMAGE_ALONE = InputColumns()
# Stands before words in ``Item.input_paths``.
TEXT = "text:"


@dataclass(frozen=True)
class Item:
    """An image, and what is asked about it.

    Attributes
    ----------
    number : int
        Its place in the source, counted from 0; -1 while it is not known.
    id : str
        The source's own name for it.
    path : str
        Where it is: a path or a URL; within an archive ``archive/name``.
    archive : str, optional
        The LMDB, tar or HDF5 file that holds it.
    position : tuple, optional
        Where in the archive: ``("tar", offset, size)``, ``("lmdb", key in hexadecimal digits)``,
        ``("hdf5", dataset, index)``, or ``("page", index)``.
    true_label : int, str or None
        The class that is true for the image, by number or by name.
    questions : tuple of str
        Questions about this image alone, as ``caffe_gradcam.asking.grammar`` reads them.
    box : tuple of float, optional
        x, y, width, height in pixels: the part of the image that is asked about.
    input_paths : tuple of (str, str)
        For a net with several inputs: each input, and where its image is, or its numbers: a
        file, a number, or words after ``TEXT``.
    error : str, optional
        Why the source's entry cannot be used; reading the image raises that.
    image : bytes, numpy.ndarray or dict, optional
        An encoded image, or H x W x 3 uint8 with blue first, instead of a file; or such values
        for some inputs; or the frames of a clip. Never written.
    """

    number: int
    id: str
    path: str
    archive: Optional[str] = None
    position: Optional[Tuple[Any, ...]] = None
    true_label: Label = None
    questions: Tuple[str, ...] = ()
    box: Optional[Tuple[float, ...]] = None
    input_paths: Tuple[Tuple[str, str], ...] = ()
    error: Optional[str] = None
    image: Any = dataclasses.field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, path: str, **fields: Any) -> "Item":
        """An item whose number is not known yet."""
        fields.setdefault("id", path)
        return cls(number=-1, path=path, **fields)

    @classmethod
    def of_inputs(cls, input_paths: Mapping[str, str], **fields: Any) -> "Item":
        """An item with an image for each input blob of a net."""
        return cls.of(" ".join(dict.fromkeys(input_paths.values())),
                      input_paths=tuple(input_paths.items()), **fields)

    @property
    def paths(self) -> List[str]:
        """Where its image is, or its images, each once."""
        return list(dict.fromkeys(path for _, path in self.input_paths)) or [self.path]


def dump(items: Iterable[Item]) -> bytes:
    """Items as JSON lines; file names in unknown encodings survive."""
    return b"".join(line(item, item.number) for item in items)


def line(item: Item, number: int) -> bytes:
    """The JSON line of an item that has this number."""
    rest = json.dumps([
        item.id, item.path, item.archive, item.position, item.true_label, item.questions,
        item.box, item.input_paths, item.error])
    return f"[{number}, {rest[1:]}\n".encode("ascii")


def load(data: bytes, name: str) -> List[Item]:
    """The items of JSON lines; raises InputError for a damaged list."""
    try:
        return [_item(parse_json(line)) for line in data.decode("ascii").splitlines()]
    except (ValueError, TypeError):
        raise InputError(f"{name}: this list of items is damaged; start over with --no-resume",
                         name) from None


def _item(values: List[Any]) -> Item:
    fields: Any = map(_without_lists, values)
    return Item(*fields)


def _without_lists(value: Any) -> Any:
    return tuple(map(_without_lists, value)) if isinstance(value, list) else value


def from_columns(columns: Mapping[str, Any], row_name: str,
                 inputs: InputColumns = IMAGE_ALONE) -> Item:
    """The item that a table's row describes.

    Parameters
    ----------
    columns : mapping
        ``path`` or ``image``, and any of ``id``, ``true_label`` (or ``label``, as other people's
        data sets call it), ``class``, ``question`` and ``box``; empty text and None count as
        absent.
    row_name : str
        File and line, for messages.
    inputs : InputColumns
        Those of a net; the columns of pictures hold paths, those of other inputs files of numbers
        or numbers. The only picture of a net may be ``path`` or ``image``.

    Raises
    ------
    InputError
        No image, a box that is not four numbers, or a true label that no class can have.
    """
    given = {name: value for name, value in columns.items()
             if value is not None and not (isinstance(value, str) and value == "")}
    fields = {
        "true_label": to_label(given.get("true_label", given.get("label")), row_name),
        "questions": tuple(_to_text(given[name], name, row_name)
                           for name in ("class", "question")
                           if name in given and name not in inputs.names),
        "box": _to_box(given.get("box"), row_name),
    }
    if "id" in given:
        fields["id"] = _to_text(given["id"], "id", row_name)
    has_image = "path" in given or "image" in given
    if inputs.needs_columns or any(name in given for name in inputs.optional) or (
            not has_image and any(name in given for name in inputs.pictures)):
        return _of_inputs(given, row_name, inputs, fields)
    if "path" not in given and "image" not in given:
        raise InputError(f"{row_name}: there is no path", row_name)
    path = given.get("path", row_name)
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"{row_name}: a path is a text, not {_shortened(path)}", row_name)
    return Item.of(os.fspath(path), image=given.get("image"), **fields)


def _of_inputs(given: Mapping[str, Any], row_name: str, inputs: InputColumns,
               fields: Mapping[str, Any]) -> Item:
    """An item with a value for each input that the row gives, which must be all that need one."""
    values = {blob: given[blob] for blob in inputs.names if blob in given}
    if len(inputs.pictures) == 1:
        values.setdefault(inputs.pictures[0], given.get("image", given.get("path")))
    missing = [blob for blob in inputs.pictures + inputs.arrays if values.get(blob) is None]
    if missing:
        noun = "path of an image" if missing[0] in inputs.pictures else "value"
        raise ImageError(f"{row_name}: there is no {noun} for input {missing[0]}", row_name)
    values = {blob: values[blob] for blob in inputs.names if blob in values}
    if fields["box"] is not None:
        raise InputError(f"{row_name}: a box needs a net with one input", row_name)
    texts = {blob: value for blob, value in values.items() if _is_text(value)}
    paths = [os.fspath(texts[blob]) for blob in inputs.pictures if blob in texts]
    path = given.get("path", " ".join(dict.fromkeys(paths)) or row_name)
    item = Item.of(path, input_paths=tuple(
        (blob, _to_text(value, blob, row_name)) for blob, value in texts.items()), **fields)
    others = {blob: value for blob, value in values.items() if blob not in texts}
    return dataclasses.replace(item, image=others) if others else item


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike, int, float)) and not isinstance(value, bool)


def to_label(value: Any, row_name: str) -> Label:
    """A class number where the value is one, otherwise a class name; None for None."""
    if value is None or isinstance(value, str) and not _WHOLE.match(value):
        return value
    try:
        number = int(value)
        is_class = number == float(value) and abs(number) <= _LARGEST_LABEL
        if is_class and not isinstance(value, bool):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{row_name}: a true label is a class number or a class name, not "
                     f"{_shortened(value)}", row_name)


def _to_box(value: Any, row_name: str) -> Optional[Tuple[float, ...]]:
    if value is None:
        return None
    try:
        numbers = value.replace(",", " ").split() if isinstance(value, str) else list(value)
        box = tuple(float(number) for number in numbers)
        if len(box) == 4 and all(map(math.isfinite, box)) and box[2] > 0 and box[3] > 0:
            return box
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{row_name}: a box is x,y,width,height in pixels, not {_shortened(value)}",
                     row_name)


def _to_text(value: Any, column: str, row_name: str) -> str:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (str, int, float)) or not hasattr(value, "__iter__"):
        return str(value)
    raise InputError(f"{row_name}: the column {column} holds texts and numbers, not "
                     f"{_shortened(value)}", row_name)


def unusable(row_name: str, error: str) -> Item:
    """An item for an entry of a source that cannot be used, so that the others can."""
    return Item.of(row_name, error=error)


def _shortened(value: Any) -> str:
    try:
        return shortened(repr(value))
    except (RecursionError, ValueError):  # Lists in lists, or a number of thousands of digits.
        return f"a {type(value).__name__}"
