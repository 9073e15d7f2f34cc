"""Where fetched models are kept, who may write there, and a record of each file."""

import contextlib
import errno
import json
import logging
import os
import sys
import time
from typing import IO, Any, Dict, Iterator, List, Optional

from caffe_gradcam.model import user_folder
from prototxt_tools.errors import FetchError
from prototxt_tools.files import parse_json, write_bytes

RECORD = "fetched.json"
LOCK = ".lock"
_POLL = 0.1
_REMEDY = f"set {user_folder.VARIABLE} to a folder that you may write to"

_logger = logging.getLogger(__name__)


def make_folder(path: str) -> None:
    """Make a folder and those above it; raises FetchError where that is impossible."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise FetchError(f"{path}: cannot be made: {error.strerror}; {_REMEDY}", path) from None


@contextlib.contextmanager
def locked(folder: str, timeout: Optional[float] = None) -> Iterator[None]:
    """Lock a folder against all other processes; the system unlocks it where one is killed.

    Parameters
    ----------
    folder : str
        Exists.
    timeout : float, optional
        Seconds to wait for another process; without it, as long as that takes.

    Raises
    ------
    FetchError
        The folder cannot be written, or another process kept it locked for too long.
    """
    path = os.path.join(folder, LOCK)
    try:
        file = open(path, "a+b")
    except OSError as error:
        raise FetchError(f"{path}: cannot be written: {error.strerror}; {_REMEDY}", path) from None
    with file:
        _wait(file, folder, timeout)
        try:
            yield
        finally:
            _lock(file, False)


def _wait(file: IO[bytes], folder: str, timeout: Optional[float]) -> None:
    start, is_announced = time.time(), False
    while not _lock(file, True):
        if not is_announced:
            _logger.info("another process is fetching into %s; waiting for it", folder)
            is_announced = True
        if timeout is not None and time.time() - start > timeout:
            raise FetchError(f"{folder}: another process kept it locked for more than "
                             f"{timeout:g} seconds", folder)
        time.sleep(_POLL)


def _lock(file: IO[bytes], take: bool) -> bool:
    """Lock or unlock; whether that worked."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK if take else msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if take else fcntl.LOCK_UN)
    except OSError as error:
        # A file system without locks, as on some clusters: better unguarded than not at all.
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


class Record:
    """The fetched files of a folder: their sizes, times, SHA-256, and where they are from.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, RECORD)
        try:
            with open(self._path, encoding="utf-8") as file:
                files = parse_json(file.read())["files"]
        except (OSError, ValueError, KeyError, TypeError):
            files = {}
        self._files: Dict[str, Any] = files if isinstance(files, dict) else {}

    def names(self) -> List[str]:
        """The files whose SHA-256 is recorded."""
        return [name for name in self._files if "sha256" in self.get(name)]

    def get(self, name: str) -> Dict[str, Any]:
        """The record of a file, or an empty dict."""
        entry = self._files.get(name)
        return entry if isinstance(entry, dict) else {}

    def is_unchanged(self, name: str) -> bool:
        """Whether a file was checked and not written to since."""
        stamp = self._stamp(name)
        return stamp is not None and self.get(name).get("stamp") == stamp

    def add(self, name: str, **facts: str) -> None:
        """Record a checked file."""
        self._files[name] = dict(self.get(name), stamp=self._stamp(name), **facts)
        text = json.dumps({"files": self._files}, indent=1, sort_keys=True) + "\n"
        write_bytes(self._path, text.encode("utf-8"))

    def _stamp(self, name: str) -> Optional[List[int]]:
        try:
            status = os.stat(os.path.join(self._folder, name))
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]
