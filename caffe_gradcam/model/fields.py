"""The values of a model's fields, as they stand in a readme.md or on a command line.

Each reader takes what YAML made of a value, or the word of a command line, and raises ValueError
with the rest of a sentence that begins with the field's name.
"""

import os

import numpy as np

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.model.preprocess import CHANNELS, LETTERBOX

NOTHING = ("none", "null", "")


def pair(value, folder=None):
    """Height and width: ``[227, 227]``, ``227x227`` or ``227``."""
    sizes = _whole_numbers(value)
    if sizes is None or len(sizes) not in (1, 2):
        raise ValueError(f"wants HEIGHTxWIDTH, not {value!r}")
    return tuple(sizes * 2)[:2]


def crop(value, folder=None):
    """As :func:`pair`, or None for no crop."""
    return None if _is_nothing(value) else pair(value)


def crops(value, folder=None):
    """How many crops of a picture the net sees: 1 or 10."""
    numbers = _whole_numbers(value)
    if numbers not in ([1], [10]):
        raise ValueError(f"wants 1 or 10, not {value!r}")
    return numbers[0]


def resize(value, folder=None):
    """Height and width, the length of the short side, letterbox, or None for no resizing."""
    if _is_nothing(value):
        return None
    if str(value).lower() == LETTERBOX:
        return LETTERBOX
    sizes = _whole_numbers(value)
    if sizes is None or len(sizes) not in (1, 2):
        raise ValueError(
            f"wants HEIGHTxWIDTH, one number, letterbox or none, not {value!r}")
    return tuple(sizes) if len(sizes) == 2 else sizes[0]


def scale(value, folder=None):
    """A factor other than 0."""
    numbers = _numbers(value)
    if numbers is None or len(numbers) != 1 or numbers[0] == 0:
        raise ValueError(f"wants a number, not {value!r}")
    return numbers[0]


def channel_order(value, folder=None):
    """One of BGR, RGB and GRAY."""
    order = str(value).upper().replace("GREY", "GRAY")
    if order not in CHANNELS:
        raise ValueError("wants one of {}, not {!r}".format(", ".join(CHANNELS), value))
    return order


def mean(value, folder):
    """One number per channel, one for all, None, or the name of a mean file in the folder."""
    if _is_nothing(value):
        return None
    numbers = _numbers(value)
    if numbers is not None:
        return np.array(numbers, np.float32)
    if not isinstance(value, str) or not value.endswith(model_folder.MEANS):
        raise ValueError(
            f"wants numbers, none, or a .npy or .binaryproto file, not {value!r}"
        )
    return model_folder.read_mean(os.path.join(folder, value))


def name(value, folder=None):
    """The name of a blob or layer."""
    if isinstance(value, (dict, list)) or _is_nothing(value):
        raise ValueError(f"wants the name of a blob or layer, not {value!r}")
    return str(value)


def name_list(value, folder=None):
    """One name or several."""
    return [name(one) for one in (value if isinstance(value, list) and value else [value])]


def path(value, folder):
    """The path of a file, relative to the folder."""
    if not isinstance(value, str):
        raise ValueError(f"wants the name of a file, not {value!r}")
    return os.path.join(folder, value)


def _is_nothing(value):
    return value is None or (isinstance(value, str) and value.lower() in NOTHING)


def _numbers(value):
    """A list of finite numbers, or None if it is none."""
    if isinstance(value, str):
        value = value.strip("[]() ").replace(",", " ").split()
    if not isinstance(value, (list, tuple)):
        value = [value]
    if any(isinstance(one, bool) for one in value):
        return None
    try:
        numbers = [float(one) for one in value]
    except (TypeError, ValueError):
        return None
    return numbers if numbers and np.isfinite(numbers).all() else None


def _whole_numbers(value):
    """A list of positive whole numbers, or None; ``227x227`` counts as two."""
    numbers = _numbers(value.lower().replace("x", " ") if isinstance(value, str) else value)
    if numbers is None or any(number != int(number) or number < 1 for number in numbers):
        return None
    return [int(number) for number in numbers]
