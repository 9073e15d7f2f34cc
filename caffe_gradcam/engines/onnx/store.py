"""Graphs on disk, so that a net that was run before need not be translated again.

Nothing depends on the folder: it may be deleted or read-only, and what is not as it was written is
made anew.
"""

import contextlib
import hashlib
import os
import time
from typing import List, Optional, Tuple

from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

# Bytes of all files, and of one of them.
MOST, MOST_EACH = 512 << 20, 128 << 20
_DIGEST = hashlib.sha256().digest_size


class Store:
    """Files by key in a folder; where there are too many, those go that were read longest ago.

    Parameters
    ----------
    folder : str
    most, most_each : int
        Bytes of all files, and of one.
    """

    def __init__(self, folder: str, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._folder, self._most, self._most_each = folder, most, most_each

    def get(self, key: str) -> Optional[bytes]:
        """What was put there under a key, if a file holds it unchanged and is this user's."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size > self._most_each or not _is_ours(status):
                    return None
                data = file.read()
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        if digest != _digest(key, content):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep it under a key, unless it is too large or the folder cannot be written."""
        if len(content) + _DIGEST > self._most_each:
            return
        with contextlib.suppress(OSError, InputError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            write_bytes(self._path(key), _digest(key, content) + content)
            self._make_room()

    def _path(self, key: str) -> str:
        return os.path.join(self._folder, hashlib.sha256(key.encode()).hexdigest())

    def _make_room(self) -> None:
        files: List[Tuple[float, int, str]] = []
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            with contextlib.suppress(OSError):  # Another process may have removed it.
                status = os.stat(path)
                files.append((min(status.st_mtime, time.time()), status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most:
                return
            with contextlib.suppress(OSError):
                os.remove(path)
            total -= size


def _digest(key: str, content: bytes) -> bytes:
    """Of the key too, so that a file under another's name is noticed."""
    digest = hashlib.sha256(key.encode() + b"\0")
    digest.update(content)
    return digest.digest()


def _is_ours(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()
