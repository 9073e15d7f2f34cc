"""The net in a process of its own, and how a batch that crashes it is divided."""

import os
import time
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Callable, Deque, Dict, List, Optional, Sequence, Tuple

from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.processes.child import Child
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import EngineFailed, InputError, Outcome

# The net has its next batches at hand when it is done with one.
_AT_HAND = 3
# A process may be killed from outside: so a batch is tried twice, in the same composition, before
# it is divided, and before an image that is alone is given up.
_ATTEMPTS = 2
_STARTS = 3
# Seconds for reading the weights and finding the device, which may be slow.
_OPENING = 600.0


@dataclass(frozen=True)
class NetInput:
    """An image on its way to the net.

    Attributes
    ----------
    slot : int
        Of the shared memory.
    data : bytes
        What ``SharedMemory.load`` makes the prepared image of.
    questions : tuple of str
        The image's own questions.
    box : tuple of float or None
        The part of the image that is asked about.
    """

    slot: int
    data: bytes
    questions: Tuple[str, ...]
    box: Optional[Tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the net gives for an image: the best class, and explanations.

    The note tells of a batch that was smaller than usual, on which the last bits depend.
    """

    predicted: int
    explanations: List[Explanation]
    note: Optional[str] = None


Done = Callable[[int, "Outcome[Prediction]"], None]


class Batch:
    """Images that go through the net together.

    Parameters
    ----------
    inputs : sequence of NetInput
    done : callable
        Called for each image with its position in the batch and its outcome.
    positions : sequence of int, optional
        Of these images in the batch that they are a part of.
    attempts : int
        How often the net has failed with this batch.
    note : str, optional
        Why it is smaller than the batch that was read.
    """

    def __init__(self, inputs: Sequence[NetInput], done: Done,
                 positions: Optional[Sequence[int]] = None, attempts: int = 0,
                 note: Optional[str] = None) -> None:
        self.inputs, self.done, self.attempts, self.note = inputs, done, attempts, note
        self.positions = range(len(inputs)) if positions is None else positions

    def halves(self, error: InputError) -> List["Batch"]:
        """Two batches, one after the other, since this one failed."""
        middle = (len(self.positions) + 1) // 2
        return [Batch(self.inputs[part], self.done, self.positions[part],
                      _ATTEMPTS - 1 if len(self.positions[part]) > 1 else 0,
                      f"explained in a batch of {len(self.positions[part])}, since one of "
                      f"{len(self.positions)} failed: {error}")
                for part in (slice(middle), slice(middle, None))]


class Net:
    """A process with an Explainer.

    Parameters
    ----------
    recipe : Recipe
        Its device is the process's.
    memory : SharedMemory
    pipeline : Pipeline
        Of which the size of batches and the timeout count.
    busy : callable
        Called with the seconds that each batch took.

    Attributes
    ----------
    description : dict or None
        Of the engine, once it is open.
    """

    def __init__(self, recipe: Recipe, memory: SharedMemory, pipeline: Pipeline,
                 busy: Callable[[float], None]) -> None:
        self._recipe, self._memory, self._batch = recipe, memory, pipeline.batch
        self._timeout, self._busy = pipeline.timeout, busy
        self._waiting: Deque[Batch] = deque()
        self._sent: Deque[Batch] = deque()
        self.description: Optional[Dict[str, str]] = None
        self._starts = 0
        self._is_open, self._since = False, 0.0
        self._child = self._started()

    @property
    def pipe(self) -> Connection:
        """The pipe on which answers come."""
        return self._child.pipe

    def add(self, batch: Batch) -> None:
        """Put a batch at the end of the queue."""
        self._waiting.append(batch)

    def feed(self) -> None:
        """Send the next batches to the net."""
        while self._is_open and self._waiting and len(self._sent) < _AT_HAND:
            batch = self._waiting.popleft()
            if not self._sent:
                self._since = time.monotonic()
            self._sent.append(batch)
            try:
                self._child.pipe.send(list(batch.inputs))
            except OSError:
                return  # It has died, which `receive` notices.

    def receive(self) -> None:
        """Take an answer, and pass it to its batch.

        Raises
        ------
        InputError
            The engine does not open.
        """
        try:
            kind, value, seconds = self._child.pipe.recv()
        except (EOFError, OSError):
            death = self._child.kill()
            self._restart(EngineFailed(death.words if death else "its process ended"))
            return
        if kind == "open":
            self.description, self._is_open, self._starts = value, True, 0
        elif kind == "refused":
            raise value
        elif kind == "failed":
            self._child.kill()
            self._restart(value)
        else:
            self._busy(seconds)
            self._since = time.monotonic()
            self._answer(self._sent.popleft(), value)

    def check(self) -> None:
        """Stop the process if one batch, or its start, takes too long."""
        limit = self._timeout if self._is_open else max(self._timeout, _OPENING)
        if (self._sent or not self._is_open) and time.monotonic() - self._since > limit:
            self._child.kill()
            self._restart(EngineFailed(
                f"the engine gave no answer within {limit:g} s and was stopped"))

    def close(self) -> None:
        """End the process."""
        self._child.kill()

    def _started(self) -> Child:
        self._is_open, self._since = False, time.monotonic()
        memory, verbose = self._memory, self._recipe.running.verbose
        return Child(
            "caffe_gradcam.batch.pipeline.net_process:serve",
            (memory.count, memory.size, memory.descriptor, self._recipe, self._batch), "net",
            descriptors=[memory.descriptor],
            environment={"GLOG_minloglevel": "0" if verbose else "2",
                         # Threads that spin between two layers would take the decoders' cores.
                         "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")},
            verbose=verbose)

    def _restart(self, error: InputError) -> None:
        """Start another process; the first batch that the old one had made it die."""
        was_open = self._is_open
        batches, self._sent = list(self._sent), deque()
        self._starts += not was_open
        if self._starts >= _STARTS:
            raise error
        self._child = self._started()
        self._waiting.extendleft(reversed(batches[1:]))
        if batches:
            self._blame(batches[0], error, again=True)

    def _answer(self, batch: Batch, answer: "Outcome[List[Outcome[Prediction]]]") -> None:
        if answer.error is not None:
            self._blame(batch, answer.error, again=False)
            return
        for position, outcome in zip(batch.positions, answer.unwrap()):
            batch.done(position, outcome if batch.note is None else outcome.then(
                _noted, batch.note))

    def _blame(self, batch: Batch, error: InputError, again: bool) -> None:
        """Try a batch that failed once more, or its halves; an image alone has failed."""
        batch.attempts += 1
        if again and batch.attempts < _ATTEMPTS:
            self._waiting.appendleft(batch)
        elif len(batch.positions) > 1:
            self._waiting.extendleft(reversed(batch.halves(error)))
        else:
            batch.done(batch.positions[0], Outcome(error=error))


def _noted(prediction: Prediction, note: str) -> Prediction:
    """The prediction of an image in a part of its batch."""
    notes = [note] if prediction.note is None else [note, prediction.note]
    return replace(prediction, note="; ".join(notes))
