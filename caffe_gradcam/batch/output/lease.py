"""Locks behind a URL, where the kernel has none: each run keeps a note there and renews it.

A run that needs parts first writes its note and then looks for the notes of others. So of two runs
that start at the same moment at least one sees the other, and they never both continue. A note that
is not renewed blocks other runs for ``STALE`` seconds at most; that of a process on this machine,
no longer than the process lives.
"""

import json
import os
import random
import re
import socket
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Iterator, Optional

from caffe_gradcam.batch.storage import Folder
from prototxt_tools.errors import InputError

FOLDER = "leases"
RENEWED_EVERY, STALE = 20.0, 90.0
# Two runs that start at the same moment may both step back; so they try again.
_ATTEMPTS, _PAUSE = 3, 0.4
_NAME = re.compile(r"([a-z]+)-(\d+)-(\d+)-[0-9a-f]{32}\.json$")


@dataclass(frozen=True)
class Holder:
    """Who wrote a note.

    Attributes
    ----------
    host : str
    pid : int
    renewed : float
        Seconds since 1970.
    here : str or None
        What tells where the process number counts: this start of the machine, and this container.
    since : str or None
        When the process began, in the kernel's ticks: a number may be given out again.
    """

    host: str
    pid: int
    renewed: float
    here: Optional[str] = None
    since: Optional[str] = None


@contextmanager
def hold(folder: Folder, kind: str, numbers: range, patience: float = 0.0) -> Iterator[None]:
    """Hold some numbers of a kind.

    Parameters
    ----------
    folder : UrlFolder
        Its listing must show what has been written; object stores do.
    kind : str
        Small letters.
    numbers : range
        With steps of 1.
    patience : float
        Seconds to wait for another run to be done.

    Raises
    ------
    InputError
        Another run holds some of them, or the folder cannot be written.
    """
    note = _take(folder, kind, numbers, time.monotonic() + patience)
    over = threading.Event()
    thread = threading.Thread(target=_renew, args=(folder, note, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        folder.remove(note)


def _take(folder: Folder, kind: str, numbers: range, until: float) -> str:
    """Write a note that no other note contradicts, and return its name."""
    folder.make(FOLDER)
    attempts = 0
    while True:
        note = f"{FOLDER}/{kind}-{numbers.start}-{numbers.stop}-{uuid.uuid4().hex}.json"
        _write(folder, note)
        try:
            other = _other(folder, note, kind, numbers)
        except BaseException:
            folder.remove(note)
            raise
        if other is None:
            return note
        folder.remove(note)
        attempts += 1
        if attempts >= _ATTEMPTS and time.monotonic() > until:
            rest = STALE - max(0.0, time.time() - other.renewed)
            raise InputError(
                f"{folder.path}: another run, process {other.pid} on {other.host}, is working on "
                "these parts; wait for it or stop it, or divide the parts with --worker (if that "
                f"machine has died, its claim ends in {rest:.0f} s)", folder.path)
        time.sleep(random.uniform(0.5, 1.0) * _PAUSE)


def _other(folder: Folder, note: str, kind: str, numbers: range) -> Optional[Holder]:
    """The living holder of another note that claims some of the same numbers."""
    for base in folder.names(FOLDER):
        name = f"{FOLDER}/{base}"
        match = _NAME.match(base)
        if not match or name == note or match.group(1) != kind:
            continue
        if not (numbers.start < int(match.group(3)) and int(match.group(2)) < numbers.stop):
            continue
        holder = _read(folder, name)
        if holder is None:
            continue
        if _is_alive(holder):
            return holder
        folder.remove(name)
    return None


def _read(folder: Folder, name: str) -> Optional[Holder]:
    try:
        holder = Holder(**json.loads(folder.read(name).decode("utf-8")))
        return replace(holder, renewed=float(holder.renewed), pid=int(holder.pid))
    except (InputError, ValueError, TypeError):
        return None  # Removed since it was listed, or not one of our notes.


def _is_alive(holder: Holder) -> bool:
    if abs(time.time() - holder.renewed) > STALE:
        return False
    return holder.here != _here() or _started(holder.pid) == holder.since


def _renew(folder: Folder, note: str, over: threading.Event) -> None:
    while not over.wait(RENEWED_EVERY):
        try:
            _write(folder, note)
        except InputError:
            continue  # The next attempt may succeed; a part that cannot be written ends the run.


def _write(folder: Folder, note: str) -> None:
    pid = os.getpid()
    holder = Holder(socket.gethostname(), pid, time.time(), _here(), _started(pid))
    folder.write(note, json.dumps(asdict(holder)).encode("utf-8"))


def _here() -> Optional[str]:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> Optional[str]:
    """When a process began; None where it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, *fields = file.read().rsplit(")", 1)[1].split()
        return None if state == "Z" else fields[18]
    except OSError:
        return None
