"""From texts, options and Python values to questions: the only parser and the only builder.

A text that is exactly the name of a class means that class, whatever else it might mean: a class
named ``top:3``, ``a+b`` or ``x versus y`` can be asked for by its name.
"""

import re
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional, Sequence, Tuple, Type

import numpy as np

from caffe_gradcam.asking.questions import (
    Against,
    AtIndex,
    AtPeak,
    Class,
    Probability,
    Question,
    Sum,
    Top,
    Weighted,
    as_question,
)
from caffe_gradcam.model import labels
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

FindClass = Callable[[str], int]
ScoreBlob = Callable[[np.ndarray], np.ndarray]

_PREFIXES: Tuple[Tuple[str, Type[Question]], ...] = (
    (r"against\s+(.+)", Against), (r"probability of\s+(.+)", Probability))
_BEST = re.compile(r"(top|weighted):([1-9][0-9]{0,8})$")
_BEST_OF_ANY = re.compile(r"(top|weighted):")
_VERSUS = re.compile(r"\s+versus\s+")
_MOST_PREFIXES = 10
_AT_INDEX = re.compile(r"(.+?)\s+at\s+(step|prior|roi|region of interest|cell)\s+(\d{1,9})$")
_AT_PEAK = re.compile(r"(.+?)\s+at its peak$")
_LONG_NAMES = {"region of interest": "roi"}


def questions_of(classes: Any, model: "LoadedModel") -> List[Question]:
    """The questions that a Python caller means by one class or several.

    Parameters
    ----------
    classes : int, str, Question, or an iterable or array of these
        Numbers, names or other texts as :func:`parse` reads them, or questions. The elements of
        a set are asked in the order of their numbers or texts.
    model : LoadedModel

    Raises
    ------
    QuestionError
        Something else (a float, a bool, None), an unknown class, or nothing at all.
    """
    if hasattr(classes, "__array__"):  # NumPy's, and tensors.
        classes = np.asarray(classes).reshape(-1).tolist()
    if isinstance(classes, (set, frozenset)):
        classes = sorted(classes, key=lambda value: (isinstance(value, str), value
                                                     if isinstance(value, (int, str)) else 0))
    if isinstance(classes, (str, bytes, Question)) or not isinstance(classes, Iterable):
        classes = [classes]
    questions = [parse(value, model.find_class, model.class_names) if isinstance(value, str)
                 else as_question(value) for value in classes]
    if not questions:
        raise QuestionError("no class is asked about; give at least one, or Top(1) for the "
                            "class with the highest score", "classes")
    return questions


def parse(text: str, find_class: FindClass, class_names: Optional[Sequence[str]] = None
          ) -> Question:
    """The question that a text asks.

    The exact name of a class: that class. Otherwise ``281``, ``tabby``: a class; ``top:3``: the
    three best, one by one; ``weighted:3``: the three best together, weighted by their
    probabilities; ``281+282``: several together; ``281 versus 282``: what tells one from the
    other; ``against 281``: what speaks against it; ``probability of 281``; any of them followed
    by ``at step 3``, ``at prior 3`` or ``at roi 3``; a single class, in a map of scores, by ``at
    its peak``.

    Parameters
    ----------
    text : str
    find_class : callable
        Number or name -> class index; raises QuestionError.
    class_names : sequence of str, optional
        The names of all classes.

    Raises
    ------
    QuestionError
        The text has another form, or names an unknown class.
    """
    text = text.strip()
    at_index = _AT_INDEX.match(text)
    if at_index and _exact(text, class_names) is None:
        axis = _LONG_NAMES.get(at_index.group(2), at_index.group(2))
        return AtIndex(parse(at_index.group(1), find_class, class_names), axis,
                       int(at_index.group(3)))
    at_peak = _AT_PEAK.match(text)
    if at_peak and _exact(text, class_names) is None:
        return AtPeak(parse(at_peak.group(1), find_class, class_names))
    prefixes: List[Any] = []
    while _exact(text, class_names) is None:
        prefix = _prefix(text)
        if prefix is None:
            break
        kind, text = prefix
        prefixes.append(kind)
        if len(prefixes) > _MOST_PREFIXES:
            raise QuestionError(f"the question has more than {_MOST_PREFIXES} prefixes "
                                "(against, probability of)")
    question = _without_prefix(text, find_class, class_names)
    for kind in reversed(prefixes):
        question = kind(question)
    return question


