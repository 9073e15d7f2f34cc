"""A model of the registry as a folder that ``Model.load`` takes."""

import dataclasses
import logging
import os
import shutil
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from caffe_gradcam.model import archives, means, user_folder
from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import cache, download, hashes, labelsets, registry
from caffe_gradcam.zoo.entries import Entry, File
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import FetchError, InputError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

OFFLINE = "CAFFE_GRADCAM_OFFLINE"
_SPARE = 64 << 20
# Files of a model's folder that no archive may bring.
_RESERVED = (model_folder.README, cache.RECORD, cache.LOCK, registry.LINK)
# What tells a file from any other where no hash is known.
_READERS: Dict[str, Callable[[str], Any]] = {
    "weights": weight_files.load, "prototxt": Document.load, "mean": means.read}
# Nobody waits long for labels.
_BRIEF = download.Policy(tries=2)

_logger = logging.getLogger(__name__)


def folder_of(entry: Entry) -> str:
    """The folder where a model's files are, or will be."""
    if entry.is_local:
        return entry.folder
    return os.path.join(user_folder.path(), "models", entry.id)


def missing(entry: Entry) -> List[File]:
    """The files of a model that a fetch would download."""
    folder = folder_of(entry)
    return [file for file in entry.files if not _is_available(entry, folder, file)]


def is_ready(entry: Entry) -> bool:
    """Whether every file is there, and was verified since it last changed."""
    if missing(entry):
        return False
    folder = folder_of(entry)
    record = cache.Record(folder)
    return (entry.is_local and not entry.facts) or (model_folder.has_net(folder) and all(
        record.is_unchanged(file.name) for file in entry.files if not _is_absent(folder, file)))


def fetch(entry: Entry, offline: bool = False, quiet: bool = False,
          policy: Optional[download.Policy] = None) -> str:
    """Download what is missing of a model, and verify what is there.

    Parameters
    ----------
    entry : Entry
    offline : bool
        Download nothing: what is missing is an error. ``CAFFE_GRADCAM_OFFLINE=1`` means the same.
    quiet : bool
        No progress bars.
    policy : download.Policy, optional

    Returns
    -------
    str
        The folder.

    Raises
    ------
    FetchError
        A file cannot be fetched, or is there and differs from the one that the entry describes.
    """
    offline = offline or os.environ.get(OFFLINE, "0") not in ("", "0")
    folder = folder_of(entry)
    if offline and missing(entry):
        raise FetchError(_offline_problem(entry, folder), entry.id)
    if entry.is_local and not missing(entry):
        # A folder of the user's, or of an installed package, is not written to for nothing.
        _verify(entry, folder)
        return folder
    cache.make_folder(folder)
    with cache.locked(folder):
        _Fetch(entry, folder, offline, quiet, policy).run()
    return folder


def ready(entry: Entry, offline: bool, quiet: bool) -> str:
    """The folder of a model, fetched if need be; parameters and errors as of :func:`fetch`."""
    if not is_ready(entry):
        return fetch(entry, offline, quiet)
    if not entry.is_local:
        _add_readme(entry, folder_of(entry))
    return folder_of(entry)


def check(entry: Entry) -> List[Tuple[str, str]]:
    """Compare a model's files with their description in the entry.

    Returns
    -------
    list of (str, str)
        File name and how it differs, "" where all agrees; only files that are there.
    """
    folder = folder_of(entry)
    record = cache.Record(folder)
    differences: Dict[str, str] = {}
    for file in entry.files:
        path = os.path.join(folder, file.name)
        if os.path.isfile(path):
            differences[file.name] = hashes.mismatch(
                path, file.size, _expected(file, record)) or ""
    for name in sorted(record.names()):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and name not in differences:
            expected = {"sha256": record.get(name)["sha256"]}
            differences[name] = hashes.mismatch(path, None, expected) or ""
    return list(differences.items())


