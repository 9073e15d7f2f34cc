"""Names that a user chooses from."""

import difflib
from typing import Iterable, Sequence

from prototxt_tools.errors import QuestionError


def check(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise a QuestionError for the first name that is not among those known.

    Parameters
    ----------
    names, known : iterable of str
    what : str
        What they are names of: "method".
    """
    known = list(known)
    for name in names:
        if name not in known:
            raise QuestionError(f"there is no {what} {name!r}; {hint(name, known)}", str(name))


def check_keywords(call: str, keywords: Iterable[str], known: Iterable[str]) -> None:
    """Raise a QuestionError for the first keyword that a Python call does not take.

    Parameters
    ----------
    call : str
        The name of what is called: "Model.load".
    keywords : iterable of str
        Those that no parameter of the call took.
    known : iterable of str
        Those that it takes.
    """
    known = list(known)
    for keyword in keywords:
        near = difflib.get_close_matches(keyword, known, 1, 0.5)
        advice = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(known)
        raise QuestionError(f"{call} has no keyword {keyword!r}; {advice}", keyword)


def hint(name: object, known: Sequence[str]) -> str:
    """Near names, or all of them."""
    near = difflib.get_close_matches(str(name), known, 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else "known: " + ", ".join(known)
