"""The files of a model's folder: those of the BVLC Model Zoo, and what people put beside them."""

import hashlib
import os
import re
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from caffe_gradcam.model import training, unpacked
from prototxt_tools.errors import ModelError, WeightsError
from prototxt_tools.files import feed, open_regular, read_bytes

README = "readme.md"
WEIGHTS = (".caffemodel", ".caffemodel.h5")
LABELS = ("labels.txt", "synset_words.txt", "labels.csv", "labels.json", "labelmap.prototxt")
# The beginning of the origin of weights that were chosen among several snapshots.
NEWEST = "found: the newest of "
_SNAPSHOT = re.compile(r"(.*)_iter_(\d+)\.caffemodel(?:\.h5)?$")
_LONGEST_README = 1 << 20
_DEEPEST_YAML = 50


def find_prototxt(path: str) -> str:
    """The net's file: the one given, or the one to deploy in the folder or archive given.

    Where the folder has no deploy net, it is the training net: train_val.prototxt or the like.

    Raises
    ------
    ModelError
        There is none, or several fit; the message lists what there is.
    """
    path = unpacked.folder_of(path)
    if not os.path.exists(path):
        raise ModelError(f"{path or repr(path)}: no such model folder or prototxt", subject=path)
    if not os.path.isdir(path):
        open_regular(path, ModelError).close()
        return path
    prototxts = [name for name in _files(path, (".prototxt", ".pt")) if name not in LABELS]
    candidates = [name for name in prototxts if name == "deploy.prototxt"]
    candidates = candidates or [name for name in prototxts if "deploy" in name]
    candidates = candidates or training.training_nets(prototxts)
    if len(candidates) != 1:
        raise ModelError(_ambiguous(candidates, path, "deploy.prototxt", "give the file's path"),
                         subject=path)
    return os.path.join(path, candidates[0])


def has_net(path: str) -> bool:
    """Whether a path is a folder that holds a prototxt."""
    return os.path.isdir(path) and any(
        name.endswith((".prototxt", ".pt")) for name in os.listdir(path))


def read_front_matter(folder: str) -> Dict[Any, Any]:
    """The YAML between the first two ``---`` lines of the folder's readme.md, or ``{}``.

    Raises
    ------
    ModelError
        It is not YAML, has aliases, is not a mapping, or the file is too long.
    """
    path = os.path.join(folder, README)
    if not os.path.exists(path):
        return {}
    data = read_bytes(path, _LONGEST_README, ModelError)
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
        check_yaml(yaml.parse(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ModelError(f"{path}:{line}: the front matter: {problem}", subject=path) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the front matter: {error}", subject=path) from None


def check_yaml(events: Iterable[Any]) -> None:
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
    snapshot = training.read_info(folder).snapshot
    if snapshot in weights:
        return os.path.join(folder, str(snapshot)), "found: " + training.INFO
    newest = _newest_snapshot(weights)
    if newest is not None:
        return (os.path.join(folder, newest),
                f"{NEWEST}{len(weights)} snapshots")
    if len(weights) != 1:
        raise WeightsError(_ambiguous(weights, folder, ".caffemodel", "give --weights"),
                           subject=folder)
    return os.path.join(folder, weights[0]), "found: the only weights in the folder"


def _newest_snapshot(names: Sequence[str]) -> Optional[str]:
    """The one of the most iterations, where all names are snapshots of one training."""
    matches = [match for match in map(_SNAPSHOT.match, names) if match]
    if len(names) < 2 or len(matches) != len(names) or len(
            {match.group(1) for match in matches}) > 1:
        return None
    return max(matches, key=lambda match: int(match.group(2))).group(0)


def sha1_differs(path: str, sha1: Any) -> bool:
    """Whether a file's SHA-1 differs from the hexadecimal one given."""
    digest = hashlib.sha1()
    feed(path, digest)
    return digest.hexdigest() != str(sha1).strip().lower()


def find_labels(folder: str, name: Optional[str] = None) -> Optional[str]:
    """The path of the folder's labels file: the one of that name, or of a usual name; or None."""
    names = ([name] if name else []) + list(LABELS)
    paths = [os.path.join(folder, name) for name in names]
    return next((path for path in paths if os.path.isfile(path)), None)


def _files(folder: str, endings: Tuple[str, ...]) -> List[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(endings))


def _ambiguous(names: Sequence[str], folder: str, kind: str, remedy: str) -> str:
    """Why no file could be chosen from some names."""
    if not names:
        return f"{folder}: the folder holds no {kind}"
    return f"{folder}: cannot tell which is the {kind}: {', '.join(names)}; {remedy}"
