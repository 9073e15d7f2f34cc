"""A model of the registry as a folder that ``Model.load`` takes."""

import dataclasses
import os
import shutil
import sys

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import archives, cache, download, entries, hashes, labelsets, registry
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes
from prototxt_tools.text.document import Document

OFFLINE = "CAFFE_GRADCAM_OFFLINE"
_SPARE = 64 << 20
# Files of a model's folder that no archive may bring.
_OWN = (model_folder.README, cache.RECORD, cache.LOCK)
# What tells a file from any other where no hash is known.
_READERS = {"weights": weight_files.load, "prototxt": Document.load,
            "mean": model_folder.read_mean}
# Nobody waits long for labels.
_BRIEF = download.Policy(tries=2)


def place(entry):
    """The folder where a model's files lie or will lie."""
    if entry.is_local:
        return entry.folder
    return os.path.join(cache.home(), "models", entry.id)


def missing(entry):
    """The files of a model that a fetch would get.

    Returns
    -------
    list of File
    """
    folder = place(entry)
    return [file for file in entry.files if not _is_there(entry, folder, file)]


def is_ready(entry):
    """Whether every file is there, and was verified since it last changed."""
    if missing(entry):
        return False
    folder = place(entry)
    record = cache.Record(folder)
    return (entry.is_local and not entry.facts) or (_has_net(folder) and all(
        record.is_unchanged(file.name) for file in entry.files if not _is_absent(folder, file)))


def fetch(entry, offline=False, quiet=False, policy=None, say=None):
    """Get what is missing of a model, and verify what is there.

    Parameters
    ----------
    entry : Entry
    offline : bool
        Get nothing: what is missing is an error. ``CAFFE_GRADCAM_OFFLINE=1`` means the same.
    quiet : bool
        No progress bars.
    policy : download.Policy, optional
    say : callable, optional
        Gets sentences for the user; by default they go to stderr, unless ``quiet``.

    Returns
    -------
    str
        The folder.

    Raises
    ------
    InputError
        A file cannot be had, or is there and is not the one that is known.
    """
    offline = offline or os.environ.get(OFFLINE, "0") not in ("", "0")
    folder = place(entry)
    if offline and missing(entry):
        raise InputError(_not_there(entry, folder))
    if entry.is_local and not missing(entry):
        # A folder of the user's, or of an installed package, is not written to for nothing.
        _verify(entry, folder)
        return folder
    say = say or (_nowhere if quiet else _to_stderr)
    cache.make_folder(folder)
    with cache.locked(folder, say):
        _Fetch(entry, folder, offline, quiet, policy, say).run()
    return folder


def locate(name_or_path, offline=False, quiet=False):
    """The path that a user means: one that exists, or the folder of a model of that name.

    Parameters
    ----------
    name_or_path : str
    offline, quiet : bool
        See ``fetch``.

    Returns
    -------
    str
        A model folder or a prototxt, for ``Model.load``. The registry's own folder of a model
        counts as its name.

    Raises
    ------
    InputError
        There is no such path and no such model, or it cannot be fetched.
    """
    if _is_bare_entry(name_or_path):
        return _ready(entries.read(name_or_path), offline, quiet)
    if os.path.exists(name_or_path):
        return name_or_path
    is_path = os.path.dirname(name_or_path) or name_or_path.endswith((".prototxt", ".pt"))
    if is_path:
        raise InputError(f"{name_or_path}: no such model folder or prototxt")
    return _ready(registry.find(name_or_path), offline, quiet)


def _is_bare_entry(path):
    """Whether a folder is one of the registry's, without the model itself."""
    return (os.path.isfile(os.path.join(path, model_folder.README)) and not _has_net(path)
            and bool(model_folder.read_front_matter(path).get("zoo")))


def _ready(entry, offline, quiet):
    """The folder of a model, fetched if need be."""
    if not is_ready(entry):
        return fetch(entry, offline, quiet)
    if not entry.is_local:
        _add_readme(entry, place(entry))
    return place(entry)


def check(entry):
    """Compare a model's files with what is known of them.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of (str, str)
        File name and what is wrong with it, "" where all agrees; only files that are there.
    """
    folder, found = place(entry), []
    record = cache.Record(folder)
    for file in entry.files:
        path = os.path.join(folder, file.name)
        if os.path.isfile(path):
            found.append((file.name, hashes.mismatch(path, file.size, _known(file, record)) or ""))
    for name in sorted(record.names()):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and name not in [one for one, _ in found]:
            known = {"sha256": record.get(name)["sha256"]}
            found.append((name, hashes.mismatch(path, None, known) or ""))
    return found


