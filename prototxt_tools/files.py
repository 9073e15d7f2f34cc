"""Output files, complete or absent; input files, regular and of a bounded size."""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import sys
import uuid
from typing import Any, BinaryIO, Iterator, Optional, Type, Union

from prototxt_tools.errors import InputError

Path = Union[str, "os.PathLike[str]"]

MAX_BYTES = "CAFFE_GRADCAM_MAX_BYTES"

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
            with _open_for_writing(path) as file:
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


def _open_for_writing(path: str) -> BinaryIO:
    """A device or a pipe; a pipe that nobody reads is refused, since opening it would wait."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise InputError(f"{path}: a pipe that nobody reads", path) from None
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file; raises InputError as ``replacing`` does.

    Parameters
    ----------
    path : str or os.PathLike
    data : bytes
    """
    with replacing(path) as file:
        file.write(data)


def byte_limit(limit: int) -> int:
    """The most bytes that are read of a file of some kind: this limit of the kind, or what the
    variable ``CAFFE_GRADCAM_MAX_BYTES`` holds."""
    text = os.environ.get(MAX_BYTES, "")
    return int(text) if re.match("[0-9]{1,18}$", text) else limit


def open_regular(path: Path, error: Type[InputError] = InputError) -> BinaryIO:
    """Open a regular file to read it; devices, pipes and sockets, also behind links, are refused.

    Parameters
    ----------
    path : str or os.PathLike
    error : type
        The class of what is raised.

    Raises
    ------
    InputError
        Or ``error``: there is no such file, it cannot be read, or is not regular.
    """
    path = os.fspath(path)
    try:
        # Opening a pipe must not wait for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
                             | getattr(os, "O_BINARY", 0))
    except OSError as problem:
        raise error.about(path, _reason(problem)) from None
    except ValueError as problem:  # A zero byte, for example.
        raise error(f"{path!r}: not a file name: {problem}", path) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise error.about(path, "a folder, not a file" if stat.S_ISDIR(mode)
                      else f"{_kind(mode)}, not a regular file")


def read_bytes(path: Path, limit: Optional[int], error: Type[InputError] = InputError,
               offset: int = 0, size: Optional[int] = None) -> bytes:
    """Read a regular file, or a span of it.

    Parameters
    ----------
    path : str or os.PathLike
    limit : int, optional
        The most bytes that are read, unless ``byte_limit`` tells another number.
    error : type
        The class of what is raised.
    offset, size : int
        The span; to the end without a size.

    Raises
    ------
    InputError
        Or ``error``: as ``open_regular`` does, or there are more bytes.
    """
    path = os.fspath(path)
    most = sys.maxsize if limit is None else byte_limit(limit)
    try:
        with open_regular(path, error) as file:
            length = os.fstat(file.fileno()).st_size if size is None else size
            if length > most:
                raise error.about(path, too_long(length, most))
            file.seek(offset)
            # A file in /proc has another length than it tells.
            data = file.read(-1 if limit is None else most + 1) if size is None else file.read(size)
    except OSError as problem:
        raise error.about(path, _reason(problem)) from None
    if len(data) > most:
        raise error.about(path, too_long(len(data), most))
    return data


def readable_text(path: str) -> str:
    """The text of a file that this machine or this program wrote, with bytes that are not UTF-8
    replaced; empty where the file cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def too_long(length: int, limit: int) -> str:
    """What to tell a user of so many bytes."""
    return (f"{length} bytes, more than the {limit} that are read; --max-bytes (in Python, the "
            f"variable {MAX_BYTES}) allows more")


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


def _reason(problem: OSError) -> str:
    if isinstance(problem, FileNotFoundError):
        return "no such file"
    return f"cannot be read: {problem.strerror or problem}"


def _kind(mode: int) -> str:
    for is_kind, kind in ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
                          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device")):
        if is_kind(mode):
            return kind
    return "something else"


def parse_json(text: Union[str, bytes]) -> Any:
    """The value of a JSON text that may come from anywhere.

    Raises
    ------
    ValueError
        It is not JSON, or lists and objects are nested more deeply than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
