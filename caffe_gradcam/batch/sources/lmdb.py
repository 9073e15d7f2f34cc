"""LMDBs of Caffe's Datums.

A page that lies beyond the end of a damaged file kills the process that reads it. So all reading
is done in other processes; what they say, or that they died, becomes the value or the error of
one item.
"""

import itertools
import os
from multiprocessing.connection import Connection
from typing import Any, Dict, Iterator, Optional

from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.processes.child import Child
from prototxt_tools.errors import InputError, Outcome
from prototxt_tools.files import byte_limit, too_long

# Keys that are sent at once.
_KEYS = 1000
# Seconds that one value, or a thousand keys, may take.
_PATIENCE = 120.0
_MOST_BYTES = 1 << 28

_readers: Dict[str, "_Reader"] = {}


def is_lmdb(path: str) -> bool:
    """Whether a folder, or a file, is an LMDB."""
    return os.path.isfile(os.path.join(path, "data.mdb")) or path.endswith((".mdb", ".lmdb"))


def items(path: str) -> Iterator[Item]:
    """The keys of an LMDB, in its own order; labels come with the Datums."""
    reader = _Reader("send_keys", path)
    try:
        while True:
            keys = reader.receive().unwrap()
            if not keys:
                return
            for key in keys:
                name = key.decode("utf-8", "backslashreplace")
                yield Item.of(os.path.join(path, name), id=name, archive=path,
                              position=("lmdb", key.hex()))
    finally:
        reader.close()


def read(path: str, key: bytes) -> Optional[bytes]:
    """The value of a key, None where there is no such key.

    Raises
    ------
    InputError
        The LMDB cannot be read, or is damaged there.
    """
    reader = _readers.get(path)
    if reader is None or not reader.is_ours:
        reader = _readers[path] = _Reader("send_values", path)
    try:
        reader.send(key)
        outcome = reader.receive()
    except BaseException:  # The next value gets a process of its own.
        _readers.pop(path).close()
        raise
    value: Optional[bytes] = outcome.unwrap()
    return value


class _Reader:
    """A process that runs one of this module's functions."""

    def __init__(self, function: str, path: str) -> None:
        self._path = path
        self._child = Child(f"{__name__}:{function}", (path,), "LMDB reader")

    @property
    def is_ours(self) -> bool:
        """Whether this process started it, rather than one that this was forked from."""
        return self._child.is_ours

    def send(self, key: bytes) -> None:
        """Ask for a value."""
        try:
            self._child.pipe.send(key)
        except OSError:
            pass  # It has died, which `receive` tells.

    def receive(self) -> "Outcome[Any]":
        """An answer; raises InputError where the process died, or does not answer."""
        try:
            if self._child.pipe.poll(_PATIENCE):
                outcome: "Outcome[Any]" = self._child.pipe.recv()
                return outcome
            words = f"reading it takes more than {_PATIENCE:g} s"
        except (EOFError, OSError):
            death = self._child.kill()
            words = death.words if death else "its process ended"
        raise InputError(f"{self._path}: this LMDB is damaged: {words}; copy it again", self._path)

    def close(self) -> None:
        """End the process."""
        self._child.kill()


def send_keys(pipe: Connection, path: str) -> None:
    """Send outcomes with lists of an LMDB's keys, the last one empty or an error."""
    try:
        with _open(path) as environment:
            _send_keys(pipe, environment, path)
    except InputError as error:
        pipe.send(Outcome(error=error))
    else:
        pipe.send(Outcome([]))


def send_values(pipe: Connection, path: str) -> None:
    """Answer keys with outcomes of their values, until the pipe closes."""
    environment = Outcome.of(_open, path)
    while True:
        pipe.send(environment.then(_value, path, pipe.recv()))


def _open(path: str) -> Any:
    """The environment of an LMDB, read-only."""
    try:
        import lmdb as library
    except ImportError:
        raise InputError(f"{path}: LMDBs need the package lmdb; pip install lmdb", path) from None
    file_path = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
    try:
        environment = library.open(path, readonly=True, lock=False, readahead=False,
                                   subdir=os.path.isdir(path))
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        size = os.path.getsize(file_path)
    except (library.Error, OSError) as error:
        raise InputError(f"{path}: this LMDB cannot be read: {error}", path) from None
    if size < needed:
        environment.close()
        raise InputError(f"{file_path}: cut short: {size} bytes of {needed}; copy it again", path)
    return environment


def _send_keys(pipe: Connection, environment: Any, path: str) -> None:
    import lmdb as library

    try:
        left = environment.stat()["entries"]
        with environment.begin() as transaction:
            keys = transaction.cursor().iternext(values=False)
            while True:
                group = list(itertools.islice(keys, _KEYS))
                left -= len(group)
                if left < 0:  # Pages that lead back to themselves would never end.
                    raise InputError(f"{path}: this LMDB is damaged: it has more keys than it "
                                     "counts; copy it again", path)
                if not group:
                    return
                pipe.send(Outcome(group))
    except library.Error as error:
        raise InputError(f"{path}: this LMDB cannot be read: {error}", path) from None


def _value(environment: Any, path: str, key: bytes) -> Optional[bytes]:
    import lmdb as library

    try:
        with environment.begin(buffers=True) as transaction:
            value = transaction.get(key)
            if value is None:
                return None
            limit = byte_limit(_MOST_BYTES)
            if len(value) > limit:
                raise InputError(f"{path}: the value of {key!r} has {too_long(len(value), limit)}",
                                 path)
            return bytes(value)
    except library.Error as error:
        raise InputError(f"{path}: this LMDB cannot be read: {error}", path) from None
