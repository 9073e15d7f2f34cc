"""Locks behind a URL, where the kernel has none: each run keeps a note there and renews it.

A run that needs parts first writes its note and then looks for the notes of others. So of two runs
that start at the same moment at least one sees the other, and they never both continue. A note that
is not renewed blocks other runs for ``STALE`` seconds at most; that of a process on this machine,
no longer than the process lives. Ages are differences of the times at which the store says that it
wrote two notes, so that the clocks of the machines do not matter.

A run that stood still for longer than ``STALE`` finds its note gone, and writes no more parts. It
may also stand still between that check and its writing. So parts are created, never replaced: a
store with conditional writes (``Folder.creates``) then refuses the part that another run has
written meanwhile. Of other stores this is not guaranteed, which a run says when it begins; nor is
it, on any store, for parts that ``--retry-failed`` replaces.
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
from typing import Iterator, Optional, Tuple

from caffe_gradcam.batch.storage import Folder, open_folder
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

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
        Seconds since 1970, by the clock of the one who wrote it; for people.
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


@dataclass(frozen=True)
class Claim:
    """What a run holds, as its processes elsewhere can check it.

    Attributes
    ----------
    path : str
        The output.
    note : str, optional
        Without it, the run has a lock of the kernel alone, which lasts as long as its process.
    """

    path: str
    note: Optional[str] = None

    def check(self) -> None:
        """Raise an InputError where another run has taken over since."""
        if self.note is not None and not open_folder(self.path).exists(self.note):
            raise InputError(
                f"{self.path}: this run stood still or was stopped, and another one has taken its "
                "parts over since; run the same command again to continue with what is left",
                self.path)


@contextmanager
def hold(folder: Folder, kind: str, numbers: range, patience: float = 0.0) -> Iterator[Claim]:
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

    Yields
    ------
    Claim

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
        yield Claim(folder.path, note)
    finally:
        over.set()
        thread.join()
        folder.remove(note)


@contextmanager
def note_beside_lock(folder: Folder, kind: str, numbers: range, is_needed: bool
                     ) -> Iterator[Claim]:
    """A note for processes elsewhere, of a run that holds the kernel's lock on the numbers here.

    The notes of earlier runs, which have ended since they hold no lock, go: so what is left of
    their processes elsewhere writes no more.

    Parameters
    ----------
    folder, kind, numbers
        As for ``hold``.
    is_needed : bool
        Whether there will be such processes.

    Yields
    ------
    Claim
    """
    for name in _claims(folder, kind, numbers):
        folder.remove(name)
    if not is_needed:
        yield Claim(folder.path)
        return
    folder.make(FOLDER)
    note = _note(kind, numbers)
    _write(folder, note)
    try:
        yield Claim(folder.path, note)
    finally:
        folder.remove(note)


def _note(kind: str, numbers: range) -> str:
    """The name of a new note."""
    return f"{FOLDER}/{kind}-{numbers.start}-{numbers.stop}-{uuid.uuid4().hex}.json"


def _take(folder: Folder, kind: str, numbers: range, until: float) -> str:
    """Write a note that no other note contradicts, and return its name."""
    folder.make(FOLDER)
    attempts = 0
    while True:
        note = _note(kind, numbers)
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
            raise _refusal(folder, *other)
        time.sleep(random.uniform(0.5, 1.0) * _PAUSE)


def _refusal(folder: Folder, name: str, holder: Holder, age: Optional[float]) -> InputError:
    way_out = (f"remove {folder.locate(name)}" if age is None
               else f"its claim ends in {max(0.0, STALE - age):.0f} s")
    return InputError(
        f"{folder.path}: another run, process {holder.pid} on {holder.host}, is working on these "
        "parts; wait for it or stop it, or divide the parts with --worker (if that machine has "
        f"died, {way_out})", folder.path)


def _other(folder: Folder, note: str, kind: str, numbers: range
           ) -> Optional[Tuple[str, Holder, Optional[float]]]:
    """Another note that claims some of the same numbers, its living holder and its age."""
    for name in _claims(folder, kind, numbers):
        holder = None if name == note else _read(folder, name)
        if holder is None:
            continue
        age = _age(folder, name, note)
        if _is_alive(holder, age):
            return name, holder, age
        folder.remove(name)
    return None


def _claims(folder: Folder, kind: str, numbers: range) -> Iterator[str]:
    """The names of all notes that claim some of the numbers."""
    for base in folder.names(FOLDER):
        match = _NAME.match(base)
        if match and match.group(1) == kind and (
                numbers.start < int(match.group(3)) and int(match.group(2)) < numbers.stop):
            yield f"{FOLDER}/{base}"


def _read(folder: Folder, name: str) -> Optional[Holder]:
    try:
        holder = Holder(**parse_json(folder.read(name).decode("utf-8")))
        return replace(holder, renewed=float(holder.renewed), pid=int(holder.pid))
    except (InputError, ValueError, TypeError):
        return None  # Removed since it was listed, or not one of our notes.


def _age(folder: Folder, name: str, note: str) -> Optional[float]:
    """Seconds between the writing of a note and of our own, which is new; None if unknown."""
    written, now = folder.modified(name), folder.modified(note)
    return None if written is None or now is None else now - written


def _is_alive(holder: Holder, age: Optional[float]) -> bool:
    here = _here()
    if here is not None and holder.here == here:
        return _started(holder.pid) == holder.since
    return age is None or age <= STALE


def _renew(folder: Folder, note: str, over: threading.Event) -> None:
    while not over.wait(RENEWED_EVERY):
        try:
            if not folder.exists(note):
                return  # Another run has taken over.
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
