"""Names of classes: the file they stand in, and the class a user means."""

import difflib
import os
import re
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple, Union

from prototxt_tools.errors import ModelError, QuestionError

if TYPE_CHECKING:
    StrPath = Union[str, "os.PathLike[str]"]

_WORDNET_ID = re.compile(r"n\d{8}\s+")
_MOST_SHOWN = 5


def load(path: "StrPath") -> List[str]:
    """Read a labels file: one class per line, the first line is class 0.

    A WordNet number before the label (``n02119789 kit fox, Vulpes macrotis``, as in ImageNet's
    ``synset_words.txt``) is dropped.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    list of str

    Raises
    ------
    ModelError
        The file is missing, unreadable or empty.
    """
    try:
        with open(os.fspath(path), encoding="utf-8", errors="replace") as file:
            lines = file.read().rstrip().splitlines()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}", str(path)) from None
    if not lines:
        raise ModelError(f"{path}: holds no labels; there must be one per line", str(path))
    return [_WORDNET_ID.sub("", line.strip()) for line in lines]


def find(text: str, labels: Optional[Sequence[str]], count: Optional[int]) -> int:
    """The class that a user means.

    Parameters
    ----------
    text : str
        A number; or a label, one of its names between commas, or a part of just one label, in
        any case.
    labels : sequence of str or None
    count : int or None
        How many classes the net has; None where that is known only when it has run.

    Raises
    ------
    QuestionError
        No such class, or several; near names are suggested.
    """
    if re.match(r"-?\d+$", text):
        return check(int(text), count)
    if not labels:
        raise QuestionError(
            f"class {text!r}: the model has no labels; give a number or a labels file", text)
    name = text.strip().lower()
    lowered = [label.lower() for label in labels]
    for matches in (
        lambda label: label == name,
        lambda label: name in names(label),
        lambda label: name in label,
    ):
        hits = [index for index, label in enumerate(lowered) if matches(label)]
        if len(hits) == 1:
            return check(hits[0], count)
        if hits:
            raise _several(text, hits, labels)
    raise _unknown(text, labels)


def check(index: int, count: Optional[int]) -> int:
    """The index itself, if there is such a class; else QuestionError."""
    if index < 0 or (count is not None and index >= count):
        classes = "" if count is None else f"; the net's classes are 0 to {count - 1}"
        raise QuestionError(f"there is no class {index}{classes}", str(index))
    return index


def names(label: str) -> List[str]:
    """The names that a label gives, between its commas."""
    return [name.strip() for name in label.split(",")]


def _several(text: str, hits: Sequence[int], labels: Sequence[str]) -> QuestionError:
    shown = [f"{index} ({labels[index]})" for index in hits[:_MOST_SHOWN]]
    more = ", ..." if len(hits) > _MOST_SHOWN else ""
    return QuestionError(f"class {text!r} fits several labels: {', '.join(shown)}{more}; "
                         "give a number", text)


def _unknown(text: str, labels: Sequence[str]) -> QuestionError:
    classes: Dict[str, Tuple[str, int]] = {}
    for index, label in enumerate(labels):
        for name in names(label):
            classes.setdefault(name.lower(), (name, index))
    near = difflib.get_close_matches(text.strip().lower(), classes, _MOST_SHOWN, 0.6)
    hint = ", ".join("{} ({})".format(*classes[name]) for name in near)
    return QuestionError(
        f"there is no class {text!r}" + (f"; near: {hint}" if hint else " in the labels"), text)
