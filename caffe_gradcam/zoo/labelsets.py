"""The orders of classes that several public models share, as labels files."""

import os
import re

from caffe_gradcam.zoo import archives, download
from caffe_gradcam.zoo.entries import File
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

FILE = "labels.yaml"
_FORMS = ("words", "path")
_NUMBERED = re.compile(r"(.*\S)\s+(\d+)$")


def load(folder):
    """The sets of a registry's ``labels.yaml``: name -> what is known of it."""
    import yaml

    with open(os.path.join(folder, FILE), encoding="utf-8") as file:
        return yaml.safe_load(file)


def problems(name, known):
    """What does not fit together in a set; an empty list for a good one."""
    found = []
    if known.get("form", "words") not in _FORMS:
        found.append("no form {!r}".format(known["form"]))
    if not known.get("source"):
        found.append("says nowhere where it was read")
    labels = known.get("labels")
    if (labels is None) == (known.get("url") is None):
        found.append("wants either labels or a url")
    if labels is not None and len(labels) != known.get("count"):
        found.append("has {} labels, not {}".format(len(labels), known.get("count")))
    return [f"labels {name}: {one}" for one in found]


def write(known, path, policy=None, quiet=False):
    """Write the labels file of a set.

    Parameters
    ----------
    known : dict
        Of ``load``.
    path : str
    policy : download.Policy, optional
    quiet : bool

    Raises
    ------
    InputError
        It cannot be fetched, or is not what is known of it.
    """
    lines = known.get("labels")
    if lines is None:
        lines = _fetched(known, path, policy, quiet)
    if len(lines) != known["count"]:
        raise InputError("{}: {} labels came instead of {}".format(path, len(lines),
                                                                    known["count"]))
    write_bytes(path, ("\n".join(map(str, lines)) + "\n").encode("utf-8"))


def _fetched(known, path, policy, quiet):
    raw = path + ".raw"
    file = File("labels", os.path.basename(path), (known["url"],), (), known.get("size"), {})
    download.download(file, raw, policy, quiet)
    try:
        if known.get("member"):
            content = archives.read_member(raw, known["member"])
        else:
            with open(raw, "rb") as source:
                content = source.read()
    finally:
        os.remove(raw)
    lines = content.decode("utf-8", "replace").rstrip().splitlines()
    return _unnumbered(lines, path) if known.get("form") == "path" else lines


def _unnumbered(lines, path):
    """``/a/airfield 0`` -> ``airfield``; the numbers must be those of the lines."""
    labels = []
    for index, line in enumerate(lines):
        match = _NUMBERED.match(line.strip())
        if not match or int(match.group(2)) != index:
            raise InputError(f"{path}: line {index + 1} does not end with {index}: {line!r}")
        labels.append(re.sub(r"^/\w/", "", match.group(1)))
    return labels
