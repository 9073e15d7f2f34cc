"""What the libraries log, on standard error, one line each."""

import contextlib
import logging
import sys
import warnings
from typing import Any, Iterator

PROGRAM = "caffe-gradcam"
_PACKAGES = ("caffe_gradcam", "prototxt_tools")


class _Lines(logging.Formatter):
    """``caffe-gradcam: warning: text``; below warnings, the text without the level."""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower() + ": " if record.levelno >= logging.WARNING else ""
        return f"{PROGRAM}: {level}{record.getMessage()}"


class _Screen(logging.StreamHandler):
    """Writes to what ``sys.stderr`` is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextlib.contextmanager
def shown(verbose: bool = False, quiet: bool = False) -> Iterator[None]:
    """Show what both packages log, and Python's warnings.

    Parameters
    ----------
    verbose, quiet : bool
        Everything, or warnings and errors only; without both, what is of interest to people.
    """
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    screen = _Screen()
    screen.setFormatter(_Lines())
    loggers = [logging.getLogger(name) for name in _PACKAGES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(screen)
        logger.setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.removeHandler(screen)
            logger.setLevel(level)


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    print(f"{PROGRAM}: warning: {message}", file=sys.stderr)
