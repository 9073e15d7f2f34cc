"""What a check reports while it runs, kept in a file in case the check is cut short."""

import json
import os
import time
from typing import Any, Dict, List

from gpu_checks.setting import FAILED, PASSED, SKIPPED, TIMED_OUT

DRY = " (dry run on the CPU, tiny sizes: no GPU measurement)"


class Failed(Exception):
    """A check shows an error; the message is one sentence."""

    status = FAILED


class Skipped(Exception):
    """A check cannot run here; the message is one sentence."""

    status = SKIPPED


class OutOfTime(Exception):
    """A check stopped itself shortly before its limit; the message says what is missing."""

    status = TIMED_OUT


class Report:
    """Numbers and tables of a check.

    Parameters
    ----------
    path : str
        A JSON file, written anew with every number and row.
    is_dry : bool
        Whether the titles of tables must state that no GPU was used.
    """

    def __init__(self, path: str, is_dry: bool) -> None:
        self._path, self._is_dry = path, is_dry
        self._content: Dict[str, Any] = {"status": "running", "reason": "", "numbers": {},
                                         "tables": []}

    def number(self, name: str, value: Any) -> None:
        """Keep a number, or a short text, under a name."""
        self._content["numbers"][name] = value
        self._write()

    def row(self, title: str, columns: List[str], cells: List[Any]) -> None:
        """Add a row to the table of a title."""
        title += DRY if self._is_dry else ""
        for table in self._content["tables"]:
            if table["title"] == title:
                table["rows"].append(cells)
                break
        else:
            self._content["tables"].append({"title": title, "columns": columns, "rows": [cells]})
        self._write()

    def finish(self, status: str, reason: str = "") -> None:
        """Set the final status. A check that measured nothing has not passed."""
        if status == PASSED and not (self._content["numbers"] or self._content["tables"]):
            status, reason = FAILED, "the check ended without measuring anything"
        self._content.update(status=status, reason=reason)
        self._write()

    def _write(self) -> None:
        with open(self._path + ".new", "w", encoding="utf-8") as file:
            json.dump(self._content, file)
        os.replace(self._path + ".new", self._path)


class Clock:
    """The time that a check has left.

    Parameters
    ----------
    seconds : float
        The check's limit.
    """

    RESERVE = 2.0

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds - self.RESERVE

    @property
    def left(self) -> float:
        """Seconds, less a reserve for writing the result; negative when it is over."""
        return self._end - time.monotonic()
