"""No child outlives its parent, whatever ends the parent."""

import ctypes
import os
import queue
import signal
import subprocess
import threading
import time
from typing import Any, Dict, List, Union

# Of <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
# Seconds between two looks, where the kernel does not tell.
_INTERVAL = 0.2

# The thread that starts the children of a process, by the process's id: a fork inherits the
# dictionary and not the thread.
_STARTERS: Dict[int, "_Starter"] = {}


def start(command: List[str], **options: Any) -> "subprocess.Popen[bytes]":
    """``subprocess.Popen(command, **options)``, from a thread that lives as long as this process.

    Linux sends the signal of ``end_with_parent`` when the thread that started the child ends,
    which may be long before its process does.
    """
    starter = _STARTERS.setdefault(os.getpid(), _Starter())
    return starter.start_process(command, options)


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends.

    On Linux the kernel does it, also in the middle of a call into a library. Elsewhere a thread
    watches, which has to wait while a library holds the interpreter's lock: Caffe does so for the
    length of one pass.

    Parameters
    ----------
    parent : int
        The id of the process that called ``start``; if it has ended by now, so does this one.
    """
    if not _kernel_kills_with_parent():
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(0)


class _Starter:
    """A thread that starts processes when it is asked to."""

    def __init__(self) -> None:
        self._requests: "queue.Queue[_Request]" = queue.Queue()
        self._lock = threading.Lock()
        self._is_running = False

    def start_process(self, command: List[str],
                      options: Dict[str, Any]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if not self._is_running:
                threading.Thread(target=self._run, daemon=True).start()
                self._is_running = True
        request = _Request(command, options)
        self._requests.put(request)
        return request.process()

    def _run(self) -> None:
        while True:
            self._requests.get().fulfil()


class _Request:
    """A process that is to be started, and what came of it."""

    def __init__(self, command: List[str], options: Dict[str, Any]) -> None:
        self._command, self._options = command, options
        self._answer: "queue.Queue[Union[subprocess.Popen[bytes], BaseException]]" = queue.Queue()

    def fulfil(self) -> None:
        try:
            self._answer.put(subprocess.Popen(self._command, **self._options))
        except BaseException as error:  # It belongs to the thread that asked.
            self._answer.put(error)

    def process(self) -> "subprocess.Popen[bytes]":
        answer = self._answer.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _kernel_kills_with_parent() -> bool:
    """Whether the kernel has agreed to kill this process when its parent ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return False
    arguments = (ctypes.c_ulong(value) for value in (signal.SIGKILL, 0, 0, 0))
    return bool(prctl(_PR_SET_PDEATHSIG, *arguments) == 0)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGKILL)