def parse_numbers(text: str, counts: Sequence[int], expected: str) -> Tuple[int, ...]:
    """Whole numbers between commas.

    Parameters
    ----------
    text : str
    counts : sequence of int
        How many numbers there may be.
    expected : str
        The message's beginning: "--at needs X,Y or X,Y,WIDTH,HEIGHT".

    Raises
    ------
    QuestionError
        Anything else.
    """
    numbers = re.findall(r"-?[0-9]{1,9}", text)
    if len(numbers) not in counts or ",".join(numbers) != text.replace(" ", ""):
        raise QuestionError(f"{expected}, not {text!r}", text)
    return tuple(int(number) for number in numbers)


def parse_region(text: str, option: str = "--at") -> Tuple[int, int, int, int]:
    """The region that ``X,Y`` (one pixel) or ``X,Y,WIDTH,HEIGHT`` describes."""
    expected = f"{option} needs X,Y or X,Y,WIDTH,HEIGHT in whole pixels"
    return _checked_box((parse_numbers(text, (2, 4), expected) + (1, 1))[:4], text, expected)


def parse_box(text: str, option: str = "--crop") -> Tuple[int, int, int, int]:
    """The box that ``X,Y,WIDTH,HEIGHT`` describes."""
    expected = f"{option} needs X,Y,WIDTH,HEIGHT in whole pixels"
    return _checked_box(parse_numbers(text, (4,), expected), text, expected)


def _checked_box(numbers: Tuple[int, ...], text: str, expected: str) -> Tuple[int, int, int, int]:
    x, y, width, height = numbers
    if min(width, height) < 1:
        raise QuestionError(f"{expected}, at least one pixel wide and high, not {text!r}", text)
    return x, y, width, height


def _prefix(text: str) -> Optional[Tuple[Type[Question], str]]:
    """The question that a text's first words make of the rest, and that rest."""
    for pattern, kind in _PREFIXES:
        match = re.match(pattern + "$", text)
        if match:
            return kind, match.group(1).strip()
    return None


def _without_prefix(text: str, find_class: FindClass,
                    class_names: Optional[Sequence[str]]) -> Question:
    index = _exact(text, class_names)
    if index is not None:
        return Class(index)
    best = _BEST.match(text)
    if best:
        return (Top if best.group(1) == "top" else Weighted)(int(best.group(2)))
    if _BEST_OF_ANY.match(text):
        raise QuestionError(f"{text!r}: how many classes must be a whole number of at least 1, as "
                            "in top:3", text)
    terms = [(_exact_or_found(name, find_class, class_names), factor)
             for side, factor in zip(_sides(text, class_names), (1.0, -1.0))
             for name in _terms(side, class_names)]
    if len(dict(terms)) < len(terms):
        raise QuestionError(f"{text!r} names a class twice", text)
    return Class(terms[0][0]) if len(terms) == 1 else Sum(tuple(terms))


def _sides(text: str, class_names: Optional[Sequence[str]]) -> List[str]:
    """What stands on the one and on the other side of "versus"; a class's name may hold it."""
    matches = list(_VERSUS.finditer(text))
    splits = [[text[:match.start()], text[match.end():]] for match in matches]
    for split in splits:
        if all(_exact(side, class_names) is not None for side in split):
            return split
    if len(splits) > 1:
        raise QuestionError(f"{text!r} sets more than two sides against each other", text)
    return splits[0] if splits else [text]


def _terms(side: str, class_names: Optional[Sequence[str]]) -> List[str]:
    """What stands between the plus signs; a class's name may hold them."""
    if _exact(side, class_names) is not None:
        return [side]
    return side.split("+")


def _exact_or_found(name: str, find_class: FindClass,
                    class_names: Optional[Sequence[str]]) -> int:
    index = _exact(name, class_names)
    return find_class(name.strip()) if index is None else index


def _exact(text: str, class_names: Optional[Sequence[str]]) -> Optional[int]:
    """The only class of exactly this name, or with it among its names between commas."""
    text = text.strip().lower()
    if not class_names or not text or re.match(r"-?\d+$", text):
        return None
    lowered = [name.lower() for name in class_names]
    for indices in ([index for index, name in enumerate(lowered) if name == text],
                    [index for index, name in enumerate(lowered) if text in labels.names(name)]):
        if indices:
            return indices[0] if len(indices) == 1 else None
    return None
