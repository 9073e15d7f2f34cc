"""Output files: complete or absent."""

import contextlib
import os
import shutil
import uuid

from prototxt_tools.errors import InputError


@contextlib.contextmanager
def replacing(path):
    """Open a file to write that takes its place when all of it is written.

    Until then it has a temporary name beside the place; where writing fails nothing is left.
    What is there and no file, a pipe or ``/dev/null``, is written to as it is.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder is made when it is missing. The mode of an older file stays.

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
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def write_bytes(path, data):
    """Write a whole file; raises InputError as ``replacing`` does.

    Parameters
    ----------
    path : str or os.PathLike
    data : bytes
    """
    with replacing(path) as file:
        file.write(data)
