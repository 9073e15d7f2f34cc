"""The child of an ``IsolatedEngine``: an engine that answers messages."""

import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Callable, Dict, Optional

from caffe_gradcam.processes.errors import portable
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import InputError, OutOfMemory

from .contract import Engine
from .opening import open_engine
from .running import NetToRun, Running


def serve(pipe: Connection, descriptor: int, net: NetToRun, running: Running) -> None:
    """Open an engine, then answer messages until the pipe closes.

    Parameters
    ----------
    pipe : multiprocessing.connection.Connection
    descriptor : int
        File descriptor of the ``SharedMemory``.
    net, running
        As for ``open_engine``.
    """
    server = Server(SharedMemory(descriptor=descriptor))
    pipe.send_bytes(server.open(net, running))
    while True:
        pipe.send_bytes(server.answer(pipe.recv_bytes()))


class Server:
    """The engine of a child.

    Each answer, packed by the memory, is ("done", what comes back), ("refused", an InputError)
    or ("failed", a traceback).
    """

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._engine: Optional[Engine] = None

    def open(self, net: NetToRun, running: Running) -> bytes:
        """Open the engine; comes back with its description."""
        return self._packed(self._open, net, running)

    def answer(self, message: bytes) -> bytes:
        """Do what a message, (method, arguments ...), asks for."""
        return self._packed(self._run, message)

    def _open(self, net: NetToRun, running: Running) -> Dict[str, str]:
        self._engine = open_engine(net, replace(running, isolated=False))
        return self._engine.description

    def _run(self, message: bytes) -> Any:
        engine = self._engine
        assert engine is not None
        # Caffe has its own copy of its inputs; what torch is given, it works on.
        keeps = engine.description["engine"] != "caffe"
        name, *arguments = self._memory.load(message, copy=keeps)
        return getattr(engine, name)(*arguments)

    def _packed(self, function: Callable[..., Any], *arguments: Any) -> bytes:
        try:
            return self._memory.dump(("done", function(*arguments)))
        except InputError as error:
            return self._memory.dump(("refused", portable(error)))
        except MemoryError:
            return self._memory.dump(("refused", OutOfMemory(
                "the memory does not hold this batch; give a smaller one")))
        except Exception:
            return self._memory.dump(("failed", traceback.format_exc()))
