"""Names that a user chooses from."""

import difflib

from prototxt_tools.errors import InputError


def check(names, known, what):
    """Raise an InputError for the first name that is not among those known.

    Parameters
    ----------
    names, known : iterable of str
    what : str
        What they are names of: "method".
    """
    known = list(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 3, 0.5)
            hint = "did you mean {}?".format(" or ".join(near)) if near else (
                "known: " + ", ".join(known))
            raise InputError(f"there is no {what} {name!r}; {hint}")