class _Fetch:
    """One fetch into a folder that this process holds alone."""

    def __init__(self, entry, folder, offline, quiet, policy, say):
        self.entry, self.folder, self.offline, self.quiet = entry, folder, offline, quiet
        self.policy, self.say = policy, say
        self.record = cache.Record(folder)

    def run(self):
        for file in self.entry.files:
            if not _is_absent(self.folder, file):
                self.check(file)
        wanted = missing(self.entry)
        self.announce(wanted)
        for file in wanted:
            self.get(file)
        if not self.offline:
            self.get_labels()
        if not self.entry.is_local:
            _add_readme(self.entry, self.folder)

    def announce(self, wanted):
        """Say what comes, or at once that it cannot."""
        known = {file.role for file in self.entry.files}
        if not _has_net(self.folder) and not known & {"prototxt", "archive", "gist"}:
            raise InputError(f"{self.entry.id}: no address of its net is known; put a deploy.prototxt into {self.folder} "
                             "and try again")
        if not wanted:
            return
        unknown = [file for file in wanted if not file.urls
                   and _is_absent(self.folder, file)]
        if unknown:
            file = unknown[0]
            raise InputError(f"{self.entry.id}: no address of its {file.name} is known{download.by_hand(file, os.path.join(self.folder, file.name))}")
        known = sum(file.size or 0 for file in wanted)
        have = shutil.disk_usage(self.folder).free
        if known and known + _SPARE > have:
            raise InputError(f"{self.folder}: takes {size(known)}, but only {size(have)} are free; set {cache.HOME} to another disk")
        listed = ", ".join(f"{file.name} ({size(file.size)})" for file in wanted)
        self.say(f"fetching {listed} into {self.folder}")

    def get(self, file):
        path = os.path.join(self.folder, file.name)
        recorded = self.record.get(file.name).get("sha256")
        wanted = file
        if not file.hashes and recorded:
            wanted = dataclasses.replace(file, hashes={"sha256": recorded})
        elif not file.hashes:
            self.say(f"no hash of {file.name} is known: the SHA-256 of what comes now is kept, and holds "
                     "from then on")
        url = "by hand"
        if _is_absent(self.folder, file):
            reader = None if wanted.hashes else _READERS.get(file.role)
            url = download.download(wanted, path, self.policy, self.quiet, reader)
        digest = hashes.digests(path, ["sha256"])["sha256"]
        if file.role not in ("archive", "gist"):
            self.record.add(file.name, sha256=digest, url=url)
            return
        try:
            for name in archives.unpack(path, self.folder, _OWN):
                own = hashes.digests(os.path.join(self.folder, name), ["sha256"])["sha256"]
                self.record.add(name, sha256=own, archive=url)
            self.record.add(file.name, sha256=digest, url=url)
        finally:
            os.remove(path)

    def check(self, file):
        """A file that is there must be the one that is known."""
        if self.record.is_unchanged(file.name):
            return
        path = os.path.join(self.folder, file.name)
        _verify_file(path, file, self.record)
        self.record.add(file.name, sha256=hashes.digests(path, ["sha256"])["sha256"])

    def get_labels(self):
        """Labels are welcome, never needed: without them classes are numbers."""
        name = self.entry.facts.get("labels")
        known = labelsets.load(registry.shipped()).get(name) if name else None
        if known is None or model_folder.find_labels(self.folder):
            return
        try:
            path = os.path.join(self.folder, known["file"])
            labelsets.write(known, path, self.policy or _BRIEF, self.quiet)
        except InputError as error:
            self.say(f"without labels: {error}")


def size(count):
    """A number of bytes in words."""
    if count is None:
        return "size unknown"
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} GB"


def _verify(entry, folder):
    record = cache.Record(folder)
    for file in entry.files:
        if not _is_absent(folder, file):
            _verify_file(os.path.join(folder, file.name), file, record)


def _verify_file(path, file, record):
    wrong = hashes.mismatch(path, file.size, _known(file, record))
    if wrong:
        raise InputError(f"{path}: {wrong}; delete it to have it fetched")


def _known(file, record):
    if file.hashes:
        return file.hashes
    recorded = record.get(file.name).get("sha256")
    return {"sha256": recorded} if recorded else {}


def _is_absent(folder, file):
    return not os.path.isfile(os.path.join(folder, file.name))


def _is_there(entry, folder, file):
    if file.role == "archive":
        return _has_net(folder) and _has(folder, model_folder.WEIGHTS)
    if file.role == "gist" or (file.role == "prototxt" and entry.is_local):
        return _has_net(folder)
    return not _is_absent(folder, file)


def _has_net(folder):
    return _has(folder, (".prototxt", ".pt"))


def _has(folder, endings):
    return os.path.isdir(folder) and any(name.endswith(endings) for name in os.listdir(folder))


def _not_there(entry, folder):
    names = [file.name for file in missing(entry)]
    is_one = len(names) == 1
    return "{}: {} {} not there, and nothing is fetched offline; put {} into {}".format(
        entry.id, ", ".join(names), "is" if is_one else "are", "it" if is_one else "them", folder)


def _add_readme(entry, folder):
    """Model.load reads the readme.md beside the files; a newer one replaces an older."""
    with open(os.path.join(entry.folder, model_folder.README), "rb") as file:
        text = file.read()
    own = os.path.join(folder, model_folder.README)
    if os.path.isfile(own):
        with open(own, "rb") as file:
            if file.read() == text:
                return
    write_bytes(own, text)


def _to_stderr(sentence):
    print(f"caffe-gradcam: {sentence}", file=sys.stderr)


def _nowhere(sentence):
    pass
