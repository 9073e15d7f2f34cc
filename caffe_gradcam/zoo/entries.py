"""What is known of a model: the front matter of its readme.md, read and checked."""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import hashes, links
from prototxt_tools.errors import InputError

PROTOTXT = "deploy.prototxt"
TASKS = ("classification", "scenes", "multi-label", "age", "gender", "faces", "segmentation")
FORMS = ("V0", "V1", "V2", "mixed")
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
_FILE_NAME = re.compile(r"\w[\w.+ ()-]*\Z")
_OURS = ("readme.md", "fetched.json", "labels.txt", "synset_words.txt")
_FILE_KEYS = ("name", "url", "mirrors", "elsewhere", "size") + tuple(hashes.DIGITS)
_KEYS = ("architecture", "task", "about", "classes", "aliases", "weights", "archive", "prototxt",
         "mean", "labels", "stated", "net", "needs", "accuracy", "sources")


class File(NamedTuple):
    """A file that belongs to a model.

    Attributes
    ----------
    role : str
        "weights", "prototxt", "mean", "archive", or "gist": an archive without weights.
    name : str
        In the model's folder.
    urls : tuple of str
        Where it can be had, the best first.
    elsewhere : tuple of str
        Where a person can get it.
    size : int or None
        In bytes.
    hashes : dict
        Kind (see ``hashes.DIGITS``) -> hexadecimal digits.
    """

    role: str
    name: str
    urls: Tuple[str, ...] = ()
    elsewhere: Tuple[str, ...] = ()
    size: Optional[int] = None
    hashes: Dict[str, str] = {}

    @property
    def is_fetchable(self):
        """Whether an address gives the file itself, not a page for people."""
        return any(not links.is_page(url) for url in self.urls)


class Entry(NamedTuple):
    """A model of the registry.

    Attributes
    ----------
    id : str
        The name of its folder.
    folder : str
        Where its readme.md lies.
    front : dict
        The whole front matter.
    files : list of File
    is_local : bool
        Whether the folder is the user's own, where the model's files lie or belong.
    """

    id: str
    folder: str
    front: Dict[str, Any]
    files: List[File]
    is_local: bool = False

    @property
    def name(self):
        return str(self.front.get("name") or self.id)

    @property
    def facts(self):
        """The section ``zoo`` of the front matter."""
        return self.front.get("zoo") or {}

    @property
    def names(self):
        """All names that the model is known by."""
        return [self.id, self.name] + [str(one) for one in self.facts.get("aliases") or []]

    @property
    def license(self):
        return self.front.get("license")

    @property
    def size(self):
        """What a fetch takes, in bytes, as far as it is known; None where nothing is."""
        sizes = [file.size for file in self.files if file.size is not None]
        big = [file for file in self.files if file.role in ("weights", "archive")]
        return sum(sizes) if sizes and all(file.size is not None for file in big) else None

    @property
    def is_fetchable(self):
        """Whether all that is needed has an address that gives files."""
        roles = {file.role for file in self.files if file.is_fetchable}
        has_net = "prototxt" in roles or "gist" in roles or self._has_own_prototxt()
        return "archive" in roles or ("weights" in roles and has_net)

    def _has_own_prototxt(self):
        return self.is_local and any(
            name.endswith(".prototxt") for name in os.listdir(self.folder))

    def file(self, role):
        """The file of a role, or None."""
        return next((file for file in self.files if file.role == role), None)


def read(folder, is_local=False):
    """Read a model's entry.

    Parameters
    ----------
    folder : str
        Holds a readme.md with a front matter as in the BVLC Model Zoo.
    is_local : bool
        See ``Entry``.

    Returns
    -------
    Entry

    Raises
    ------
    InputError
        The front matter cannot be read, or names a file outside the folder, or a hash is none.
    """
    front = model_folder.read_front_matter(folder)
    place = os.path.join(folder, model_folder.README)
    facts = front.get("zoo")
    if facts is not None and not isinstance(facts, dict):
        raise InputError(f"{place}: zoo wants lines of `key: value`")
    files = []
    for role, said in _sections(front, facts or {}):
        try:
            files.append(_file(role, said))
        except ValueError as problem:
            raise InputError(f"{place}: {role}: {problem}") from None
    name = os.path.basename(os.path.abspath(folder))
    return Entry(name, folder, front, files, is_local)


def _sections(front, facts):
    """Role and front matter of each file that is known of."""
    if facts.get("archive"):
        yield "archive", facts["archive"]
    elif front.get("caffemodel") or facts.get("weights"):
        own = {"name": front.get("caffemodel"), "url": front.get("caffemodel_url"),
               "sha1": front.get("sha1")}
        said = facts.get("weights")
        if isinstance(said, dict) or said is None:
            own.update(said or {})
            said = {key: value for key, value in own.items() if value is not None}
        yield "weights", said
    if facts.get("prototxt"):
        yield "prototxt", facts["prototxt"]
    elif front.get("gist_id") and not facts:
        yield "gist", {"url": links.gist(front["gist_id"])}
    if facts.get("mean"):
        yield "mean", facts["mean"]


