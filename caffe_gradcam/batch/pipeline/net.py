"""The net in a process of its own, and how a batch that crashes it is divided."""

import os
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Callable, Deque, Dict, List, Mapping, Optional, Tuple, TypeVar

import numpy as np

from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory
from caffe_gradcam.explaining.columns import BatchExplanation
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.preprocess import Prepared
from caffe_gradcam.processes import threads
from caffe_gradcam.processes.child import Child
from prototxt_tools.errors import EngineFailed, InputError, Outcome

# The net has its next batches at hand when it is done with one.
_AT_HAND = 3
# A process may be killed from outside: so a batch is tried twice, in the same composition, before
# it is divided, and before an image that is alone is given up.
_ATTEMPTS = 2
_STARTS = 3
# Seconds for reading the weights and finding the device, which may be slow.
_OPENING = 600.0

Entry = TypeVar("Entry")


@dataclass(frozen=True, eq=False)
class NetInput:
    """Images that go through the net together.

    Attributes
    ----------
    slot : int
        Of the memory in which they lie.
    positions : numpy.ndarray
        N int32: which images of the slot, increasing.
    geometries : dict
        Input blob -> N x V x 6 float64, see ``explaining.columns.geometry_row``.
    asked : dict
        Index -> questions and box of those images that have any of their own.
    others : dict
        Index -> the prepared image, of those that do not lie in the slot.
    sizes : numpy.ndarray
        N int32: bytes of the JPEG that lies in an image's place for the card to decode, or 0.
    """

    slot: int
    positions: np.ndarray
    geometries: Dict[str, np.ndarray]
    asked: Dict[int, Tuple[Tuple[str, ...], Optional[Tuple[float, ...]]]]
    others: Dict[int, Prepared]
    sizes: np.ndarray

    def part(self, start: int, stop: int) -> "NetInput":
        """The images from one index up to another."""
        def of_part(entries: Mapping[int, Entry]) -> Dict[int, Entry]:
            return {index - start: entry for index, entry in entries.items()
                    if start <= index < stop}

        return NetInput(self.slot, self.positions[start:stop],
                        {name: rows[start:stop] for name, rows in self.geometries.items()},
                        of_part(self.asked), of_part(self.others), self.sizes[start:stop])


Done = Callable[[np.ndarray, "Outcome[BatchExplanation]", Optional[str]], None]


class Batch:
    """A batch on its way through a net.

    Parameters
    ----------
    images : NetInput
    done : callable
        Called with positions in the slot, the outcome of these images, and a note where they went
        through the net in a smaller batch.
    attempts : int
        How often a net has failed with this batch.
    note : str, optional
        Why it is smaller than the batch that was read.

    Attributes
    ----------
    is_alone : bool
        Whether a net is to have it without others, to see whether it is what ends processes.
    """

    def __init__(self, images: NetInput, done: Done, attempts: int = 0,
                 note: Optional[str] = None) -> None:
        self.images, self.done, self.attempts, self.note = images, done, attempts, note
        self.is_alone = attempts > 0

    def __len__(self) -> int:
        return len(self.images.positions)

    def halves(self, error: InputError) -> List["Batch"]:
        """Two batches, one after the other, since this one failed."""
        middle = (len(self) + 1) // 2
        parts = [self.images.part(0, middle), self.images.part(middle, len(self))]
        return [Batch(part, self.done, _ATTEMPTS - 1 if len(part.positions) > 1 else 0,
                      f"explained in a batch of {len(part.positions)}, since one of "
                      f"{len(self)} failed: {error}")
                for part in parts]


class Net:
    """A process with an Explainer.

    Parameters
    ----------
    recipe : Recipe
        Its device is the process's.
    memory : BatchMemory
    pipeline : Pipeline
        Of which the size of batches, the threads and the timeout count.
    busy : callable
        Called with the seconds that each batch took.
    waiting : deque of Batch
        Batches for this net and others that share the queue.

    Attributes
    ----------
    description : dict or None
        Of the engine, once it is open.
    """

    def __init__(self, recipe: Recipe, memory: BatchMemory, pipeline: Pipeline,
                 busy: Callable[[float], None], waiting: Deque[Batch]) -> None:
        self._recipe, self._memory, self._pipeline = recipe, memory, pipeline
        self._timeout, self._busy = pipeline.timeout, busy
        self._waiting = waiting
        self._sent: Deque[Batch] = deque()
        self.description: Optional[Dict[str, str]] = None
        self._starts = 0
        self._is_open, self._since = False, 0.0
        self._child = self._started()

    @property
    def pipe(self) -> Connection:
        """The pipe on which answers come."""
        return self._child.pipe

    @property
    def load(self) -> int:
        """Batches that it has at hand."""
        return len(self._sent)

    def feed(self) -> bool:
        """Send the next batch to the net, if it can take one; whether it has."""
        if not self._is_open or not self._waiting or len(self._sent) >= _AT_HAND:
            return False
        if self._sent and (self._sent[-1].is_alone or self._waiting[0].is_alone):
            return False
        # Images of sizes of their own go through the pipe, which must not be full of an answer.
        if self._sent and self._waiting[0].images.others:
            return False
        batch = self._waiting.popleft()
        if not self._sent:
            self._since = time.monotonic()
        self._sent.append(batch)
        try:
            self._child.pipe.send(batch.images)
        except OSError:
            pass  # It has died, which `receive` notices.
        return True

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
        count = self._pipeline.threads
        return Child(
            "caffe_gradcam.batch.pipeline.net_process:serve",
            (memory.arguments, self._recipe, self._pipeline.batch, self._pipeline.decode), "net",
            descriptors=[memory.descriptor],
            environment={"GLOG_minloglevel": "0" if verbose else "2",
                         # Threads that spin between two layers would take the decoders' cores.
                         "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
                         **({} if count is None else threads.variables(count))},
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
        # It may have begun with more than the first.
        for batch in batches:
            batch.is_alone = True
        if batches:
            self._blame(batches[0], error, again=True)

    def _answer(self, batch: Batch, answer: "Outcome[BatchExplanation]") -> None:
        if answer.error is not None:
            self._blame(batch, answer.error, again=False)
        else:
            batch.done(batch.images.positions, answer, batch.note)

    def _blame(self, batch: Batch, error: InputError, again: bool) -> None:
        """Try a batch that failed once more, or its halves; an image alone has failed."""
        batch.attempts += 1
        if again and batch.attempts < _ATTEMPTS:
            self._waiting.appendleft(batch)
        elif len(batch) > 1:
            self._waiting.extendleft(reversed(batch.halves(error)))
        else:
            batch.done(batch.images.positions, Outcome(error=error), batch.note)
