"""A process of one's own: a fresh interpreter that never outlives the one that started it."""

import collections
import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from multiprocessing.connection import Connection, Pipe
from typing import Any, Deque, Iterable, Mapping, Optional, Tuple

from .last_words import Death, keep_lines, last_words
from .lifetime import end_with_parent, start

_PROGRAM = """import sys
sys.path[:] = {!r}
from caffe_gradcam.processes.child import main
main({!r}, {}, {})
"""
# Where this package lies: sys.path may hold it as "", which is another folder after a chdir.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_KEPT_LINES = 50
# Seconds that a process has to end by itself, and so to say why; and that its last lines may take.
_GRACE, _LAST_LINES = 0.05, 0.5


class Child:
    """A process that runs ``function(pipe, *arguments)`` and ends when that returns.

    It is killed when this process ends, whatever ends it and whatever the child is doing; it
    lives on when the thread that started it ends. A process that was forked from this one must
    leave it alone: there ``kill`` only closes the inherited end of the pipe.

    The pipe ends with the process, once what it sent has been read: also where a library of the
    child has forked a process that lives on and holds the pipe and the standard error open.

    Parameters
    ----------
    function : str
        ``package.module:name``.
    arguments : tuple
        Sent through the pipe, so anything that can be pickled.
    name : str
        What the process is for, in messages: "engine".
    descriptors : iterable of int
        File descriptors that the child has too, under the same numbers.
    environment : dict, optional
        Added to this process's own.
    verbose : bool
        Whether to pass on what it writes to stderr. The last lines are kept either way.

    Attributes
    ----------
    pipe : multiprocessing.connection.Connection
    pid : int
    """

    def __init__(self, function: str, arguments: Tuple[Any, ...], name: str,
                 descriptors: Iterable[int] = (),
                 environment: Optional[Mapping[str, str]] = None, verbose: bool = False) -> None:
        self._name, self._owner = name, os.getpid()
        self._death: Optional[Death] = None
        self.pipe, theirs = Pipe()
        try:
            program = _PROGRAM.format(
                sys.path + [_ROOT] * (_ROOT not in sys.path), function, theirs.fileno(),
                self._owner)
            self._process = start(
                [sys.executable, "-c", program], env=dict(os.environ, **environment or {}),
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno(), *descriptors])
        except BaseException:
            self.pipe.close()  # On which the child ends, should there be one.
            theirs.close()
            raise
        self.pid = self._process.pid
        self._lines: Deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._reader = threading.Thread(
            target=keep_lines, args=(self._process.stderr, self._lines, verbose), daemon=True)
        self._reader.start()
        self._waiter = threading.Thread(target=_wait, args=(self._process, theirs), daemon=True)
        self._waiter.start()
        try:
            self.pipe.send(arguments)
        except OSError:
            pass  # It has ended, which shows when its first answer is read.

    @property
    def is_ours(self) -> bool:
        """Whether this process started it, rather than one that this was forked from."""
        return os.getpid() == self._owner

    def kill(self) -> Optional[Death]:
        """End it at once, whatever it does.

        Returns
        -------
        Death or None
            How it ended; None in a process that was forked from the one that started it, where
            it is left alone.
        """
        self.pipe.close()
        if not self.is_ours:
            return None
        if self._death is None:
            self._waiter.join(_GRACE)
            if self._waiter.is_alive():
                with contextlib.suppress(ProcessLookupError):  # It may end just now.
                    self._process.kill()
                self._waiter.join()
            # Whoever else holds its standard error keeps it open.
            self._reader.join(_LAST_LINES)
            status = self._process.returncode
            self._death = Death(status, last_words(self._lines, status, self._name))
        return self._death


def _wait(process: "subprocess.Popen[bytes]", theirs: Connection) -> None:
    """Wait until a process ends, and end its pipe then, whoever else holds the other end."""
    process.wait()
    with theirs, socket.socket(fileno=os.dup(theirs.fileno())) as other_end:
        other_end.shutdown(socket.SHUT_RDWR)


def main(function: str, descriptor: int, parent: int) -> None:
    """The child's beginning and end."""
    end_with_parent(parent)
    # Ctrl-C and a cluster's SIGTERM reach all processes; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Nothing of what a library prints may mix with the parent's own output.
    os.dup2(2, 1)
    pipe, status = Connection(descriptor), 0
    module, name = function.split(":")
    try:
        getattr(importlib.import_module(module), name)(pipe, *pipe.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The other end has closed: there is nothing left to do.
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        status = 1
    # The pipe closes at the very end, when the status is certain. Destructors are skipped: they
    # hang in some builds of torch and Caffe.
    os._exit(status)
