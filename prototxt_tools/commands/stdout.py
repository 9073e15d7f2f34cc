"""Standard output: write all of it, or report in one sentence why a command has to end."""

import argparse
import os
import sys
from typing import Sequence


def write(data: bytes) -> None:
    """Write bytes to standard output: as they are, or as safe text where it is a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(data.decode("utf-8", "surrogateescape"))
        sys.stdout.flush()
        return
    rest = memoryview(data)
    while rest:  # where nothing is buffered (PYTHONUNBUFFERED) a write may take a part of it
        rest = rest[sys.stdout.buffer.write(rest):]
    sys.stdout.buffer.flush()


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command; help and completions are written in full before it ends.

    Raises
    ------
    OSError
        Standard output cannot be written.
    """
    try:
        return parser.parse_args(arguments)
    finally:
        sys.stdout.flush()


def report_failure(program: str, error: OSError) -> int:
    """Print the OSError that ended a command to standard error.

    Parameters
    ----------
    program : str
    error : OSError
        Without a file name it is that of standard output.

    Returns
    -------
    int
        The exit code: 2, or 141 as in shells where nobody reads standard output any more.
    """
    if error.filename is None:
        # The interpreter must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 141
    subject = error.filename or "standard output cannot be written"
    print(f"{program}: {subject}: {error.strerror or error}", file=sys.stderr)
    return 2


def report_no_memory(program: str, smaller: str) -> int:
    """Print to standard error that a command ran out of memory.

    Parameters
    ----------
    program : str
    smaller : str
        What may fit.

    Returns
    -------
    int
        The exit code: 2.
    """
    print(f"{program}: out of memory; use {smaller}, or a machine with more memory",
          file=sys.stderr)
    return 2
