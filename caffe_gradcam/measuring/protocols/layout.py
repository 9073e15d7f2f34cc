"""Where a data set keeps its files; what is missing is named."""

import os
import re
from typing import List, Optional, Sequence, Set, Tuple

from prototxt_tools.errors import InputError
from prototxt_tools.files import read_bytes

# The names of 50,000 images fill 2 MB.
MOST_BYTES = 64 << 20
# Of an image, without its folder.
_PLAIN = re.compile(r"\w[\w.-]{0,199}\Z")


def root(data: str, candidates: Sequence[str], marker: str) -> str:
    """The folder of a data set.

    Parameters
    ----------
    data : str
        The folder that the user names.
    candidates : sequence of str
        Folders in it that may be the data set's own.
    marker : str
        A file or folder that the data set has.

    Raises
    ------
    InputError
        None of them has the marker; the message names where it was expected.
    """
    if not os.path.isdir(data):
        raise InputError(f"{data}: there is no such folder; --data names the folder of the data "
                         "set", data)
    paths = [data] + [os.path.join(data, candidate) for candidate in candidates]
    for path in paths:
        if os.path.exists(os.path.join(path, marker)):
            return path
    places = " nor ".join(os.path.join(path, marker) for path in paths)
    raise InputError(f"{data}: not the folder of this data set: there is no {places}", data)


def folder(path: str, content: str) -> str:
    """The path of a folder that must be there; ``content`` is what it holds, for the message."""
    if not os.path.isdir(path):
        raise InputError(f"{path}: there is no such folder; it should hold {content}", path)
    return path


def lines(path: str) -> List[Tuple[str, str]]:
    """The lines of a file, each a plain name and what follows it.

    Raises
    ------
    InputError
        The file cannot be read, has none, or has something else than a name, such as a path.
    """
    texts = read_bytes(path, MOST_BYTES).decode("utf-8", "replace").split("\n")
    pairs = [(number, text.split(None, 1)) for number, text in enumerate(texts, 1) if text.strip()]
    if not pairs:
        raise InputError(f"{path}: the file is empty", path)
    return [(plain_name(words[0], f"{path}:{number}"), " ".join(words[1:]).strip())
            for number, words in pairs]


def names(path: str) -> List[str]:
    """The first words of a file's lines, each of which may come only once; raises InputError as
    :func:`lines` does."""
    names_of_images = [name for name, _ in lines(path)]
    check_unique(names_of_images, path)
    return names_of_images


def check_unique(image_names: Sequence[str], path: str) -> None:
    """Raise an InputError for an image that a file lists twice, and that would count twice."""
    seen: Set[str] = set()
    for name in image_names:
        if name in seen:
            raise InputError(f"{path}: lists the image {name} twice", path)
        seen.add(name)


def plain_name(name: str, position: str) -> str:
    """A name that leads out of no folder; raises InputError for another."""
    if not _PLAIN.match(name) or ".." in name:
        raise InputError.about(position, f"{name[:80]!r} is not the plain name of a file")
    return name


def first_file(paths: Sequence[str]) -> Optional[str]:
    """The first of some files that is there."""
    return next((path for path in paths if os.path.isfile(path)), None)