class _Fetch:
    """One fetch into a folder that this process has locked."""

    def __init__(self, entry: Entry, folder: str, offline: bool, quiet: bool,
                 policy: Optional[download.Policy]) -> None:
        self.entry, self.folder, self.offline, self.quiet = entry, folder, offline, quiet
        self.policy = policy
        self.record = cache.Record(folder)

    def run(self) -> None:
        for file in self.entry.files:
            if not _is_absent(self.folder, file):
                self.check(file)
        files = missing(self.entry)
        self.announce(files)
        for file in files:
            self.get(file)
        if not self.offline:
            self.get_labels()
        if not self.entry.is_local:
            _add_readme(self.entry, self.folder)

    def announce(self, files: Sequence[File]) -> None:
        """Tell what will be downloaded, or at once that it cannot be."""
        roles = {file.role for file in self.entry.files}
        is_made = any(file.converter for file in self.entry.files)
        if not (is_made or roles & {"prototxt", "archive", "gist"}
                or model_folder.has_net(self.folder)):
            raise FetchError(f"{self.entry.id}: no address of its net is known; put a "
                             f"deploy.prototxt into {self.folder} and try again", self.entry.id)
        if not files:
            return
        for file in files:
            if not file.urls and _is_absent(self.folder, file):
                advice = download.by_hand(file, os.path.join(self.folder, file.name))
                raise FetchError(f"{self.entry.id}: no address of its {file.name} is known{advice}",
                                 self.entry.id)
        needed = sum(file.size or 0 for file in files)
        free = shutil.disk_usage(self.folder).free
        if needed and needed + _SPARE > free:
            raise FetchError(f"{self.folder}: {size(needed)} are needed, but only {size(free)} are "
                             f"free; set {user_folder.VARIABLE} to another disk", self.folder)
        names = ", ".join(f"{file.name} ({size(file.size)})" for file in files)
        _logger.info("fetching %s into %s", names, self.folder)

    def get(self, file: File) -> None:
        path = os.path.join(self.folder, file.name)
        recorded = self.record.get(file.name).get("sha256")
        if not file.hashes and recorded:
            file = dataclasses.replace(file, hashes={"sha256": recorded})
        elif not file.hashes:
            _logger.info("no hash of %s is known: the SHA-256 of what is fetched now is kept, and "
                         "is required from then on", file.name)
        url = "by hand"
        if _is_absent(self.folder, file):
            reader = None if file.hashes else _READERS.get(file.role)
            url = download.download(file, path, self.policy, self.quiet, reader)
        digest = hashes.digests(path, ["sha256"])["sha256"]
        if file.role not in ("archive", "gist"):
            self.record.add(file.name, sha256=digest, url=url)
            return
        try:
            for name in archives.unpack(path, self.folder, _RESERVED):
                member = hashes.digests(os.path.join(self.folder, name), ["sha256"])["sha256"]
                self.record.add(name, sha256=member, archive=url)
            self.record.add(file.name, sha256=digest, url=url)
        finally:
            os.remove(path)

    def check(self, file: File) -> None:
        """Verify a file that is there already."""
        if self.record.is_unchanged(file.name):
            return
        path = os.path.join(self.folder, file.name)
        _verify_file(path, file, self.record)
        self.record.add(file.name, sha256=hashes.digests(path, ["sha256"])["sha256"])

    def get_labels(self) -> None:
        """Labels are welcome, never needed: without them classes are numbers."""
        name = self.entry.facts.get("labels")
        labelset = labelsets.load(registry.shipped()).get(name) if name else None
        if labelset is None or model_folder.find_labels(self.folder):
            return
        try:
            path = os.path.join(self.folder, labelset["file"])
            labelsets.write(labelset, path, self.policy or _BRIEF, self.quiet)
        except InputError as error:
            _logger.warning("without labels: %s", error)


def size(count: Optional[float]) -> str:
    """A number of bytes in words."""
    if count is None:
        return "size unknown"
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} GB"


def _verify(entry: Entry, folder: str) -> None:
    record = cache.Record(folder)
    for file in entry.files:
        if not _is_absent(folder, file):
            _verify_file(os.path.join(folder, file.name), file, record)


def _verify_file(path: str, file: File, record: cache.Record) -> None:
    difference = hashes.mismatch(path, file.size, _expected(file, record))
    if difference:
        raise FetchError(f"{path}: {difference}; delete it so that it is fetched again", path)


def _expected(file: File, record: cache.Record) -> Mapping[str, str]:
    """The hashes that a file must have."""
    if file.hashes:
        return file.hashes
    recorded = record.get(file.name).get("sha256")
    return {"sha256": recorded} if recorded else {}


def _is_absent(folder: str, file: File) -> bool:
    return not os.path.isfile(os.path.join(folder, file.name))


def _is_available(entry: Entry, folder: str, file: File) -> bool:
    if file.role == "archive":
        return model_folder.has_net(folder) and _has(folder, model_folder.WEIGHTS)
    if file.role == "gist" or (file.role == "prototxt" and entry.is_local):
        return model_folder.has_net(folder)
    return not _is_absent(folder, file)


def _has(folder: str, endings: Tuple[str, ...]) -> bool:
    return os.path.isdir(folder) and any(name.endswith(endings) for name in os.listdir(folder))


def _offline_problem(entry: Entry, folder: str) -> str:
    names = [file.name for file in missing(entry)]
    verb, pronoun = ("is", "it") if len(names) == 1 else ("are", "them")
    return (f"{entry.id}: {', '.join(names)} {verb} missing, and nothing is fetched offline; "
            f"put {pronoun} into {folder}")


def _add_readme(entry: Entry, folder: str) -> None:
    """Model.load reads the readme.md beside the files; a newer one replaces an older."""
    with open(os.path.join(entry.folder, model_folder.README), "rb") as file:
        text = file.read()
    path = os.path.join(folder, model_folder.README)
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read() == text:
                return
    write_bytes(path, text)
