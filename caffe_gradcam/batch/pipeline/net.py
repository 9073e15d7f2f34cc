"""The net in a process of its own, and how a batch that it does not survive is taken apart."""

import os
import time
import traceback
from collections import deque
from typing import Any, List, NamedTuple

import numpy as np

from caffe_gradcam.batch.child import Child
from caffe_gradcam.explaining.explainer import attempt
from prototxt_tools.errors import EngineError, InputError

# The net has its next batches at hand when it is done with one.
_AT_HAND = 3
# Nobody knows who killed a process: so the same is tried twice, in the same composition, before
# it is taken apart, and before a photograph that is alone is given up.
_ATTEMPTS = 2
_STARTS = 3
# Seconds for reading the weights and finding the device, which may be slow.
_OPENING = 600.0


class Job:
    """Photographs that go through the net together.

    Attributes
    ----------
    photographs : list of (int, bytes)
        Slot of the arena, and what ``Arena.load`` makes the photograph of.
    asks : list of (list of str, list or None)
        Of each photograph, what is asked, and the box.
    done : callable
        Is given, for a photograph, its place among these, and a ``Found`` or InputError.
    """

    def __init__(self, photographs, asks, done, places=None, attempts=0):
        self.photographs, self.asks, self.done = photographs, asks, done
        self.places = list(range(len(photographs))) if places is None else places
        self.attempts = attempts

    def halves(self):
        """Two jobs, one after the other."""
        middle = (len(self.places) + 1) // 2
        return [Job(self.photographs[part], self.asks[part], self.done, self.places[part],
                    _ATTEMPTS - 1 if len(self.places[part]) > 1 else 0)
                for part in (slice(middle), slice(middle, None))]


class Found(NamedTuple):
    """What the net says of a photograph: the best class, and explanations."""

    predicted: int
    explanations: List[Any]


class Net:
    """A process with an Explainer.

    Parameters
    ----------
    spec : dict
        See ``caffe_gradcam.batch.spec``.
    device : str
    arena : Arena
    timeout : float
        Seconds for one batch.
    busy : callable
        Is given the seconds that each batch took.

    Attributes
    ----------
    description : dict or None
        Of the engine, once it is open.
    """

    def __init__(self, spec, device, arena, timeout, busy):
        self._arguments = (arena.count, arena.size, arena.descriptor, spec, device)
        self._verbose = spec["engine"].get("verbose", False)
        self._timeout, self._busy = timeout, busy
        self._waiting, self._sent = deque(), deque()
        self.description, self._starts = None, 0
        self._start()

    @property
    def pipe(self):
        return self._child.pipe

    def add(self, job):
        self._waiting.append(job)

    def feed(self):
        """Send what the net shall do next."""
        while self._is_open and self._waiting and len(self._sent) < _AT_HAND:
            job = self._waiting.popleft()
            if not self._sent:
                self._since = time.monotonic()
            self._sent.append(job)
            try:
                self._child.pipe.send((job.photographs, job.asks))
            except OSError:
                return  # It has died; receive learns that.

    def receive(self):
        """Take an answer, and pass it to its job.

        Raises
        ------
        InputError
            The engine does not open.
        """
        try:
            kind, value, seconds = self._child.pipe.recv()
        except (EOFError, OSError):
            self._restart(self._child.kill())
            return
        if kind == "open":
            self.description, self._is_open, self._starts = value, True, 0
        elif kind == "refused":
            raise value
        else:
            self._busy(seconds)
            self._since = time.monotonic()
            self._answer(self._sent.popleft(), kind, value)

    def check(self):
        """Stop the process if it has been at one batch, or at its start, for too long."""
        limit = self._timeout if self._is_open else max(self._timeout, _OPENING)
        if (self._sent or not self._is_open) and time.monotonic() - self._since > limit:
            self._child.kill()
            self._restart(f"the engine gave no answer within {limit:g} s and was stopped")

    def close(self):
        self._child.kill()

    def _start(self):
        self._is_open, self._since = False, time.monotonic()
        self._child = Child(
            "caffe_gradcam.batch.pipeline.net:serve", self._arguments, [self._arguments[2]],
            environment={"GLOG_minloglevel": "0" if self._verbose else "2",
                         # Threads that spin between two layers would take the decoders' cores.
                         "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")},
            listen=True, verbose=self._verbose)

    def _restart(self, reason):
        """Start another process; the first batch that it had is the one that it died of."""
        was_open = self._is_open
        jobs, self._sent = list(self._sent), deque()
        self._starts += not was_open
        if self._starts >= _STARTS:
            raise EngineError(reason)
        self._start()
        self._waiting.extendleft(reversed(jobs[1:]))
        if jobs:
            self._blame(jobs[0], EngineError(reason), again=True)

    def _answer(self, job, kind, value):
        if kind == "failed":
            self._blame(job, value, again=False)
            return
        for place, found in zip(job.places, value):
            job.done(place, found)

    def _blame(self, job, error, again):
        """Try a job that went wrong once more, or its halves; alone, it has failed."""
        job.attempts += 1
        if again and job.attempts < _ATTEMPTS:
            self._waiting.appendleft(job)
        elif len(job.places) > 1:
            self._waiting.extendleft(reversed(job.halves()))
        else:
            job.done(job.places[0], error)


def serve(pipe, count, size, descriptor, spec, device):
    """The process: open the engine, then explain batches until the pipe closes."""
    from caffe_gradcam.asking.grammar import Asker
    from caffe_gradcam.batch.arena import Arena
    from caffe_gradcam.batch.spec import asking_of, open_explainer
    from caffe_gradcam.engines.isolated import as_said

    arena = Arena(count, size, descriptor)
    started = time.perf_counter()
    try:
        explainer = open_explainer(spec, device)
        asker = Asker(asking_of(spec), explainer.model, explainer.score_blob)
    except InputError as error:
        pipe.send(("refused", as_said(error), 0.0))
        return
    # torch's version is a class of its own, which would bring torch into the other process.
    description = {name: str(value) for name, value in explainer.engine.description.items()}
    pipe.send(("open", description, time.perf_counter() - started))
    while True:
        photographs, asks = pipe.recv()
        started = time.perf_counter()
        try:
            prepared = [arena.load(data, slot) for slot, data in photographs]
            answer = "done", _explain(explainer, asker, prepared, asks)
        except InputError as error:
            answer = "failed", as_said(error)
        except Exception:
            answer = "failed", EngineError(traceback.format_exc().strip().splitlines()[-1])
        pipe.send(answer + (time.perf_counter() - started,))


def _explain(explainer, asker, prepared, asks):
    """A ``Found`` or InputError for each photograph."""
    questions = [attempt(asker.questions, *one) for one in asks]
    wrong = [one if isinstance(one, InputError) else None for one in questions]
    results = explainer.explain_prepared(
        [error or one for error, one in zip(wrong, prepared)],
        [[] if error else one for error, one in zip(wrong, questions)])
    return [_found(one) for one in results]


def _found(result):
    if isinstance(result, InputError):
        return InputError(str(result))
    return Found(int(np.argmax(result.scores)), result.explanations)
