"""The values of a model's fields, from a readme.md, the command line or Python.

Each reader takes the value that YAML or Python gives, or the word of a command line, and the
folder that file names are relative to. It raises ValueError with the rest of a sentence that
begins with the field's name.
"""

import os
from reprlib import repr as _short
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from caffe_gradcam.model import means
from caffe_gradcam.model.preprocess import BANDS, CHANNELS, LETTERBOX, LONG

Reader = Callable[[Any, str], Any]

NOTHING = ("none", "null", "")


def pair(value: Any, folder: str = "") -> Tuple[int, int]:
    """Height and width: ``[227, 227]``, ``227x227`` or ``227``."""
    sizes = _whole_numbers(value)
    if sizes is None or len(sizes) not in (1, 2):
        raise ValueError(f"must be HEIGHTxWIDTH, not {_short(value)}")
    return sizes[0], sizes[-1]


def crop(value: Any, folder: str = "") -> Optional[Tuple[int, int]]:
    """As :func:`pair`, or None for no crop."""
    return None if is_nothing(value) else pair(value)


def crops(value: Any, folder: str = "") -> int:
    """How many crops of an image the net sees: 1 or 10."""
    numbers = _whole_numbers(value)
    if numbers is None or numbers not in ([1], [10]):
        raise ValueError(f"must be 1 or 10, not {_short(value)}")
    return numbers[0]


def resize(value: Any, folder: str = "") -> Union[None, int, str, Tuple[int, int]]:
    """Height and width, the length of the short side, or of the long one (``long:500``),
    letterbox, or None for no resizing."""
    if is_nothing(value):
        return None
    if isinstance(value, str) and value.lower() == LETTERBOX:
        return LETTERBOX
    if isinstance(value, str) and value.lower().startswith(LONG):
        lengths = _whole_numbers(value[len(LONG):])
        if lengths is None or len(lengths) != 1:
            raise ValueError(f"must be long: and one number, such as long:500, not {_short(value)}")
        return f"{LONG}{lengths[0]}"
    sizes = _whole_numbers(value)
    if sizes is None or len(sizes) not in (1, 2):
        raise ValueError("must be HEIGHTxWIDTH, one number, long:NUMBER, letterbox or none, not "
                         + _short(value))
    return (sizes[0], sizes[1]) if len(sizes) == 2 else sizes[0]


def text(value: Any, folder: str = "") -> str:
    """A sentence."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be a sentence, not {_short(value)}")
    return value


def stride(value: Any, folder: str = "") -> Optional[int]:
    """Every how many frames of a video one is taken: a whole number, or None for ``even``."""
    if isinstance(value, str) and value.lower() == "even":
        return None
    numbers = _whole_numbers(value)
    if numbers is None or len(numbers) != 1:
        raise ValueError(f"must be a whole number or even, not {_short(value)}")
    return numbers[0]


def value_range(value: Any, folder: str = "") -> Optional[Tuple[float, float]]:
    """The values that become 0 and 255: ``0,4095``; or None."""
    if is_nothing(value):
        return None
    numbers = _numbers(value)
    if numbers is None or len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise ValueError(f"must be LOW,HIGH, such as 0,4095, not {_short(value)}")
    return numbers[0], numbers[1]


def scale(value: Any, folder: str = "") -> float:
    """A factor other than 0."""
    numbers = _numbers(value)
    if numbers is None or len(numbers) != 1 or numbers[0] == 0:
        raise ValueError(f"must be a number other than 0, not {_short(value)}")
    return numbers[0]


def channel_order(value: Any, folder: str = "") -> str:
    """One of BGR, RGB, GRAY and BANDS."""
    order = str(value).upper().replace("GREY", "GRAY")
    if order not in CHANNELS and order != BANDS:
        raise ValueError(f"must be one of {', '.join(CHANNELS)} and {BANDS}, not {_short(value)}")
    return order


def mean(value: Any, folder: str = "") -> Optional[np.ndarray]:
    """One number per channel, one for all, a mean image, None, or the name of a mean file."""
    if is_nothing(value):
        return None
    if isinstance(value, np.ndarray) and value.ndim > 1:
        problem = means.mean_problem(value)
        if problem:
            raise ValueError(f"must be {problem}")
        return value.astype(np.float32)
    numbers = _numbers(value)
    if numbers is not None:
        return np.array(numbers, np.float32)
    if not isinstance(value, (str, os.PathLike)) or not str(value).endswith(means.ENDINGS):
        raise ValueError("must be numbers, none, or a .npy or .binaryproto file, not "
                         + _short(value))
    return means.read(_path(value, folder))


def name(value: Any, folder: str = "") -> str:
    """The name of a blob or layer."""
    if not isinstance(value, (str, int, float)) or is_nothing(value):
        raise ValueError(f"must be the name of a blob or layer, not {_short(value)}")
    return str(value)


def names(value: Any, folder: str = "") -> Tuple[str, ...]:
    """One name or several."""
    several = isinstance(value, (list, tuple)) and len(value) > 0
    return tuple(name(entry) for entry in (value if several else [value]))


def labels(value: Any, folder: str = "") -> Union[str, Tuple[str, ...]]:
    """The path of a labels file, or the names themselves."""
    if isinstance(value, (list, tuple)) and value:
        return tuple(str(entry) for entry in value)
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be the name of a file or a list of names, not {_short(value)}")
    return _path(value, folder)


# Field -> reader; the fields in OF_INPUT belong to one input blob, the others to the model.
READERS: Dict[str, Reader] = {
    "size": pair,
    "channel_order": channel_order,
    "mean": mean,
    "scale": scale,
    "resize": resize,
    "crop": crop,
    "crops": crops,
    "value_range": value_range,
    "score": name,
    "layers": names,
    "labels": labels,
    "outputs": labels,
    "stride": stride,
    "text": text,
}
OF_INPUT = ("size", "channel_order", "mean", "scale", "resize", "crop", "crops",
            "value_range", "stride")


def _path(value: Any, folder: str) -> str:
    """The path of a file; those that a readme.md names must be in its folder."""
    path = os.fspath(value)
    if folder and (os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir):
        raise ValueError(f"must name a file in the model's folder, not {_short(path)}")
    return os.path.join(folder, path)


def file(value: Any, folder: str = "") -> str:
    """The path of a file."""
    if not isinstance(value, (str, os.PathLike)) or is_nothing(value):
        raise ValueError(f"must be the name of a file, not {_short(value)}")
    return _path(value, folder)


def is_nothing(value: Any) -> bool:
    """Whether a value is None, or a word for it."""
    return value is None or (isinstance(value, str) and value.lower() in NOTHING)


def _numbers(value: Any) -> Optional[List[float]]:
    """A list of finite numbers, or None if the value is something else."""
    if isinstance(value, str):
        value = value.strip("[]() ").replace(",", " ").split()
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if not isinstance(value, (list, tuple)):
        value = [value]
    if any(isinstance(number, bool) for number in value):
        return None
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers and np.isfinite(numbers).all() else None


def _whole_numbers(value: Any) -> Optional[List[int]]:
    """A list of positive whole numbers, or None; ``227x227`` counts as two."""
    numbers = _numbers(value.lower().replace("x", " ") if isinstance(value, str) else value)
    if numbers is None or any(number != int(number) or number < 1 for number in numbers):
        return None
    return [int(number) for number in numbers]
