"""Output files, complete or absent; input files, regular and of a bounded size."""

import contextlib
import os
import shutil
import stat
import uuid
from typing import Any, BinaryIO, Iterator, Type, Union

from prototxt_tools.errors import InputError

Path = Union[str, "os.PathLike[str]"]

_PIECE = 1 << 20


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces the old one when all of it is written.

    Until then it has a temporary name in the same folder; where writing fails nothing is left
    behind. What exists and is not a file, such as a pipe or ``/dev/null``, is written directly.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder is made if it does not exist. The mode of an older file stays.

    Yields
    ------
    binary file

    Raises
    ------
    InputError
        The folder or the file cannot be written.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, ".part-" + uuid.uuid4().hex[:12])
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                yield file
            return
        os.makedirs(folder or ".", exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
            if os.path.exists(path):
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}", subject=path) from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; raises InputError as ``replacing`` does.

    Parameters
    ----------
    path : str or os.PathLike
    data : bytes
    """
    with replacing(path) as file:
        file.write(data)


def read_bytes(path: Path, limit: int, error: Type[InputError] = InputError,
               advice: str = "") -> bytes:
    """Read a whole regular file; devices, pipes and sockets, also behind links, are refused.

    Parameters
    ----------
    path : str or os.PathLike
    limit : int
        The most bytes that the file may have.
    error : type
        The class of what is raised.
    advice : str
        What to do where the file is larger: "; --most-bytes allows more".

    Raises
    ------
    InputError
        Or ``error``: there is no such file, it cannot be read, is not regular, or is too large.
    """
    path = os.fspath(path)
    try:
        # Opening a pipe must not wait for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
                             | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise error(f"{path}: {_kind(status.st_mode)}, not a regular file", path)
            data = file.read(limit + 1)
    except OSError as problem:
        raise error(f"{path}: cannot be read: {_reason(problem, path)}", path) from None
    except ValueError as problem:  # A zero byte, for example.
        raise error(f"{path!r}: not a file name: {problem}", path) from None
    if len(data) > limit:
        size = max(status.st_size, len(data))
        raise error(f"{path}: {size} bytes, more than the {limit} that are read{advice}", path)
    return data


def feed(path: Path, *digests: Any) -> None:
    """Update some ``hashlib`` objects with a file, which is read once, piece by piece.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(os.fspath(path), "rb") as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            for digest in digests:
                digest.update(piece)


def _reason(problem: OSError, path: str) -> str:
    if isinstance(problem, IsADirectoryError) or os.path.isdir(path):
        return "it is a folder"
    return problem.strerror or str(problem)


def _kind(mode: int) -> str:
    for is_kind, kind in ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"),
                          (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
                          (stat.S_ISBLK, "a device")):
        if is_kind(mode):
            return kind
    return "something else"