def _file(role, said):
    if not isinstance(said, dict):
        raise ValueError("wants lines of `key: value`")
    urls = [said.get("url")] + _list(said.get("mirrors"))
    urls = tuple(str(url) for url in urls if url)
    for url in urls:
        if not re.match("https?://[^/]", url):
            raise ValueError(f"{url!r} is no http or https address")
    size = said.get("size")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"size wants a number of bytes, not {size!r}")
    known = {kind: str(said[kind]).strip().lower() for kind in hashes.DIGITS if said.get(kind)}
    for kind, digits in known.items():
        wrong = hashes.problem(kind, digits)
        if wrong:
            raise ValueError(wrong)
    name = checked_name(_name(role, said, urls))
    return File(role, name, urls, tuple(_list(said.get("elsewhere"))), size, known)


def _name(role, said, urls):
    if role == "prototxt":
        return PROTOTXT
    if said.get("name"):
        return str(said["name"])
    last = urls[0].split("?")[0].rsplit("/", 1)[-1] if urls else ""
    if role in ("archive", "gist"):
        ending = next((end for end in _ARCHIVES if last.endswith(end)), ".zip")
        return role + ending
    return last


def checked_name(name):
    """A file's name; ValueError if it is none, or leads out of its folder."""
    if not _FILE_NAME.match(name) or ".." in name or name.lower() in _OURS:
        raise ValueError(f"{name!r} is no plain file name")
    return name


def _list(value):
    return [] if value is None else [str(one) for one in value] if isinstance(value, list) else [
        str(value)]


def problems(entry):
    """What does not fit together in a registry's entry.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of str
        Sentences; empty for a good entry.
    """
    facts, found = entry.facts, []
    unknown = sorted(set(facts) - set(_KEYS))
    if unknown:
        found.append(f"unknown key zoo.{unknown[0]}")
    for role in ("weights", "archive", "prototxt", "mean"):
        said = facts.get(role)
        for key in sorted(set(said) - set(_FILE_KEYS)) if isinstance(said, dict) else ():
            found.append(f"unknown key zoo.{role}.{key}")
    if facts.get("task") not in TASKS:
        found.append("no task {!r}; say {}".format(facts.get("task"), ", ".join(TASKS)))
    if not facts.get("sources"):
        found.append("zoo.sources says nowhere where the facts were read")
    weights = entry.file("weights") or entry.file("archive")
    if weights is None or not (weights.urls or weights.hashes):
        found.append("neither an address nor a hash of its weights is known")
    return found + _net_problems(entry) + _geometry_problems(entry)


def _net_problems(entry):
    net, given, found = entry.facts.get("net") or {}, entry.front.get("gradcam") or {}, []
    if not net:
        if given.get("score") or given.get("target"):
            found.append("names blobs, but nothing is known of its net")
        return found
    if net.get("form") not in FORMS:
        found.append("no form {!r}; say {}".format(net.get("form"), ", ".join(FORMS)))
    layers = net.get("layers") or {}
    if not layers or not all(isinstance(count, int) and count > 0 for count in layers.values()):
        found.append("zoo.net.layers wants the number of layers of each type")
    if net.get("softmax") and not any(name.lower() == "softmax" for name in layers):
        found.append("names the Softmax blob {}, but has no Softmax".format(net["softmax"]))
    for field in ("score", "target"):
        if given.get(field) and given[field] in (net.get("softmax"), net.get("input")):
            found.append(f"{field} {given[field]} is the net's input or its Softmax")
    outputs = net.get("outputs") or []
    if not net.get("softmax") and len(outputs) == 1 and given.get("score") not in (
            None, outputs[0]) and not _is_judged(layers):
        found.append("score {} is not the net's output {}".format(given["score"], outputs[0]))
    foreign = [need for need in entry.facts.get("needs") or [] if need.startswith("layer type ")]
    for need in foreign:
        if need[len("layer type "):] not in layers:
            found.append(f"needs {need}, which its net does not have")
    return found


def _is_judged(layers):
    return any(name in ("Sigmoid", "EuclideanLoss", "Accuracy", "ArgMax") for name in layers)


def _geometry_problems(entry):
    given = (entry.front.get("gradcam") or {}).get("input") or {}
    shape = (entry.facts.get("net") or {}).get("shape")
    found = []
    end = given.get("crop") or given.get("resize")
    if shape and isinstance(end, list) and list(end) != list(shape[2:]):
        found.append(f"pictures end as {end}, but the net's input is {shape[2:]}")
    mean = given.get("mean")
    if shape and isinstance(mean, list) and len(mean) not in (1, shape[1]):
        found.append(f"the mean has {len(mean)} numbers for {shape[1]} channels")
    if isinstance(mean, str) and mean != "none":
        file = entry.file("mean")
        if file is None or file.name != mean:
            found.append(f"the mean file {mean} has no address")
    return found
