"""Two runs on one output refuse each other, unless they have different shards.

The kernel frees these locks when a process ends in whatever way, so that of a dead process stands
in nobody's way; they hold on local disks and on NFS. Behind a URL leases do their work.
"""

import errno
import fcntl
import os
import threading
from contextlib import contextmanager

from caffe_gradcam.batch.output import lease
from caffe_gradcam.batch.storage import reason
from prototxt_tools.errors import InputError

# Byte n of the first stands for shard n.
SHARDS, MANIFEST = ".lock-shards", ".lock-manifest"

_guard = threading.Lock()
# The kernel's locks are a process's, and closing a file loses all that the process has on it: so
# a file is open once, and what its runs hold is noted here. path -> [handle, spans]
_held = {}
_one_at_a_time = threading.Lock()


@contextmanager
def shards(folder, first, end):
    """Hold the shards of an output from ``first`` to before ``end``.

    Raises
    ------
    InputError
        Another run holds some of them, or the file system has no locks.
    """
    if first == end:
        yield
        return
    if not folder.locks:
        with lease.hold(folder, "shards", first, end):
            yield
        return
    path = os.path.realpath(folder.place(SHARDS))
    with _guard:
        handle = _hold(path, first, end)
    try:
        yield
    finally:
        with _guard:
            _release(path, handle, first, end)


@contextmanager
def manifest(folder):
    """Wait until no other run is about to write what belongs to all, and hold that right."""
    if not folder.locks:
        with lease.hold(folder, "manifest", 0, 1, patience=2 * lease.STALE):
            yield
        return
    with _one_at_a_time:
        handle = _open(folder.place(MANIFEST))
        try:
            _lock(handle, fcntl.LOCK_EX, 0, 0, folder.place(MANIFEST))
            yield
        finally:
            os.close(handle)


def _hold(path, first, end):
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


def _release(path, handle, first, end):
    spans = _held[path][1]
    spans.discard((first, end))
    fcntl.lockf(handle, fcntl.LOCK_UN, end - first, first)
    if not spans:
        os.close(handle)
        del _held[path]


def _open(path):
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {reason(error)}") from None


def _lock(handle, mode, length, start, path):
    try:
        fcntl.lockf(handle, mode, length, start)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise _refusal(path) from None
        raise InputError(f"{path}: cannot be locked: {reason(error)}; put the output on another file system") from None


def _refusal(path):
    return InputError(f"{os.path.dirname(path)}: another run is at work on these shards; wait for it or stop it, or "
                      "take others with --shard")
