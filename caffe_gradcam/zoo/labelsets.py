"""The orders of classes that several public models share, as labels files."""

import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence

from caffe_gradcam.model import archives
from caffe_gradcam.zoo import download
from caffe_gradcam.zoo.entries import File
from prototxt_tools.errors import FetchError
from prototxt_tools.files import write_bytes

FILE = "labels.yaml"
_FORMS = ("words", "path")
_NUMBERED = re.compile(r"(.*\S)\s+(\d+)$")


def load(folder: str) -> Dict[str, Dict[str, Any]]:
    """The sets of a registry's ``labels.yaml``: name -> its fields."""
    import yaml

    with open(os.path.join(folder, FILE), encoding="utf-8") as file:
        return yaml.safe_load(file)


def problems(name: str, labelset: Mapping[str, Any]) -> List[str]:
    """What does not fit together in a set; an empty list for a good one."""
    sentences = []
    if labelset.get("form", "words") not in _FORMS:
        sentences.append(f"unknown form {labelset['form']!r}")
    if not labelset.get("source"):
        sentences.append("does not say where it was read")
    labels = labelset.get("labels")
    if (labels is None) == (labelset.get("url") is None):
        sentences.append("must have either labels or a url")
    if labels is not None and len(labels) != labelset.get("count"):
        sentences.append(f"has {len(labels)} labels, not {labelset.get('count')}")
    return [f"labels {name}: {problem}" for problem in sentences]


def write(labelset: Mapping[str, Any], path: str, policy: Optional[download.Policy] = None,
          quiet: bool = False) -> None:
    """Write the labels file of a set.

    Parameters
    ----------
    labelset : dict
        A value of what ``load`` gives.
    path : str
    policy : download.Policy, optional
    quiet : bool

    Raises
    ------
    FetchError
        It cannot be fetched, or has another number of labels than it should.
    """
    lines = labelset.get("labels")
    if lines is None:
        lines = _fetched(labelset, path, policy, quiet)
    if len(lines) != labelset["count"]:
        raise FetchError(f"{path}: {len(lines)} labels were fetched instead of "
                         f"{labelset['count']}", path)
    write_bytes(path, ("\n".join(map(str, lines)) + "\n").encode("utf-8"))


def _fetched(labelset: Mapping[str, Any], path: str, policy: Optional[download.Policy],
             quiet: bool) -> List[str]:
    raw = path + ".raw"
    file = File("labels", os.path.basename(path), (labelset["url"],), (), labelset.get("size"), {})
    download.download(file, raw, policy, quiet)
    try:
        if labelset.get("member"):
            content = archives.read_member(raw, labelset["member"])
        else:
            with open(raw, "rb") as source:
                content = source.read()
    finally:
        os.remove(raw)
    lines = content.decode("utf-8", "replace").rstrip().splitlines()
    return _unnumbered(lines, path) if labelset.get("form") == "path" else lines


def _unnumbered(lines: Sequence[str], path: str) -> List[str]:
    """``/a/airfield 0`` -> ``airfield``; the numbers must be those of the lines."""
    labels = []
    for index, line in enumerate(lines):
        match = _NUMBERED.match(line.strip())
        if not match or int(match.group(2)) != index:
            raise FetchError(f"{path}: line {index + 1} does not end with {index}: {line!r}", path)
        labels.append(re.sub(r"^/\w/", "", match.group(1)))
    return labels
