"""The decoders: processes that read, decode and prepare images, and draw figures.

They are processes rather than threads since a decoder of images may crash, hang or take all the
memory on a file that was made to do so.
"""

import os
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any, Callable, Deque, Dict, List, Mapping, Tuple

from caffe_gradcam.batch.sources.reading import MOST_PIXELS
from caffe_gradcam.model.image_sizes import LIMIT
from caffe_gradcam.model.preprocess import Preprocessing
from caffe_gradcam.processes.child import Child
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import ImageError, Outcome

# A decoder has its next task at hand when it is done with one.
_AT_HAND = 2
# A process may be killed from outside; an image that ends two processes is the cause.
_ATTEMPTS = 2
# Seconds that one image may take.
TIMEOUT = 60.0


class Task:
    """What a decoder does next.

    Parameters
    ----------
    message : tuple
        The name of a function of ``decoder.ACTIONS``, and its arguments.
    done : callable
        Called with the outcome.
    """

    def __init__(self, message: Tuple[Any, ...], done: "Callable[[Outcome[Any]], None]") -> None:
        self.message = message
        self.done = done
        self.attempts = 0


class Decoders:
    """Some processes that work on a queue of tasks.

    Parameters
    ----------
    count : int
    inputs : mapping
        Input blob -> Preprocessing.
    memory : SharedMemory
    verbose : bool
        Pass on what the image libraries write to standard error.
    busy : callable
        Called with the seconds that each task took.
    """

    def __init__(self, count: int, inputs: Mapping[str, Preprocessing], memory: SharedMemory,
                 verbose: bool = False, busy: Callable[[float], None] = lambda seconds: None
                 ) -> None:
        self._inputs, self._memory = dict(inputs), memory
        self._verbose, self._busy = verbose, busy
        self._images: Deque[Task] = deque()
        self._figures: Deque[Task] = deque()
        self._is_figures_turn = False
        self._decoders: List[_Decoder] = []
        for _ in range(count):
            self._decoders.append(_Decoder(self._start()))

    def add_image(self, task: Task) -> None:
        """Put the preparation of an image at the end of its queue."""
        self._images.append(task)

    def add_figure(self, task: Task) -> None:
        """Put a figure at the end of its own queue, for which the net does not wait."""
        self._figures.append(task)

    @property
    def pipes(self) -> "Dict[Connection, _Decoder]":
        """The pipes on which answers may come."""
        return {decoder.child.pipe: decoder for decoder in self._decoders}

    def assign(self) -> None:
        """Give tasks to the decoders that have few."""
        for decoder in self._decoders:
            while len(decoder.tasks) < _AT_HAND and (self._images or self._figures):
                self._give(decoder, self._next())

    def receive(self, decoder: "_Decoder") -> None:
        """Take an answer, and pass it to its task; a process that has died is replaced."""
        try:
            outcome, seconds = decoder.child.pipe.recv()
        except (EOFError, OSError):
            death = decoder.child.kill()
            self._replace(decoder, death.words if death else "its process ended")
            return
        self._busy(seconds)
        decoder.tasks.popleft().done(outcome)
        decoder.since = time.monotonic()

    def check(self) -> None:
        """Stop the processes that have been at one task for too long."""
        for decoder in self._decoders:
            if decoder.tasks and time.monotonic() - decoder.since > TIMEOUT:
                decoder.tasks[0].attempts = _ATTEMPTS
                decoder.child.kill()
                self._replace(decoder, f"it took more than {TIMEOUT:g} s")

    def close(self) -> None:
        """End all processes."""
        for decoder in self._decoders:
            decoder.child.kill()

    def _start(self) -> Child:
        memory = self._memory
        return Child(
            "caffe_gradcam.batch.pipeline.decoder:serve",
            (memory.count, memory.size, memory.descriptor, self._inputs), "decoder",
            descriptors=[memory.descriptor],
            environment={LIMIT: os.environ.get(LIMIT, str(MOST_PIXELS)), "OMP_NUM_THREADS": "1"},
            verbose=self._verbose)

    def _next(self) -> Task:
        self._is_figures_turn = not self._is_figures_turn
        if self._figures and (self._is_figures_turn or not self._images):
            return self._figures.popleft()
        return self._images.popleft()

    def _give(self, decoder: "_Decoder", task: Task) -> None:
        if not decoder.tasks:
            decoder.since = time.monotonic()
        decoder.tasks.append(task)
        try:
            decoder.child.pipe.send(task.message)
        except OSError:
            pass  # It has died, which `receive` notices.

    def _replace(self, decoder: "_Decoder", reason: str) -> None:
        tasks, decoder.tasks = decoder.tasks, deque()
        decoder.child = self._start()
        if tasks:
            tasks[0].attempts += 1
            if tasks[0].attempts >= _ATTEMPTS:
                tasks.popleft().done(Outcome(error=ImageError(
                    f"the decoder was stopped: {reason}")))
        self._images.extendleft(reversed(tasks))


class _Decoder:
    """A process and the tasks that it has been given."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.tasks: Deque[Task] = deque()
        self.since = time.monotonic()
