"""The decoders: processes that read, decode and prepare photographs, and draw overlays.

They are processes rather than threads since a decoder of images may crash, hang or take all the
memory on a file that was made to do so.
"""

import dataclasses
import time
from collections import deque

from caffe_gradcam.batch.sources import reading
from caffe_gradcam.batch.arena import Arena
from caffe_gradcam.batch.child import Child
from prototxt_tools.errors import InputError

# A decoder has its next task at hand when it is done with one.
_AT_HAND = 2
# A process may be killed by somebody else; a photograph that ends two is what killed them.
_ATTEMPTS = 2


class Task:
    """Something for a decoder to do.

    Attributes
    ----------
    message : tuple
        The name of a function of ``ACTIONS``, and its arguments.
    done : callable
        Is given the answer: ("done", value), or ("refused", reason).
    """

    def __init__(self, message, done):
        self.message = message
        self.done = done
        self.attempts = 0


class Decoders:
    """Some processes that work on a queue of tasks.

    Parameters
    ----------
    count : int
    inputs : dict
        Input blob -> Preprocessing.
    arena : Arena
    timeout : float
        Seconds that one task may take.
    verbose : bool
    busy : callable
        Is given the seconds that each task took.
    """

    def __init__(self, count, inputs, arena, timeout, verbose, busy):
        self._arguments = (arena.count, arena.size, arena.descriptor, inputs)
        self._timeout, self._verbose, self._busy = timeout, verbose, busy
        self._tasks, self._errands = deque(), deque()
        self._turn = False
        self._workers = []
        for _ in range(count):
            self._workers.append(_Worker(self._start()))

    def add(self, task):
        """Put a photograph at the end of the queue."""
        self._tasks.append(task)

    def add_errand(self, task):
        """Put something into the queue of what the net does not wait for."""
        self._errands.append(task)

    @property
    def pipes(self):
        """The pipes on which answers may come."""
        return {worker.child.pipe: worker for worker in self._workers}

    def assign(self):
        """Give tasks to those that have few."""
        for worker in self._workers:
            while len(worker.tasks) < _AT_HAND and (self._tasks or self._errands):
                self._give(worker, self._next())

    def receive(self, worker):
        """Take an answer, and pass it to its task; a process that has died is replaced."""
        try:
            kind, value, seconds = worker.child.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, worker.child.kill())
            return
        self._busy(seconds)
        worker.tasks.popleft().done((kind, value))
        worker.since = time.monotonic()

    def check(self):
        """Stop those that have been at one task for too long."""
        for worker in self._workers:
            if worker.tasks and time.monotonic() - worker.since > self._timeout:
                worker.tasks[0].attempts = _ATTEMPTS
                worker.child.kill()
                self._replace(worker, f"took more than {self._timeout:g} s")

    def close(self):
        for worker in self._workers:
            worker.child.kill()

    def _start(self):
        return Child(
            "caffe_gradcam.batch.pipeline.decoders:serve", self._arguments, [self._arguments[2]],
            environment={"OPENCV_IO_MAX_IMAGE_PIXELS": str(reading.MOST_PIXELS),
                         "OMP_NUM_THREADS": "1"},
            verbose=self._verbose)

    def _next(self):
        self._turn = not self._turn
        if self._errands and (self._turn or not self._tasks):
            return self._errands.popleft()
        return self._tasks.popleft()

    def _give(self, worker, task):
        if not worker.tasks:
            worker.since = time.monotonic()
        worker.tasks.append(task)
        try:
            worker.child.pipe.send(task.message)
        except OSError:
            pass  # It has died; receive learns that.

    def _replace(self, worker, reason):
        tasks, worker.tasks = worker.tasks, deque()
        worker.child = self._start()
        if tasks:
            tasks[0].attempts += 1
            if tasks[0].attempts >= _ATTEMPTS:
                tasks.popleft().done(("refused", ("the decoder was stopped: " + reason, None)))
        self._tasks.extendleft(reversed(tasks))


class _Worker:
    def __init__(self, child):
        self.child = child
        self.tasks = deque()
        self.since = time.monotonic()


def serve(pipe, count, size, descriptor, inputs):
    """The process: do what comes through the pipe until it closes."""
    import cv2

    cv2.setNumThreads(1)
    arena = Arena(count, size, descriptor)
    while True:
        name, *arguments = pipe.recv()
        started = time.perf_counter()
        try:
            answer = "done", ACTIONS[name](arena, inputs, *arguments)
        except _Refused as refused:
            answer = "refused", refused.args
        except InputError as error:
            answer = "refused", (str(error), None)
        except MemoryError:
            answer = "refused", ("there is not enough memory for it", None)
        except Exception as error:  # one photograph, whatever it is, never stops the run
            answer = "refused", (f"{type(error).__name__}: {error}", None)
        pipe.send(answer + (time.perf_counter() - started,))


class _Refused(Exception):
    """A reason, and the SHA-256 of what could be read but not decoded."""


def prepare(arena, inputs, item, slot, whole):
    """Put what the net reads of an item into a slot.

    Parameters
    ----------
    arena : Arena
    inputs : dict
    item : Item
    slot : int
    whole : bool
        Whether the net sees all of the photograph although the item has a box.

    Returns
    -------
    bytes, str, int or None
        What ``Arena.load`` wants, the SHA-256, and the label of a Datum.
    """
    from caffe_gradcam.model.preprocess import prepare as prepare_photograph

    fetched = reading.fetch(item)
    try:
        picture = reading.photograph(item, fetched)
        part, corner = (picture, None) if whole or not item.box else reading.cut(picture, item.box)
        prepared = prepare_photograph(part, inputs)
    except InputError as error:
        raise _Refused(str(error), fetched.sha256) from None
    if corner:
        prepared = _moved(prepared, picture.shape[:2], corner)
    return arena.dump(prepared, slot), fetched.sha256, fetched.label


def _moved(prepared, size, corner):
    """The same with geometries on the photograph of which only a part was prepared."""
    geometries = {name: [geometry.moved(size, corner) for geometry in group]
                  for name, group in prepared.geometries.items()}
    return dataclasses.replace(prepared, geometries=geometries)


def draw(arena, inputs, item, sha256, pictures, look, folder):
    """Draw explanations of an item's photograph.

    Parameters
    ----------
    arena, inputs
        Not used.
    item : Item
    sha256 : str
        Of the image when it was explained; another one is refused.
    pictures : list of (str, Explanation)
        File name in the folder, and explanation.
    look : dict
        See ``drawing.LOOK``.
    folder : str
    """
    from caffe_gradcam.batch.pipeline.drawing import picture_of
    from caffe_gradcam.batch.storage import open_folder

    fetched = reading.fetch(item)
    if fetched.sha256 != sha256:
        raise InputError(f"{item.path}: has changed since it was explained")
    photograph = reading.photograph(item, fetched)
    place = open_folder(folder)
    for name, explanation in pictures:
        place.write(name, picture_of(photograph, explanation, look))


ACTIONS = {"prepare": prepare, "draw": draw}
