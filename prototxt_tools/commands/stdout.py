"""Standard output: all of it, or one sentence that says why not."""

import os
import sys


def write(data):
    """Write bytes to standard output.

    Parameters
    ----------
    data : bytes
    """
    left = memoryview(data)
    while left:  # where nothing is buffered (PYTHONUNBUFFERED) a write may take a part of it
        left = left[sys.stdout.buffer.write(left):]
    sys.stdout.buffer.flush()


def lost(program, error):
    """Say on standard error what an OSError that ended a command was.

    Parameters
    ----------
    program : str
    error : OSError
        Without a name of a file it is standard output's.

    Returns
    -------
    int
        The exit code: 2, or 141 as shells have it where nobody reads any more.
    """
    if error.filename is None:
        # The interpreter must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 141
    print("{}: {}: {}".format(program, error.filename or "standard output cannot be written",
                              error.strerror or error), file=sys.stderr)
    return 2
