"""Names that a user chooses from."""

import difflib
from typing import Iterable, Optional, Sequence

from prototxt_tools.errors import QuestionError


def check(names: Iterable[str], choices: Iterable[str], noun: str) -> None:
    """Raise a QuestionError for the first name that is not among the choices.

    Parameters
    ----------
    names, choices : iterable of str
    noun : str
        What they name: "method".
    """
    choices = list(choices)
    for name in names:
        if name not in choices:
            raise QuestionError(f"there is no {noun} {name!r}; {hint(name, choices)}", str(name))


def check_keys(keys: Iterable[str], choices: Iterable[str], where: str) -> None:
    """Raise a QuestionError for the first key that is unknown in some part of a file.

    Parameters
    ----------
    keys, choices : iterable of str
    where : str
        The part: "run.yaml: the section model".
    """
    choices = list(choices)
    for key in keys:
        if key not in choices:
            raise QuestionError(f"{where} has no key {key!r}; {hint(key, choices)}", str(key))


def check_keywords(call: str, keywords: Iterable[str], choices: Iterable[str]) -> None:
    """Raise a QuestionError for the first keyword that a Python call does not take.

    Parameters
    ----------
    call : str
        The name of what is called: "Model.load".
    keywords : iterable of str
        Those that no parameter of the call took.
    choices : iterable of str
        Those that it takes.
    """
    choices = list(choices)
    for keyword in keywords:
        meant = nearest(keyword, choices)
        advice = f"did you mean {meant!r}?" if meant else "known are " + ", ".join(choices)
        raise QuestionError(f"{call} has no keyword {keyword!r}; {advice}", keyword)


def nearest(name: object, choices: Iterable[str]) -> Optional[str]:
    """The choice that a name seems to mean, or None."""
    return next(iter(difflib.get_close_matches(str(name), list(choices), 1, 0.65)), None)


def hint(name: object, choices: Sequence[str], most: int = 3, cutoff: float = 0.5) -> str:
    """Near names, at most so many, or all of them; the cutoff is that of ``difflib``."""
    near = difflib.get_close_matches(str(name), choices, most, cutoff)
    return f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(choices)
