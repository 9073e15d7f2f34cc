"""Two runs on one output refuse each other, unless they make different parts.

The kernel frees these locks however a process ends, so a dead process blocks nothing; they work on
local disks and on NFS. Behind a URL, leases take their place.
"""

import errno
import fcntl
import os
import threading
from contextlib import contextmanager
from typing import Dict, Iterator, Set, Tuple

from caffe_gradcam.batch.output import lease
from caffe_gradcam.batch.output.lease import Claim
from caffe_gradcam.batch.storage import Folder, reason
from prototxt_tools.errors import InputError

# Byte n of the first stands for part n.
PARTS, MANIFEST = ".lock-parts", ".lock-manifest"

_guard = threading.Lock()
# The kernel's locks belong to a process, and closing a file releases all locks that the process has
# on it: so a file is opened once, and what its runs hold is kept here. path -> (handle, spans)
_held: Dict[str, Tuple[int, Set[Tuple[int, int]]]] = {}
_one_at_a_time = threading.Lock()


@contextmanager
def parts(folder: Folder, numbers: range, elsewhere: bool = False) -> Iterator[Claim]:
    """Hold some parts of an output.

    Parameters
    ----------
    folder : LocalFolder or UrlFolder
    numbers : range
        With steps of 1.
    elsewhere : bool
        Whether other machines write for this run.

    Yields
    ------
    Claim
        Checked before a part is written.

    Raises
    ------
    InputError
        Another run holds some of them, or the file system has no locks.
    """
    if not numbers:
        yield Claim(folder.path)
        return
    if not folder.locks:
        with lease.hold(folder, "parts", numbers) as claim:
            yield claim
        return
    path = os.path.realpath(folder.locate(PARTS))
    with _guard:
        handle = _hold(path, numbers.start, numbers.stop)
    try:
        with lease.note_beside_lock(folder, "parts", numbers, elsewhere) as claim:
            yield claim
    finally:
        with _guard:
            _release(path, handle, numbers.start, numbers.stop)


@contextmanager
def manifest(folder: Folder) -> Iterator[Claim]:
    """Wait for, then hold, the right to write the manifest, which belongs to all runs."""
    if not folder.locks:
        with lease.hold(folder, "manifest", range(1), patience=2 * lease.STALE) as claim:
            yield claim
        return
    path = folder.locate(MANIFEST)
    with _one_at_a_time:
        handle = _open(path)
        try:
            _lock(handle, fcntl.LOCK_EX, 0, 0, path)
            yield Claim(folder.path)
        finally:
            os.close(handle)


def _hold(path: str, first: int, end: int) -> int:
    handle, spans = _held.get(path) or (_open(path), set())
    try:
        if any(first < last and start < end for start, last in spans):
            raise _refusal(path)
        _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, end - first, first, path)
    except InputError:
        if not spans:
            os.close(handle)
        raise
    spans.add((first, end))
    _held[path] = handle, spans
    return handle


def _release(path: str, handle: int, first: int, end: int) -> None:
    spans = _held[path][1]
    spans.discard((first, end))
    fcntl.lockf(handle, fcntl.LOCK_UN, end - first, first)
    if not spans:
        os.close(handle)
        del _held[path]


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {reason(error)}", path) from None


def _lock(handle: int, mode: int, length: int, start: int, path: str) -> None:
    try:
        fcntl.lockf(handle, mode, length, start)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise _refusal(path) from None
        raise InputError(f"{path}: cannot be locked: {reason(error)}; put the output on another "
                         "file system", path) from None


def _refusal(path: str) -> InputError:
    folder = os.path.dirname(path)
    return InputError(f"{folder}: another run is working on these parts; wait for it or stop it, "
                      "or divide the parts with --worker", folder)
