"""The class that a user means by a number or a name."""

import difflib
import re
from typing import Dict, List, Optional, Sequence, Tuple

from prototxt_tools.errors import QuestionError

_MOST_SHOWN = 5


def find(text: str, labels: Optional[Sequence[str]], count: Optional[int],
         noun: str = "class") -> int:
    """The class that a user means.

    Parameters
    ----------
    text : str
        A number, also as ``#3``; or a label, one of its names between commas, or a part of just
        one label, in any case.
    labels : sequence of str or None
    count : int or None
        How many classes the net has; None where that is known only when it has run.
    noun : str
        What messages call one of them: "class" or "output".

    Raises
    ------
    QuestionError
        No such class, or several; near names are suggested. A number that is also the name of
        another class is refused.
    """
    number = re.match(r"(#?)(-?\d{1,18})$", text.strip())
    if number:
        return check(_unambiguous(text.strip(), int(number.group(2)), labels or (),
                                  bool(number.group(1))), count, noun)
    if not text.strip():
        raise QuestionError(f"a {noun} without a name; give a number or a name", text)
    if not labels:
        raise QuestionError(
            f"{noun} {text!r}: the model has no labels; give a number or a labels file", text)
    name = text.strip().lower()
    lowered = [label.lower() for label in labels]
    for matches in (
        lambda label: label == name,
        lambda label: name in names(label),
        lambda label: name in label,
    ):
        hits = [index for index, label in enumerate(lowered) if matches(label)]
        if len(hits) == 1:
            return check(hits[0], count, noun)
        if hits:
            raise _several(text, hits, labels)
    raise _unknown(text, labels, noun)


def _unambiguous(text: str, index: int, labels: Sequence[str], is_marked: bool) -> int:
    """The index, unless its digits are also the name of another class."""
    named = [] if is_marked else [other for other, label in enumerate(labels)
                                  if text in names(label) and other != index]
    if named:
        label = f" ({labels[index]})" if 0 <= index < len(labels) else ""
        raise QuestionError(f"{text!r} is the number of class {index}{label} and the name of class "
                            f"{named[0]}; give #{index} or #{named[0]}", text)
    return index


def check(index: int, count: Optional[int], noun: str = "class") -> int:
    """The index itself, if there is such a class; else QuestionError."""
    if index < 0 or (count is not None and index >= count):
        plural = {"class": "classes"}.get(noun, noun + "s")
        extent = "" if count is None else f"; the net's {plural} are 0 to {count - 1}"
        raise QuestionError(f"there is no {noun} {index}{extent}", str(index))
    return index


def are_sides(labels: Optional[Sequence[str]], count: Optional[int], link: str) -> bool:
    """Whether labels name the two sides of one score: what it speaks against, then for.

    Parameters
    ----------
    labels : sequence of str or None
    count : int or None
        How many scores the net gives; None where that is known only when it has run.
    link : str
        "softmax", "sigmoid" or "none". A Softmax makes 1 of a single score, so it has no sides.
    """
    return labels is not None and len(labels) == 2 and count == 1 and link != "softmax"


def names(label: str) -> List[str]:
    """The names that a label gives, between its commas."""
    return [name.strip() for name in label.split(",")]


def _several(text: str, hits: Sequence[int], labels: Sequence[str]) -> QuestionError:
    shown = [f"{index} ({labels[index]})" for index in hits[:_MOST_SHOWN]]
    more = ", ..." if len(hits) > _MOST_SHOWN else ""
    return QuestionError(f"class {text!r} fits several labels: {', '.join(shown)}{more}; "
                         "give a number", text)


def _unknown(text: str, labels: Sequence[str], noun: str) -> QuestionError:
    classes: Dict[str, Tuple[str, int]] = {}
    for index, label in enumerate(labels):
        for name in names(label):
            classes.setdefault(name.lower(), (name, index))
    near = difflib.get_close_matches(text.strip().lower(), classes, _MOST_SHOWN, 0.6)
    hint = ", ".join("{} ({})".format(*classes[name]) for name in near)
    return QuestionError(
        f"there is no {noun} {text!r}" + (f"; near: {hint}" if hint else " in the labels"), text)
