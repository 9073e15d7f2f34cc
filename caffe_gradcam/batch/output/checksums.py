"""Files of an output with a SHA-256 beside each, by which any change of a byte shows.

``checksums/NAME.sha256`` has the form of the program ``sha256sum``, so that ``sha256sum -c
checksums/*`` in the output checks the files without this package. It is written after its file,
so a file without one is not finished.
"""

import hashlib
import posixpath
from typing import Set

from caffe_gradcam.batch.storage import Folder
from prototxt_tools.errors import InputError

FOLDER = "checksums"
_EXTENSION = ".sha256"


def write(folder: Folder, name: str, data: bytes) -> None:
    """Write a file and then its checksum; meanwhile the file counts as not finished."""
    folder.remove(_name_of(name))
    folder.write(name, data)
    folder.write(_name_of(name), _text(name, data))


def create(folder: Folder, name: str, data: bytes) -> bool:
    """Write a new file and then its checksum; meanwhile the file counts as not finished.

    Returns
    -------
    bool
        Whether it was written; False where there is a file of that name.
    """
    return folder.create(name, data) and folder.create(_name_of(name), _text(name, data))


def read(folder: Folder, name: str, advice: str) -> bytes:
    """A file's bytes.

    Parameters
    ----------
    folder : LocalFolder or UrlFolder
    name : str
    advice : str
        What to do about a damaged file, for the message.

    Raises
    ------
    InputError
        It cannot be read, or is not what was written.
    """
    data = folder.read(name)
    if folder.read(_name_of(name)) != _text(name, data):
        path = folder.locate(name)
        raise InputError(f"{path}: this file is damaged: its SHA-256 is not that in "
                         f"{_name_of(name)}; {advice}", path)
    return data


def text_of(folder: Folder, name: str) -> str:
    """What the checksum of a finished file holds, which changes with the file."""
    return folder.read(_name_of(name)).decode("ascii", "replace").strip()


def names(folder: Folder) -> Set[str]:
    """The base names of the files that have a checksum."""
    return {name[:-len(_EXTENSION)] for name in folder.names(FOLDER) if name.endswith(_EXTENSION)}


def remove(folder: Folder, name: str) -> None:
    """Remove a file, which counts as not finished from the first step on."""
    folder.remove(_name_of(name))
    folder.remove(name)


def _name_of(name: str) -> str:
    return f"{FOLDER}/{posixpath.basename(name)}{_EXTENSION}"


def _text(name: str, data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode("ascii")
