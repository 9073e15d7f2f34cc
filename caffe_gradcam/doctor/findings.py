"""What the doctor has to say."""

from typing import NamedTuple

# By weight. Notes are for information; an error means that nothing can be explained.
SEVERITIES = ("fine", "note", "warning", "error")


class Finding(NamedTuple):
    """One thing found out.

    Attributes
    ----------
    check : str
        What was looked at, such as "weights" or "engine torch".
    severity : str
        One of ``SEVERITIES``.
    what : str
        What is so, in plain words.
    remedy : str
        What to do about it; may be empty.
    """

    check: str
    severity: str
    what: str
    remedy: str = ""


def fine(check, what):
    return Finding(check, "fine", what)


def note(check, what, remedy=""):
    return Finding(check, "note", what, remedy)


def warning(check, what, remedy=""):
    return Finding(check, "warning", what, remedy)


def error(check, what, remedy=""):
    return Finding(check, "error", what, remedy)


def exit_code(findings):
    """0 where all is well, 1 where something is doubtful, 2 where nothing can be explained."""
    worst = max((SEVERITIES.index(one.severity) for one in findings), default=0)
    return {2: 1, 3: 2}.get(worst, 0)
