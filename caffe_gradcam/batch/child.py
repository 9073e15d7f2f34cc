"""Processes of a run: fresh interpreters that never outlive the process that started them."""

import collections
import ctypes
import importlib
import os
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection, Pipe

from caffe_gradcam.engines.isolated import keep_lines, last_words

_PROGRAM = """import sys
sys.path[:] = {!r}
from caffe_gradcam.batch.child import main
main({!r}, {}, {})
"""
_KEPT_LINES = 50
_PR_SET_PDEATHSIG = 1


class Child:
    """A process that runs ``function(pipe, *arguments)``.

    Parameters
    ----------
    function : str
        ``package.module:name``.
    arguments : tuple
        Sent through the pipe, so anything that can be pickled.
    descriptors : iterable of int
        File descriptors that the child has too, under the same numbers.
    environment : dict
        Added to this process's own.
    listen : bool
        Whether to keep what it writes to stderr, for its last words.
    verbose : bool
        Whether to pass that on.

    Attributes
    ----------
    pipe : multiprocessing.connection.Connection
    pid : int
    """

    def __init__(self, function, arguments, descriptors=(), environment=None, listen=False,
                 verbose=False):
        self.pipe, theirs = Pipe()
        program = _PROGRAM.format(sys.path, function, theirs.fileno(), os.getpid())
        stderr = subprocess.PIPE if listen else None if verbose else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], env=dict(os.environ, **environment or {}),
            stdin=subprocess.DEVNULL, stderr=stderr,
            pass_fds=[theirs.fileno()] + list(descriptors))
        theirs.close()
        self.pid = self._process.pid
        self._lines, self._reader = collections.deque(maxlen=_KEPT_LINES), None
        if listen:
            self._reader = threading.Thread(
                target=keep_lines, args=(self._process.stderr, self._lines, verbose), daemon=True)
            self._reader.start()
        try:
            self.pipe.send(arguments)
        except OSError:
            pass  # It has ended; whoever waits for its first answer learns that.

    def kill(self):
        """End it at once, whatever it does; gives its last words, or the signal it died of."""
        self.pipe.close()
        # One that is about to end by itself may say why.
        try:
            status = self._process.wait(0.05)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._reader is None:
            return f"its process ended with status {status}"
        self._reader.join()
        self._process.stderr.close()
        return last_words(self._lines, status)


def main(function, descriptor, parent):
    """The child's beginning."""
    # The kernel kills this process when the thread that started it ends, by whatever cause.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    # Ctrl-C and a cluster's SIGTERM reach all processes; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Nothing of what a library prints may mix with the run's own output.
    os.dup2(2, 1)
    pipe = Connection(descriptor)
    module, name = function.split(":")
    try:
        getattr(importlib.import_module(module), name)(pipe, *pipe.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    # Skip destructors, which hang in some builds of torch and Caffe.
    os._exit(0)
