"""The files of a model's folder: those of the BVLC Model Zoo, and what people put beside them."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools.errors import InputError, ModelError, WeightsError
from prototxt_tools.net import schema
from prototxt_tools.net.net import Net

README = "readme.md"
WEIGHTS = (".caffemodel", ".caffemodel.h5")
MEANS = (".binaryproto", ".npy")
LABELS = ("labels.txt", "synset_words.txt")
_LONGEST_README = 1 << 20
_DEEPEST_YAML = 50


@dataclass(frozen=True, eq=False)
class Transform:
    """What a training net does to its images.

    Attributes
    ----------
    file_name : str
        Of the training net.
    mean : numpy.ndarray or None
        C float32.
    mean_file : str or None
        The name of a mean file, without its folder.
    scale : float
    """

    file_name: str
    mean: Optional[np.ndarray]
    mean_file: Optional[str]
    scale: float


def find_prototxt(path: str) -> str:
    """The net's file: the one given, or the one to deploy in the folder given.

    Raises
    ------
    ModelError
        There is none, or several fit; the message lists what there is.
    """
    if not os.path.exists(path):
        raise ModelError(f"{path}: no such model folder or prototxt", subject=path)
    if not os.path.isdir(path):
        return path
    prototxts = _files(path, (".prototxt", ".pt"))
    candidates = [name for name in prototxts if name == "deploy.prototxt"]
    candidates = candidates or [name for name in prototxts if "deploy" in name] or prototxts
    if len(candidates) != 1:
        raise ModelError(_ambiguous(candidates, path, "deploy.prototxt", "give the file's path"),
                         subject=path)
    return os.path.join(path, candidates[0])


def read_front_matter(folder: str) -> Dict[Any, Any]:
    """The YAML between the first two ``---`` lines of the folder's readme.md, or ``{}``.

    Raises
    ------
    ModelError
        It is not YAML, has aliases, is not a mapping, or the file is too long.
    """
    path = os.path.join(folder, README)
    try:
        with open(path, "rb") as file:
            data = file.read(_LONGEST_README + 1)
    except OSError:
        return {}
    if len(data) > _LONGEST_README:
        raise ModelError(f"{path}: longer than {_LONGEST_README >> 20} MB", subject=path)
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines or lines[0].lstrip("\ufeff").rstrip() != "---":
        return {}
    ends = [index for index, line in enumerate(lines) if index and line.rstrip() == "---"]
    if not ends:
        raise ModelError(f"{path}: the front matter has no closing --- line", subject=path)
    front = _read_yaml("\n".join(lines[1:ends[0]]), path) or {}
    if not isinstance(front, dict):
        raise ModelError(f"{path}: the front matter must consist of `key: value` lines",
                         subject=path)
    return front


def _read_yaml(text: str, path: str) -> Any:
    """The value of a front matter, whose text begins in line 2 of its file."""
    import yaml

    try:
        _check_yaml(yaml.parse(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ModelError(f"{path}:{line}: the front matter: {problem}", subject=path) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the front matter: {error}", subject=path) from None


def _check_yaml(events: Iterable[Any]) -> None:
    """Raise ValueError for YAML that takes endless time to read or memory to print."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not supported; write the value of "
                             f"*{event.anchor} again")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST_YAML:
            raise ValueError(f"lists within lists, more than {_DEEPEST_YAML} deep")


def find_weights(folder: str, front: Dict[Any, Any]) -> Tuple[str, str]:
    """The weights' file and how it was found.

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
    WeightsError
        There are none, several, or the one that the front matter names is missing.
    """
    named = front.get("caffemodel")
    if named:
        path = os.path.join(folder, str(named))
        if not os.path.isfile(path):
            url = front.get("caffemodel_url")
            remedy = f"download it from {url}" if url else "or give --weights"
            raise WeightsError(f"{path}: named in {README}, but missing; {remedy}", subject=path)
        return path, README
    weights = _files(folder, WEIGHTS)
    if len(weights) != 1:
        raise WeightsError(_ambiguous(weights, folder, ".caffemodel", "give --weights"),
                           subject=folder)
    return os.path.join(folder, weights[0]), "found: the only weights in the folder"


