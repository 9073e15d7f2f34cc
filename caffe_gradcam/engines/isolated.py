"""An engine in a process of its own: where Caffe aborts, only that process dies.

The child is a fresh interpreter that gets one end of a pair of sockets; it ends when the other
end closes, so it never outlives its parent. Arrays go through memory that both see.
"""

import collections
import os
import re
import signal
import subprocess
import sys
import threading
import traceback
from multiprocessing.connection import Connection, Pipe

from prototxt_tools.errors import EngineError, InputError, OutOfMemory

from .contract import Engine, open_here
from .shared import SharedMemory

CHILD = """import sys
sys.path[:] = {!r}
from caffe_gradcam.engines.isolated import serve
serve({}, {})
"""
KEPT_LINES = 50
# What Caffe, the C++ library and CUDA say where memory is short.
MEMORY_WORDS = "host allocation of size", "bad_alloc", "out of memory", "Cannot allocate memory"
_GLOG = re.compile(r"[FEWI]\d{4} [\d:.]+ +\d+ [^\]]*\] ?")
_PROTOBUF = re.compile(r"\[libprotobuf (?:ERROR|FATAL) [^\]]*\] ?")


class IsolatedEngine(Engine):
    """Runs an engine of any kind in a child process.

    Parameters
    ----------
    kind : str
    arguments : dict
        The arguments of ``open_engine`` but kind, verbose and timeout.
    verbose : bool
        Pass what the child writes to stderr on, glog's lines included.
    timeout : float or None
        Seconds that one call may take.

    Raises
    ------
    InputError
        As the engine does; EngineError with Caffe's own last words where Caffe aborted, or when
        a call took too long. The next ``forward`` then starts another child.
    """

    def __init__(self, kind, arguments, verbose=False, timeout=None):
        self._kind, self._arguments = kind, dict(arguments)
        self._verbose, self._timeout = verbose, timeout
        self._child = None
        self._replaced = {}
        self._start()

    def forward(self, inputs, keep):
        if self._child is None:
            self._start()
        return self._call("forward", inputs, list(keep))

    def forward_from(self, blob, value, keep, rows=None):
        if self._child is None:
            raise EngineError("forward_from needs a forward before it")
        return self._call("forward_from", blob, value, list(keep), rows)

    def backward(self, score, top_diff, targets, rule="gradient"):
        if self._child is None:
            raise EngineError("backward needs a forward before it")
        return self._call("backward", score, top_diff, list(targets), rule)

    def replace_weights(self, weights):
        if self._child is None:
            self._start()
        self._call("replace_weights", weights)
        self._replaced.update(weights)

    def close(self):
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self):
        self._child = Child(self._verbose)
        try:
            self.description = self._call("open", self._kind, self._arguments)
            if self._replaced:
                self._call("replace_weights", self._replaced)
        except BaseException:
            self.close()
            raise

    def _call(self, *message):
        try:
            outcome, value = self._child.exchange(message, self._timeout)
        except BaseException:
            # Whatever cut the exchange short, an answer that is still to come fits no question.
            self._child = None
            raise
        if outcome == "refused":
            raise value
        if outcome == "failed":
            raise RuntimeError("the engine's process failed:\n" + value)
        return value


class Child:
    """A process that runs ``serve``."""

    def __init__(self, verbose):
        self._pipe, theirs = Pipe()
        self._shared = SharedMemory()
        inherited = [theirs.fileno(), self._shared.file_descriptor]
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(sys.path, *inherited)],
            env=dict(os.environ, GLOG_minloglevel="0" if verbose else "2"),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=inherited)
        theirs.close()
        self._lines = collections.deque(maxlen=KEPT_LINES)
        self._reader = threading.Thread(
            target=keep_lines, args=(self._process.stderr, self._lines, verbose), daemon=True)
        self._reader.start()
        self.pid = self._process.pid

    def exchange(self, message, timeout):
        """Send a message and wait for the answer; where that fails, no child is left.

        Raises
        ------
        EngineError
            The child died, or let ``timeout`` seconds pass.
        """
        packed = self._shared.pack(message)
        try:
            self._pipe.send(packed)
            if self._pipe.poll(timeout):
                return self._shared.unpack(self._pipe.recv())
        except (EOFError, OSError):
            self.end()
            raise death(self._lines, self._process.returncode) from None
        except BaseException:
            self._process.kill()
            self.end()
            raise
        self._process.kill()
        self.end()
        raise EngineError(f"the engine gave no answer within {timeout} s and was stopped")

    def end(self):
        """Close the pipe, on which the child ends, and wait until it has."""
        self._pipe.close()
        self._shared.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stderr.close()


def keep_lines(stream, lines, verbose):
    """Collect what comes out of a stream, and pass it on if `verbose`."""
    for line in stream:
        lines.append(line.decode("utf-8", "replace").rstrip())
        if verbose:
            print(lines[-1], file=sys.stderr)


def death(lines, status):
    """The error that tells why the child ended."""
    words = last_words(lines, status)
    # Linux kills a process that takes more memory than there is.
    if status == -signal.SIGKILL or any(said in words for said in MEMORY_WORDS):
        return OutOfMemory(words)
    return EngineError(words)


def last_words(lines, status):
    """One line on why the child ended, from what it wrote to stderr.

    glog marks a fatal message with F, and a stack trace follows; what protobuf said before it
    explains it better.
    """
    spoken = []
    for line in lines:
        if line.startswith("*** Check failure stack trace"):
            break
        is_fatal = line.startswith("F") and _GLOG.match(line)
        if is_fatal:
            spoken = [part for part in spoken if _PROTOBUF.match(part)]
        if is_fatal or _PROTOBUF.match(line) or (spoken and not _GLOG.match(line)):
            spoken.append(line)
    words = " ".join(_PROTOBUF.sub("", _GLOG.sub("", line)).strip() for line in spoken)
    if words:
        return "Caffe stopped: " + words
    if status == -signal.SIGKILL:
        return "the engine's process was killed; is there enough memory?"
    return "the engine's process ended with status {}: {}".format(
        status, lines[-1] if lines else "it said nothing")


def serve(file_descriptor, shared_descriptor):
    """The child: answer messages until the pipe closes."""
    # Ctrl-C reaches the whole process group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nothing of what a library prints may mix with the parent's own output.
    os.dup2(2, 1)
    pipe, server = Connection(file_descriptor), Server(SharedMemory(shared_descriptor))
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            # Nothing is left to do; skip destructors, which hang in some builds.
            os._exit(0)
        pipe.send(server.answer(message))


class Server:
    """The engine of a child, which the first message opens."""

    def __init__(self, shared):
        self._shared = shared
        self._engine = None

    def answer(self, message):
        """("done", what comes back), ("refused", an InputError) or ("failed", a traceback)."""
        try:
            return "done", self._shared.pack(self._run(*message))
        except InputError as error:
            return "refused", as_said(error)
        except MemoryError:
            return "refused", OutOfMemory(
                "the memory does not hold this batch; give a smaller one")
        except Exception:
            return "failed", traceback.format_exc()

    def _run(self, name, *arguments):
        if name == "open":
            kind, options = arguments
            self._engine = open_here(kind, **options)
            return self._engine.description
        # Caffe has its own copy of its inputs; what torch is given, it works on.
        keeps = self._engine.description["engine"] != "caffe"
        return getattr(self._engine, name)(*self._shared.unpack(arguments, copy=keeps))


def as_said(error):
    """The error as one that can be pickled, of a type that the parent can tell apart."""
    kinds = (OutOfMemory, EngineError, InputError)
    return next(kind for kind in kinds if isinstance(error, kind))(str(error))
