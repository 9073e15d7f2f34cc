"""The decoders: processes that read, decode and prepare images, and draw figures.

They are processes rather than threads since a decoder of images may crash, hang or take all the
memory on a file that was made to do so.
"""

import collections
import os
import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any, Callable, Counter, Deque, Dict, List, Optional

import numpy as np

from caffe_gradcam.batch.options import FULL
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory
from caffe_gradcam.batch.pipeline.decoder import IDLE, ModelInputs, Preparation, mark_of
from caffe_gradcam.batch.sources.reading import MOST_PIXELS
from caffe_gradcam.model.image_sizes import LIMIT
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.processes import threads
from caffe_gradcam.processes.child import Child
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import ImageError, Outcome

# A decoder has its next task at hand when it is done with one.
_AT_HAND = 2
# A process may be killed from outside; an image that ends two processes is the cause.
_ATTEMPTS = 2
# Seconds that one image or one clip may take; and a process until it is at its first one.
TIMEOUT, _CLIP_TIMEOUT, _STARTING = 60.0, 600.0, 600.0


class Task:
    """What a decoder does next.

    Parameters
    ----------
    name : str
        Of a function of ``decoder.ACTIONS``.
    argument : Preparation or Figures
    done : callable
        Called with the outcome.
    """

    def __init__(self, name: str, argument: Any, done: "Callable[[Outcome[Any]], None]") -> None:
        self.message = name, argument
        self.done = done
        self.deaths: Counter[int] = collections.Counter()

    def refuse(self, position: int, reason: str) -> bool:
        """Leave out an image that ends processes; whether others are left."""
        argument = self.message[1]
        if isinstance(argument, Preparation):
            argument.refused[position] = reason
            return True
        self.done(Outcome(error=ImageError(reason)))
        return False


class Decoders:
    """Some processes that work on a queue of tasks.

    Parameters
    ----------
    count : int
    model : LoadedModel or None
        Whose inputs images are prepared for; None for decoders that only draw figures.
    memory : BatchMemory or None
        Where prepared images go; None for decoders that only draw figures.
    verbose : bool
        Pass on what the image libraries write to standard error.
    busy : callable
        Called with the seconds that each task took.
    decode : str
        As of ``Pipeline``.
    """

    def __init__(self, count: int, model: Optional[LoadedModel],
                 memory: Optional[BatchMemory], verbose: bool = False,
                 busy: Callable[[float], None] = lambda seconds: None,
                 decode: str = FULL) -> None:
        self._inputs = ModelInputs() if model is None else ModelInputs.of(model)
        self._memory = memory
        # What each decoder is at: an image that ends its process is known by it.
        self._marks = SharedMemory(count, 8)
        self._verbose, self._busy, self._decode = verbose, busy, decode
        self._images: Deque[Task] = deque()
        self._figures: Deque[Task] = deque()
        self._is_figures_turn = False
        self._decoders: List[_Decoder] = []
        for index in range(count):
            self._decoders.append(_Decoder(index, self._start(index), mark_of(self._marks, index)))

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
        decoder.has_started = True
        decoder.tasks.popleft().done(outcome)
        decoder.since = time.monotonic()

    def check(self) -> None:
        """Stop the processes that have been at one image for too long."""
        now = time.monotonic()
        for decoder in self._decoders:
            if decoder.mark[0] != decoder.seen_mark:
                decoder.seen_mark, decoder.since = int(decoder.mark[0]), now
                decoder.has_started = True
            usual = TIMEOUT if self._inputs.clip is None else _CLIP_TIMEOUT
            limit = usual if decoder.has_started else _STARTING
            if decoder.tasks and now - decoder.since > limit:
                position = decoder.position
                decoder.tasks[0].deaths[position] = _ATTEMPTS
                decoder.child.kill()
                self._replace(decoder, f"it took more than {limit:g} s")

    def close(self) -> None:
        """End all processes."""
        for decoder in self._decoders:
            decoder.child.kill()
        self._marks.close()

    def _start(self, index: int) -> Child:
        marks = self._marks
        mark_of(marks, index)[0] = IDLE
        descriptors = [marks.descriptor] + (
            [] if self._memory is None else [self._memory.descriptor])
        return Child(
            "caffe_gradcam.batch.pipeline.decoder:serve",
            (None if self._memory is None else self._memory.arguments,
             (marks.count, marks.size, marks.descriptor, index), self._inputs, self._decode),
            "decoder",
            descriptors=descriptors,
            environment={LIMIT: os.environ.get(LIMIT, str(MOST_PIXELS)), **threads.variables(1)},
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
        position = decoder.position
        tasks, decoder.tasks = decoder.tasks, deque()
        decoder.child, decoder.has_started = self._start(decoder.index), False
        decoder.seen_mark, decoder.since = IDLE, time.monotonic()
        if tasks:
            tasks[0].deaths[position] += 1
            if tasks[0].deaths[position] >= _ATTEMPTS and not tasks[0].refuse(
                    position, f"the decoder was stopped: {reason}"):
                tasks.popleft()
        for task in reversed(tasks):
            (self._images if task.message[0] == "prepare" else self._figures).appendleft(task)


class _Decoder:
    """A process and the tasks that it has been given."""

    def __init__(self, index: int, child: Child, mark: "np.ndarray") -> None:
        self.index, self.child, self.mark = index, child, mark
        self.tasks: Deque[Task] = deque()
        self.since, self.seen_mark, self.has_started = time.monotonic(), IDLE, False

    @property
    def position(self) -> int:
        """The image that it is at, among those of its first task."""
        return max(0, int(self.mark[0]))