def sha1_differs(path: str, sha1: Any) -> bool:
    """Whether a file's SHA-1 differs from the hexadecimal one given."""
    digest = hashlib.sha1()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest() != str(sha1).strip().lower()


def find_labels(folder: str) -> Optional[str]:
    """The path of the folder's labels file, or None."""
    paths = [os.path.join(folder, name) for name in LABELS]
    return next((path for path in paths if os.path.isfile(path)), None)


def find_mean(folder: str, name: Optional[str] = None) -> Optional[str]:
    """The path of the folder's mean file: the one of that name, else the only one, else None."""
    if name and os.path.isfile(os.path.join(folder, name)):
        return os.path.join(folder, name)
    means = [file for file in _files(folder, MEANS) if "mean" in file.lower()]
    return os.path.join(folder, means[0]) if len(means) == 1 else None


def find_transform(folder: str, prototxt: str) -> Optional[Transform]:
    """What the folder's training net (train_val.prototxt or the like) does to its images.

    Parameters
    ----------
    folder : str
    prototxt : str
        The net to deploy, which is passed over.

    Returns
    -------
    Transform or None
        None where no file of the folder has a data layer.
    """
    others = [
        name for name in _files(folder, (".prototxt",))
        if ("train" in name or "test" in name) and name != os.path.basename(prototxt)
    ]
    for name in sorted(others, key=lambda name: "train" not in name):
        try:
            net = Net.load(os.path.join(folder, name)).at("TEST")
            messages = [layer.message for layer in net.layers if not layer.bottoms]
        except InputError:
            continue
        for message in messages:
            if layers.of(message.type).is_data:
                return _transform(name, message.transform_param)
    return None


def _transform(file_name: str, parameters: Any) -> Transform:
    mean = np.array(list(parameters.mean_value), np.float32) if parameters.mean_value else None
    mean_file = os.path.basename(parameters.mean_file) or None
    return Transform(file_name, mean, mean_file, parameters.scale)


def read_mean(path: str) -> np.ndarray:
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
    ModelError
        The file is missing, is neither, or holds another shape.
    """
    try:
        mean = np.load(path, allow_pickle=False) if path.endswith(".npy") else _read_blob(path)
    except OSError as error:
        reason = error.strerror or "not a .npy file"
        raise ModelError(f"{path}: cannot be read: {reason}", subject=path) from None
    except Exception:  # noqa: B902 - NumPy and protobuf each raise their own kinds
        raise ModelError(f"{path}: not a mean file (.npy or .binaryproto)", subject=path) from None
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim == 2:
        mean = mean[np.newaxis]
    problem = mean_problem(mean)
    if problem:
        raise ModelError(f"{path}: a mean must be {problem}", subject=path)
    return mean.astype(np.float32)


def mean_problem(mean: np.ndarray) -> Optional[str]:
    """What an array must be to be a mean, and what it is instead; None where it is one."""
    if mean.dtype.kind in "fiu" and mean.ndim in (1, 3) and np.isfinite(mean).all():
        return None
    shape = "x".join(map(str, mean.shape))
    return ("one finite number per channel or channels x height x width of them, "
            f"not {mean.dtype} of shape {shape}")


def _read_blob(path: str) -> np.ndarray:
    blob = schema.new("BlobProto")
    with open(path, "rb") as file:
        blob.ParseFromString(file.read())
    shape = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
    return np.array(blob.data or blob.double_data, np.float32).reshape(shape)


def _files(folder: str, endings: Tuple[str, ...]) -> List[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(endings))


def _ambiguous(names: Sequence[str], folder: str, kind: str, remedy: str) -> str:
    """Why no file could be chosen from some names."""
    if not names:
        return f"{folder}: the folder holds no {kind}"
    return f"{folder}: cannot tell which is the {kind}: {', '.join(names)}; {remedy}"
