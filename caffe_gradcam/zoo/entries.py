"""What is known of a model: the front matter of its readme.md."""

import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import hashes, links
from prototxt_tools.errors import ModelError

PROTOTXT = "deploy.prototxt"
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
_FILE_NAME = re.compile(r"\w[\w.+ ()-]*\Z")
_RESERVED = ("readme.md", "fetched.json", "labels.txt", "synset_words.txt")


@dataclass(frozen=True, eq=False)
class File:
    """A file that belongs to a model.

    Attributes
    ----------
    role : str
        "weights", "prototxt", "mean", "archive", or "gist": an archive without weights.
    name : str
        In the model's folder.
    urls : tuple of str
        Where it can be downloaded, the best first.
    elsewhere : tuple of str
        Where a person can get it.
    size : int or None
        In bytes.
    hashes : dict
        Kind (see ``hashes.DIGITS``) -> hexadecimal digits.
    converter : str
        The script of this project that makes the file, and its net, of what ``elsewhere`` gives;
        empty where that is the file itself.
    """

    role: str
    name: str
    urls: Tuple[str, ...] = ()
    elsewhere: Tuple[str, ...] = ()
    size: Optional[int] = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    converter: str = ""

    @property
    def is_fetchable(self) -> bool:
        """Whether an address gives the file itself, not a page for people."""
        return any(not links.is_page(url) for url in self.urls)


@dataclass(frozen=True, eq=False)
class Entry:
    """A model of the registry.

    Attributes
    ----------
    id : str
        The name of its folder.
    folder : str
        Of its readme.md.
    front : dict
        The whole front matter.
    files : tuple of File
    is_local : bool
        Whether the folder is the user's own, where the model's files are or belong.
    """

    id: str
    folder: str
    front: Dict[str, Any]
    files: Tuple[File, ...]
    is_local: bool = False

    @property
    def name(self) -> str:
        """The name for people."""
        return str(self.front.get("name") or self.id)

    @property
    def facts(self) -> Dict[str, Any]:
        """The section ``zoo`` of the front matter."""
        return self.front.get("zoo") or {}

    @property
    def names(self) -> List[str]:
        """All names that the model is known by."""
        return [self.id, self.name] + [str(alias) for alias in self.facts.get("aliases") or []]

    @property
    def license(self) -> Optional[str]:
        """The licence, as the front matter states it."""
        return self.front.get("license")

    @property
    def size(self) -> Optional[int]:
        """The bytes that a fetch downloads, as far as known; None where nothing is."""
        sizes = [file.size for file in self.files if file.size is not None]
        large = [file for file in self.files if file.role in ("weights", "archive")]
        return sum(sizes) if sizes and all(file.size is not None for file in large) else None

    @property
    def is_fetchable(self) -> bool:
        """Whether all that is needed has an address that gives files."""
        roles = {file.role for file in self.files if file.is_fetchable}
        has_net = "prototxt" in roles or "gist" in roles or self._has_local_prototxt()
        return "archive" in roles or ("weights" in roles and has_net)

    def _has_local_prototxt(self) -> bool:
        return self.is_local and any(
            name.endswith(".prototxt") for name in os.listdir(self.folder))

    def file(self, role: str) -> Optional[File]:
        """The file of a role, or None."""
        return next((file for file in self.files if file.role == role), None)


def read(folder: str, is_local: bool = False) -> Entry:
    """Read a model's entry.

    Parameters
    ----------
    folder : str
        Holds a readme.md with a front matter as in the BVLC Model Zoo.
    is_local : bool
        See ``Entry``.

    Raises
    ------
    ModelError
        The front matter cannot be read, names a file outside the folder, or has a malformed hash.
    """
    front = model_folder.read_front_matter(folder)
    path = os.path.join(folder, model_folder.README)
    facts = front.get("zoo")
    if facts is not None and not isinstance(facts, dict):
        raise ModelError(f"{path}: zoo must consist of `key: value` lines", path)
    files = []
    for role, section in _sections(front, facts or {}):
        try:
            files.append(_file(role, section))
        except ValueError as problem:
            raise ModelError(f"{path}: {role}: {problem}", path) from None
    name = os.path.basename(os.path.abspath(folder))
    return Entry(name, folder, front, tuple(files), is_local)


def _sections(front: Dict[Any, Any], facts: Dict[Any, Any]) -> Iterator[Tuple[str, Any]]:
    """Role and section of each file that is listed."""
    if facts.get("archive"):
        yield "archive", facts["archive"]
    elif front.get("caffemodel") or facts.get("weights"):
        weights = facts.get("weights")
        if isinstance(weights, dict) or weights is None:
            merged = {"name": front.get("caffemodel"), "url": front.get("caffemodel_url"),
                      "sha1": front.get("sha1")}
            merged.update(weights or {})
            weights = {key: value for key, value in merged.items() if value is not None}
        yield "weights", weights
    if facts.get("prototxt"):
        yield "prototxt", facts["prototxt"]
    elif front.get("gist_id") and not facts:
        yield "gist", {"url": links.gist(front["gist_id"])}
    if facts.get("mean"):
        yield "mean", facts["mean"]


def _file(role: str, section: Any) -> File:
    if not isinstance(section, dict):
        raise ValueError("must consist of `key: value` lines")
    addresses = [section.get("url")] + _list(section.get("mirrors"))
    urls = tuple(str(url) for url in addresses if url)
    for url in urls:
        if not re.match("https?://[^/]", url):
            raise ValueError(f"{url!r} is not an http or https address")
    size = section.get("size")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"size must be a number of bytes, not {size!r}")
    digests = {kind: str(section[kind]).strip().lower()
               for kind in hashes.DIGITS if section.get(kind)}
    for kind, digits in digests.items():
        problem = hashes.problem(kind, digits)
        if problem:
            raise ValueError(problem)
    name = checked_name(_name(role, section, urls))
    return File(role, name, urls, tuple(_list(section.get("elsewhere"))), size, digests,
                str(section.get("converter") or ""))


def _name(role: str, section: Dict[Any, Any], urls: Tuple[str, ...]) -> str:
    if role == "prototxt":
        return PROTOTXT
    if section.get("name"):
        return str(section["name"])
    last = urls[0].split("?")[0].rsplit("/", 1)[-1] if urls else ""
    if role in ("archive", "gist"):
        ending = next((end for end in _ARCHIVES if last.endswith(end)), ".zip")
        return role + ending
    return last


def checked_name(name: str) -> str:
    """A file's name; ValueError if it is none, or leads out of its folder."""
    if not _FILE_NAME.match(name) or ".." in name or name.lower() in _RESERVED:
        raise ValueError(f"{name!r} is not a plain file name")
    return name


def _list(value: Any) -> List[Any]:
    if value is None:
        return []
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]
