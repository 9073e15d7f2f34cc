"""Locks behind a URL, where no kernel keeps any: a note of who is at work, renewed while he is.

Whoever wants shards writes a note first and looks for those of others then. So of two that come at
the same moment at least one sees the other, and never do both go on. A note that is not renewed
holds nobody up for longer than ``STALE`` seconds; that of a process of this machine, no longer
than the process lives.
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

from prototxt_tools.errors import InputError

FOLDER = "leases"
RENEWED_EVERY, STALE = 20.0, 90.0
# Of two that came at the same moment, both may have stepped back: so they come again.
_ATTEMPTS, _PAUSE = 3, 0.4
_NAME = re.compile(r"([a-z]+)-(\d+)-(\d+)-[0-9a-f]{32}\.json$")


@contextmanager
def hold(folder, kind, first, end, patience=0.0):
    """Hold the numbers from ``first`` to before ``end`` of a kind.

    Parameters
    ----------
    folder : UrlFolder
        Its listing must show what has been written; object stores do.
    kind : str
        Small letters.
    first, end : int
    patience : float
        Seconds to wait for another run to be done.

    Raises
    ------
    InputError
        Another run holds some of them, or the folder cannot be written.
    """
    note = _take(folder, kind, first, end, time.monotonic() + patience)
    over = threading.Event()
    thread = threading.Thread(target=_renew, args=(folder, note, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        folder.remove(note)


def _take(folder, kind, first, end, until):
    """Write a note that stands alone, and give its name."""
    folder.make(FOLDER)
    attempts = 0
    while True:
        note = f"{FOLDER}/{kind}-{first}-{end}-{uuid.uuid4().hex}.json"
        _write(folder, note)
        try:
            other = _other(folder, note, kind, first, end)
        except BaseException:
            folder.remove(note)
            raise
        if other is None:
            return note
        folder.remove(note)
        attempts += 1
        if attempts >= _ATTEMPTS and time.monotonic() > until:
            age = max(0.0, time.time() - other["renewed"])
            raise InputError(
                "{}: another run, process {} on {}, is at work on these shards; wait for it or "
                "stop it, or take others with --shard (if that machine has died: its claim ends "
                "in {:.0f} s)".format(folder.path, other["pid"], other["host"], STALE - age))
        time.sleep(random.uniform(0.5, 1.0) * _PAUSE)


def _other(folder, note, kind, first, end):
    """What a living note of another run says that wants some of the same; None without one."""
    for name in folder.names(FOLDER):
        place = f"{FOLDER}/{name}"
        match = _NAME.match(name)
        if not match or place == note or match.group(1) != kind:
            continue
        if not (first < int(match.group(3)) and int(match.group(2)) < end):
            continue
        said = _read(folder, place)
        if said is None:
            continue
        if _is_alive(said):
            return said
        folder.remove(place)
    return None


def _read(folder, place):
    try:
        said = json.loads(folder.read(place).decode("utf-8"))
        return dict(said, renewed=float(said["renewed"]), host=said["host"], pid=int(said["pid"]))
    except (InputError, ValueError, TypeError, KeyError):
        return None  # Removed since it was listed, or no note of ours.


def _is_alive(said):
    if abs(time.time() - said["renewed"]) > STALE:
        return False
    return said.get("here") != _here() or _started(said["pid"]) == said.get("since")


def _renew(folder, note, over):
    while not over.wait(RENEWED_EVERY):
        try:
            _write(folder, note)
        except InputError:
            continue  # The next one may do; parts that cannot be written end the run by themselves.


def _write(folder, note):
    pid = os.getpid()
    folder.write(note, json.dumps({
        "host": socket.gethostname(), "pid": pid, "here": _here(), "since": _started(pid),
        "renewed": time.time()}).encode("utf-8"))


def _here():
    """What tells where a process number counts: this start of the machine, and this container."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid):
    """When a process began, in the kernel's ticks: a number may be given out again. None: gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, *fields = file.read().rsplit(")", 1)[1].split()
        return None if state == "Z" else fields[18]
    except OSError:
        return None
