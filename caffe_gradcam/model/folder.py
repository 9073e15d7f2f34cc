"""What lies in a model's folder: the BVLC Model Zoo's layout, and what people leave beside it."""

import hashlib
import os
from typing import Any, NamedTuple, Optional

import numpy as np

from prototxt_tools.errors import InputError
from prototxt_tools.net import schema
from prototxt_tools.net.net import Net

README = "readme.md"
WEIGHTS = (".caffemodel", ".caffemodel.h5")
MEANS = (".binaryproto", ".npy")
LABELS = ("labels.txt", "synset_words.txt")


class Transform(NamedTuple):
    """What a training net does to its pictures: its file's name, its values, its mean file."""

    file: str
    mean: Any
    mean_file: Optional[str]
    scale: float


def find_prototxt(path):
    """The net's file: the one given, or the one to deploy in the folder given.

    Raises
    ------
    InputError
        There is none, or one cannot tell which; the message lists what there is.
    """
    if not os.path.exists(path):
        raise InputError(f"{path}: no such model folder or prototxt")
    if not os.path.isdir(path):
        return path
    there = _files(path, (".prototxt", ".pt"))
    chosen = [name for name in there if name == "deploy.prototxt"]
    chosen = chosen or [name for name in there if "deploy" in name] or there
    return os.path.join(path, _only(chosen, path, "a deploy.prototxt", "give its own path"))


def read_front_matter(folder):
    """The YAML between the first two ``---`` lines of the folder's readme.md, or ``{}``.

    Raises
    ------
    InputError
        It is no YAML, or no mapping.
    """
    import yaml

    path = os.path.join(folder, README)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    if not lines or lines[0].lstrip(u"\ufeff").rstrip() != "---":
        return {}
    ends = [index for index, line in enumerate(lines) if index and line.rstrip() == "---"]
    if not ends:
        raise InputError(f"{path}: the front matter has no closing --- line")
    try:
        front = yaml.safe_load("\n".join(lines[1:ends[0]])) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", None) or "no YAML"
        raise InputError(f"{path}:{line}: the front matter: {problem}") from None
    if not isinstance(front, dict):
        raise InputError(f"{path}: the front matter wants lines of `key: value`")
    return front


def find_weights(folder, front):
    """The weights' file and where it is known from.

    Parameters
    ----------
    folder : str
    front : dict
        The front matter.

    Returns
    -------
    path, origin : str

    Raises
    ------
    InputError
        There are none, several, or the one that the front matter names is missing.
    """
    named = front.get("caffemodel")
    if named:
        path = os.path.join(folder, str(named))
        if not os.path.isfile(path):
            url = front.get("caffemodel_url")
            remedy = f"download it from {url}" if url else "or give --weights"
            raise InputError(f"{path}: named in {README}, but missing; {remedy}")
        return path, README
    name = _only(_files(folder, WEIGHTS), folder, "a .caffemodel", "give --weights")
    return os.path.join(folder, name), "found: the only weights in the folder"


def sha1_differs(path, sha1):
    """Whether a file's SHA-1 is another than the hexadecimal one given."""
    digest = hashlib.sha1()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest() != str(sha1).strip().lower()


def find_labels(folder):
    """The path of the folder's labels file, or None."""
    paths = [os.path.join(folder, name) for name in LABELS]
    return next((path for path in paths if os.path.isfile(path)), None)


def find_mean(folder, name=None):
    """The path of the folder's mean file: the one of that name, else the only one, else None."""
    if name and os.path.isfile(os.path.join(folder, name)):
        return os.path.join(folder, name)
    there = [file for file in _files(folder, MEANS) if "mean" in file.lower()]
    return os.path.join(folder, there[0]) if len(there) == 1 else None


def find_transform(folder, prototxt):
    """What the folder's training net (train_val.prototxt or the like) does to its pictures.

    Parameters
    ----------
    folder : str
    prototxt : str
        The net to deploy, which is passed over.

    Returns
    -------
    Transform or None
        None where no file of the folder says it.
    """
    others = [
        name for name in _files(folder, (".prototxt",))
        if ("train" in name or "test" in name) and name != os.path.basename(prototxt)
    ]
    for name in sorted(others, key=lambda name: "train" not in name):
        try:
            layers = Net.load(os.path.join(folder, name)).at("TEST").layers
            messages = [layer.message for layer in layers if not layer.bottoms]
        except InputError:
            continue
        for message in messages:
            if message.type.endswith("Data"):
                return _transform(name, message.transform_param)
    return None


def _transform(file, parameters):
    mean = np.array(list(parameters.mean_value), np.float32) if parameters.mean_value else None
    mean_file = os.path.basename(parameters.mean_file) or None
    return Transform(file, mean, mean_file, parameters.scale)


def read_mean(path):
    """Read a mean file.

    Parameters
    ----------
    path : str
        ``.npy``, or the ``.binaryproto`` of Caffe's ``compute_image_mean``.

    Returns
    -------
    numpy.ndarray
        C or C x h x w, float32.

    Raises
    ------
    InputError
        The file is missing, is neither, or holds another shape.
    """
    try:
        if path.endswith(".npy"):
            mean = np.load(path, allow_pickle=False)
        else:
            mean = _read_blob(path)
    except OSError as error:
        reason = error.strerror or "not a .npy file"
        raise InputError(f"{path}: cannot be read: {reason}") from None
    except Exception:  # noqa: B902 - NumPy and protobuf each raise their own kinds
        raise InputError(f"{path}: no mean file (.npy or .binaryproto)") from None
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim == 2:
        mean = mean[np.newaxis]
    if mean.dtype.kind not in "fiu" or mean.ndim not in (1, 3) or not np.isfinite(mean).all():
        raise InputError(
            "{}: a mean wants one number per channel or channels x height x width, "
            "not {} of shape {}".format(path, mean.dtype, "x".join(map(str, mean.shape)))
        )
    return mean.astype(np.float32)


def _read_blob(path):
    blob = schema.new("BlobProto")
    with open(path, "rb") as file:
        blob.ParseFromString(file.read())
    shape = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
    return np.array(blob.data or blob.double_data, np.float32).reshape(shape)


def _files(folder, endings):
    return sorted(name for name in os.listdir(folder) if name.endswith(endings))


def _only(names, folder, what, remedy):
    if len(names) == 1:
        return names[0]
    if not names:
        raise InputError(f"{folder}: the folder holds no {what.split()[-1]}")
    raise InputError(
        "{}: cannot tell which is {}: {}; {}".format(folder, what, ", ".join(names), remedy)
    )
