"""Output files: complete or absent."""

import contextlib
import os
import shutil
import uuid
from typing import BinaryIO, Iterator, Union

from prototxt_tools.errors import InputError

Path = Union[str, "os.PathLike[str]"]


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
