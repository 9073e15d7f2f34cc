"""Class labels: the file they stand in, and the class a user means."""

import difflib
import re

from prototxt_tools.errors import InputError

_WORDNET_ID = re.compile(r"n\d{8}\s+")
_MOST_SHOWN = 5


def load(path):
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
    InputError
        The file is missing, unreadable or empty.
    """
    try:
        with open(str(path), encoding="utf-8", errors="replace") as file:
            lines = file.read().rstrip().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not lines:
        raise InputError(f"{path}: holds no labels; it wants one per line")
    return [_WORDNET_ID.sub("", line.strip()) for line in lines]


def find(text, labels, count):
    """The class that a user means.

    Parameters
    ----------
    text : str
        A number; or a label, one of its names between commas, or a part of just one label, in
        any case.
    labels : list of str or None
    count : int or None
        How many classes the net has; None where that is known only when it has run.

    Returns
    -------
    int

    Raises
    ------
    InputError
        No such class, or several; near names are suggested.
    """
    if re.match(r"-?\d+$", text):
        return check(int(text), count)
    if not labels:
        raise InputError(
            f"class {text!r}: the model has no labels; give a number or a labels file"
        )
    wanted = text.strip().lower()
    lowered = [label.lower() for label in labels]
    for matches in (
        lambda label: label == wanted,
        lambda label: wanted in names(label),
        lambda label: wanted in label,
    ):
        found = [index for index, label in enumerate(lowered) if matches(label)]
        if len(found) == 1:
            return check(found[0], count)
        if found:
            raise _several(text, found, labels)
    raise _unknown(text, labels)


def check(index, count):
    """The index itself, if there is such a class."""
    if index < 0 or (count is not None and index >= count):
        known = "" if count is None else f"; the net's classes are 0 to {count - 1}"
        raise InputError(f"there is no class {index}{known}")
    return index


def names(label):
    """The names that a label gives, between its commas."""
    return [name.strip() for name in label.split(",")]


def _several(text, found, labels):
    shown = [f"{index} ({labels[index]})" for index in found[:_MOST_SHOWN]]
    more = ", ..." if len(found) > _MOST_SHOWN else ""
    return InputError(
        "class {!r} fits several labels: {}{}; say which number".format(
            text, ", ".join(shown), more
        )
    )


def _unknown(text, labels):
    classes = {}
    for index, label in enumerate(labels):
        for name in names(label):
            classes.setdefault(name.lower(), (name, index))
    near = difflib.get_close_matches(text.strip().lower(), classes, _MOST_SHOWN, 0.6)
    hint = ", ".join("{} ({})".format(*classes[name]) for name in near)
    return InputError(
        "there is no class {!r}{}".format(text, "; near: " + hint if hint else " in the labels")
    )
