"""An engine in a process of its own: where Caffe aborts, only that process dies.

Arrays go through memory that both processes see.
"""

from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Optional, Sequence

from caffe_gradcam.processes.child import Child
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import EngineError, EngineFailed

from .contract import Engine
from .running import NetToRun, Running

if TYPE_CHECKING:
    import numpy as np


class IsolatedEngine(Engine):
    """Runs an engine of any kind in a child process.

    Parameters
    ----------
    net : NetToRun
    running : Running
        ``timeout`` is the time for each call, and ``verbose`` passes on what the child writes to
        stderr, glog's lines included.

    Raises
    ------
    InputError
        As the engine does. EngineFailed with Caffe's own last words where Caffe aborted, or when
        a call took too long; OutOfMemory where that was the cause. The next ``forward`` then
        starts another child.
    """

    def __init__(self, net: NetToRun, running: Running) -> None:
        super().__init__()
        self._net, self._running = net, running
        self._worker: Optional[_Worker] = None
        self._replaced: "Dict[str, Sequence[np.ndarray]]" = {}
        self._start()

    @property
    def pid(self) -> Optional[int]:
        """The id of the child process, while there is one."""
        return self._worker.child.pid if self._worker else None

    def forward(self, inputs: "Mapping[str, np.ndarray]",
                keep: Iterable[str]) -> "Dict[str, np.ndarray]":
        return self._call(self._started(), "forward", inputs, list(keep))

    def forward_from(self, blob: str, value: "np.ndarray", keep: Iterable[str],
                     rows: Optional[Sequence[int]] = None) -> "Dict[str, np.ndarray]":
        return self._call(self._after_forward("forward_from"),
                          "forward_from", blob, value, list(keep), rows)

    def backward(self, score: str, top_diff: "np.ndarray", targets: Iterable[str],
                 rule: str = "gradient") -> "Dict[str, np.ndarray]":
        return self._call(self._after_forward("backward"),
                          "backward", score, top_diff, list(targets), rule)

    def mean_gradients(self, score: str, top_diff: "np.ndarray", targets: Iterable[str]
                       ) -> "Dict[str, np.ndarray]":
        return self._call(self._after_forward("mean_gradients"),
                          "mean_gradients", score, top_diff, list(targets))

    def replace_weights(self, weights: "Mapping[str, Sequence[np.ndarray]]") -> None:
        self._call(self._started(), "replace_weights", dict(weights))
        self._replaced.update(weights)

    def _free(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _started(self) -> "_Worker":
        self.check_open()
        if self._worker is None:
            self._start()
        assert self._worker is not None
        return self._worker

    def _after_forward(self, call: str) -> "_Worker":
        self.check_open()
        if self._worker is None:
            raise EngineError(f"{call} needs a forward before it")
        return self._worker

    def _start(self) -> None:
        self._worker = worker = _Worker(self._net, self._running)
        try:
            self.description = self._answer(worker)
            if self._replaced:
                self._call(worker, "replace_weights", self._replaced)
        except BaseException:
            self._free()
            raise

    def _call(self, worker: "_Worker", *message: Any) -> Any:
        # What cannot be sent leaves the child as it was.
        data = worker.memory.dump(message)
        try:
            worker.child.pipe.send_bytes(data)
        except OSError:
            pass  # It has died, which shows when its answer is read.
        return self._answer(worker)

    def _answer(self, worker: "_Worker") -> Any:
        """What the child gives back; without an answer the child is ended."""
        try:
            outcome, value = worker.receive(self._running.timeout)
        except BaseException:
            # An answer that arrives later would be taken for that of the next call.
            self._free()
            raise
        if outcome == "refused":
            raise value
        if outcome == "failed":
            raise RuntimeError("the engine's process failed:\n" + value)
        return value


class _Worker:
    """The child, and the memory through which its arrays go."""

    def __init__(self, net: NetToRun, running: Running) -> None:
        self.memory = SharedMemory()
        try:
            self.child = Child(
                "caffe_gradcam.engines.server:serve", (self.memory.descriptor, net, running),
                "engine", descriptors=[self.memory.descriptor],
                environment={"GLOG_minloglevel": "0" if running.verbose else "2"},
                verbose=running.verbose)
        except BaseException:
            self.memory.close()
            raise

    def receive(self, timeout: Optional[float]) -> Any:
        """The child's answer.

        Raises
        ------
        EngineFailed, OutOfMemory
            The child has died, or let ``timeout`` seconds pass.
        """
        try:
            if self.child.pipe.poll(timeout):
                return self.memory.load(self.child.pipe.recv_bytes(), copy=True)
        except (EOFError, OSError):
            death = self.child.kill()
            assert death is not None
            raise death.error() from None
        raise EngineFailed(f"the engine gave no answer within {timeout:g} s and was stopped")

    def end(self) -> None:
        self.child.kill()
        self.memory.close()
