"""Where fetched models lie, who may write there, and what is known of each file."""

import contextlib
import errno
import json
import os
import sys
import time

from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

HOME = "CAFFE_GRADCAM_HOME"
RECORD = "fetched.json"
LOCK = ".lock"
_POLL = 0.1


def home():
    """The folder of everything this program keeps for a user.

    ``CAFFE_GRADCAM_HOME``, else the platform's place for caches.
    """
    if os.environ.get(HOME):
        return os.path.abspath(os.path.expanduser(os.environ[HOME]))
    if sys.platform == "darwin":
        caches = os.path.expanduser("~/Library/Caches")
    elif os.name == "nt":
        caches = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    else:
        # The XDG specification tells to pass over relative paths.
        caches = os.environ.get("XDG_CACHE_HOME", "")
        caches = caches if os.path.isabs(caches) else os.path.expanduser("~/.cache")
    return os.path.join(caches, "caffe-gradcam")


def make_folder(path):
    """Make a folder and those above it; raises InputError where that is impossible."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}; set {HOME} to a folder you may write to") from None


@contextlib.contextmanager
def locked(folder, say=None, timeout=None):
    """Hold a folder alone among all processes; the system lets go where one is killed.

    Parameters
    ----------
    folder : str
        Exists.
    say : callable, optional
        Gets a sentence where another process has to be waited for.
    timeout : float, optional
        Seconds to wait; for ever if it is not given.

    Raises
    ------
    InputError
        The folder cannot be written, or another process held it for too long.
    """
    path = os.path.join(folder, LOCK)
    try:
        file = open(path, "a+b")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; set {HOME} to a folder you may write to") from None
    with file:
        _wait(file, folder, say, timeout)
        try:
            yield
        finally:
            _lock(file, False)


def _wait(file, folder, say, timeout):
    begun, told = time.time(), False
    while not _lock(file, True):
        if say and not told:
            say(f"another process is fetching into {folder}; waiting for it")
            told = True
        if timeout is not None and time.time() - begun > timeout:
            raise InputError(f"{folder}: another process held it for more than {timeout:g} seconds")
        time.sleep(_POLL)


def _lock(file, take):
    """Take or let go of the lock; whether that worked."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK if take else msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if take else fcntl.LOCK_UN)
    except OSError as error:
        # A file system without locks, as some of clusters: better unguarded than not at all.
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


class Record:
    """What is known of the fetched files of a folder: size, time, SHA-256, where they are from.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder):
        self._folder = folder
        self._path = os.path.join(folder, RECORD)
        try:
            with open(self._path, encoding="utf-8") as file:
                self._files = json.load(file)["files"]
        except (OSError, ValueError, KeyError, TypeError):
            self._files = {}

    def names(self):
        """The files that are known."""
        return [name for name in self._files if "sha256" in self.get(name)]

    def get(self, name):
        """What is known of a file, or an empty dict."""
        said = self._files.get(name) if isinstance(self._files, dict) else None
        return said if isinstance(said, dict) else {}

    def is_unchanged(self, name):
        """Whether a file was checked and not written to since."""
        said, stamp = self.get(name), self._stamp(name)
        return stamp is not None and said.get("stamp") == stamp

    def add(self, name, **known):
        """Note a checked file."""
        self._files[name] = dict(self.get(name), stamp=self._stamp(name), **known)
        text = json.dumps({"files": self._files}, indent=1, sort_keys=True) + "\n"
        write_bytes(self._path, text.encode("utf-8"))

    def _stamp(self, name):
        try:
            status = os.stat(os.path.join(self._folder, name))
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]
