"""What the doctor reports."""

from dataclasses import dataclass
from typing import Iterable

# By weight. Notes are for information; an error means that nothing can be explained.
SEVERITIES = ("fine", "note", "warning", "error")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    check : str
        What was examined, such as "weights" or "engine torch".
    severity : str
        One of ``SEVERITIES``.
    what : str
        What was seen, in plain words.
    remedy : str
        What to do about it; may be empty.
    """

    check: str
    severity: str
    what: str
    remedy: str = ""


def fine(check: str, what: str) -> Finding:
    """A check that passed."""
    return Finding(check, "fine", what)


def note(check: str, what: str, remedy: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(check, "note", what, remedy)


def warning(check: str, what: str, remedy: str = "") -> Finding:
    """Something doubtful."""
    return Finding(check, "warning", what, remedy)


def error(check: str, what: str, remedy: str = "") -> Finding:
    """Something that prevents every explanation."""
    return Finding(check, "error", what, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 where all is well, 1 where something is doubtful, 2 where nothing can be explained."""
    worst = max((SEVERITIES.index(finding.severity) for finding in findings), default=0)
    return {2: 1, 3: 2}.get(worst, 0)
