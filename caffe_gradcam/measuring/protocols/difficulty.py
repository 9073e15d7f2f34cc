"""The published lists of difficult images: a line for each, its name and a flag for each class."""

from typing import Dict, Optional, Tuple

from prototxt_tools.errors import InputError
from prototxt_tools.files import read_bytes

MOST_BYTES = 64 << 20

# Image -> for each class, whether it is difficult there.
Flags = Dict[str, Tuple[bool, ...]]


def read(path: str, classes: int) -> Flags:
    """Read a list in the form of TorchRay's ``pointing_game_ebp_voc07_difficult.txt``.

    Parameters
    ----------
    path : str
    classes : int
        How many flags each line has.

    Raises
    ------
    InputError
        The file cannot be read, or a line has another form; the message names the line.
    """
    text = read_bytes(path, MOST_BYTES).decode("utf-8", "replace")
    flags: Flags = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != classes + 1 or not set(words[1:]) <= {"0", "1"}:
            raise InputError(f"{path}:{number}: expected the name of an image and {classes} flags, "
                             "0 or 1 each", path)
        flags[words[0]] = tuple(word == "1" for word in words[1:])
    if not flags:
        raise InputError(f"{path}: lists no images", path)
    return flags


def listed(flags: Optional[Flags], image: str, class_index: int) -> Optional[bool]:
    """Whether a list has a class of an image among the difficult ones; None without a list.

    What an image that the list lacks shows counts as difficult, as in TorchRay.
    """
    if flags is None:
        return None
    return flags[image][class_index] if image in flags else True
