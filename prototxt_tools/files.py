"""Output files: complete or absent."""

import os
import shutil
import uuid

from prototxt_tools.errors import InputError


def write_bytes(path, data):
    """Write a file under a temporary name beside it and put it in place when it is complete.

    Parameters
    ----------
    path : str or os.PathLike
        The file; its folder is made when it is missing.
    data : bytes
        All of it.

    Raises
    ------
    InputError
        The folder or the file cannot be written; nothing is left behind.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, ".part-" + uuid.uuid4().hex[:12])
    try:
        os.makedirs(folder or ".", exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            if os.path.exists(path):
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)
    except OSError as error:
        raise InputError("{}: cannot be written: {}.".format(path, error.strerror)) from None
