"""Decoders, the net and the memory between them: photographs in, outcomes out, in order."""

import os
from collections import deque
from multiprocessing.connection import wait

import numpy as np

from caffe_gradcam.asking.grammar import has_score_map
from caffe_gradcam.batch.arena import Arena
from caffe_gradcam.batch.pipeline.decoders import Decoders, Task
from caffe_gradcam.batch.pipeline.gauges import Gauges
from caffe_gradcam.batch.pipeline.net import Job, Net
from caffe_gradcam.batch.output.rows import Outcome
from caffe_gradcam.batch.spec import load_model
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import InputError

# Batches between being read and being explained: three in the net's process, one complete, and
# two that are being decoded.
_IN_FLIGHT = 6
_TICK = 0.5


class Lane:
    """One device with its decoders.

    Parameters
    ----------
    spec : dict
        See ``caffe_gradcam.batch.spec``.
    device : str
        "cpu" or "cuda:N".
    workers : int
        Decoders.
    batch : int
        Photographs that go through the net together.
    timeout, decode_timeout : float
        Seconds for a batch in the net, and for a photograph in a decoder.
    gauges : Gauges, optional

    Attributes
    ----------
    description : dict or None
        Of the engine, once it is open.
    """

    def __init__(self, spec, device="cpu", workers=1, batch=8, timeout=600.0,
                 decode_timeout=60.0, gauges=None):
        model = load_model(spec)
        self.gauges = gauges or Gauges()
        self._find_class = model.find_class
        self._sees_regions = has_score_map(model)
        self._size = batch
        self._errands = 0
        self._arena = Arena(_IN_FLIGHT * batch, _slot_size(model))
        self._free = deque(range(self._arena.count))
        self._net = Net(spec, device, self._arena, timeout, self.gauges.stage("net", 1))
        self._decoders = Decoders(
            workers, model.inputs, self._arena, decode_timeout,
            spec["engine"].get("verbose", False), self.gauges.stage("decode", workers))

    @property
    def description(self):
        return self._net.description

    def outcomes(self, batches):
        """Explain batches.

        Parameters
        ----------
        batches : iterator of (tag, list of Item)
            At most ``batch`` items each. Which items stand together is kept, so that the same
            batches give the same numbers.

        Yields
        ------
        tag, list of Outcome
            In the order of the batches and items.

        Raises
        ------
        InputError
            The engine does not open.
        """
        batches, line, more = iter(batches), deque(), True
        while True:
            while more and len(self._free) >= self._size:
                batch = next(batches, None)
                more = batch is not None
                if more:
                    line.append(_Batch(self, *batch))
            self._decoders.assign()
            self._net.feed()
            while line and line[0].is_finished:
                done = line.popleft()
                self.gauges.count(done.outcomes)
                yield done.tag, done.outcomes
            if not (more or line or self._errands):
                return
            if more and len(self._free) >= self._size:
                continue
            self._wait()

    def draw(self, errands, then):
        """Have the decoders draw pictures besides; only while ``outcomes`` runs.

        Parameters
        ----------
        errands : list of tuple
            Arguments of ``decode.draw``, without arena and inputs.
        then : callable
            Called when all is done, with a list of what went wrong.
        """
        left, wrong = [len(errands)], []

        def done(answer):
            self._errands -= 1
            left[0] -= 1
            if answer[0] == "refused":
                wrong.append(answer[1][0])
            if not left[0]:
                then(wrong)

        self._errands += len(errands)
        for errand in errands:
            self._decoders.add_errand(Task(("draw",) + tuple(errand), done))
        if not errands:
            then(wrong)

    def close(self):
        """End all processes."""
        self._decoders.close()
        self._net.close()
        self._arena.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _wait(self):
        pipes = self._decoders.pipes
        for pipe in wait(list(pipes) + [self._net.pipe], _TICK):
            if pipe in pipes:
                self._decoders.receive(pipes[pipe])
            else:
                self._net.receive()
        self._decoders.check()
        self._net.check()


class _Batch:
    """Items on their way through a lane."""

    def __init__(self, lane, tag, items):
        self.tag = tag
        self._lane, self._items = lane, items
        self.outcomes = [None] * len(items)
        self._ready, self._labels = {}, {}
        self._slots = [lane._free.popleft() for _ in items]
        self._undecoded = self._unexplained = len(items)
        for index, item in enumerate(items):
            self._begin(index, item)

    @property
    def is_finished(self):
        return not self._unexplained

    def _begin(self, index, item):
        try:
            self._labels[index] = self._lane._find_class(item.label) if isinstance(
                item.label, str) else item.label
        except InputError as error:
            self._decoded(index, Outcome(item, status="failed", error=str(error)))
            return
        self._lane._decoders.add(Task(
            ("prepare", item, self._slots[index], self._lane._sees_regions),
            lambda answer: self._answered(index, answer)))

    def _answered(self, index, answer):
        kind, value = answer
        item, label = self._items[index], self._labels[index]
        if kind == "refused":
            error, sha256 = value
            self._decoded(index, Outcome(item, sha256, label, "unreadable", error))
            return
        data, sha256, own_label = value
        label = own_label if label is None else label
        self._ready[index] = data, Outcome(item, sha256, label)
        self._decoded(index, None)

    def _decoded(self, index, outcome):
        self._undecoded -= 1
        if outcome:
            self._finish(index, outcome)
        if not self._undecoded and self._ready:
            order = sorted(self._ready)
            self._lane._net.add(Job(
                [(self._slots[one], self._ready[one][0]) for one in order],
                [(self._items[one].asks, self._items[one].box) for one in order],
                lambda place, found: self._explained(order[place], found)))

    def _explained(self, index, found):
        outcome = self._ready[index][1]
        if isinstance(found, InputError):
            self._finish(index, outcome._replace(status="failed", error=str(found)))
        else:
            self._finish(index, outcome._replace(
                predicted=found.predicted, explanations=found.explanations))

    def _finish(self, index, outcome):
        self.outcomes[index] = outcome
        self._unexplained -= 1
        if not self._unexplained:
            self._lane._free.extend(self._slots)


def default_workers(devices):
    """Decoders per device: the cores that this process may use, less one for a net on the CPU."""
    cores = len(os.sched_getaffinity(0))
    on_cpu = sum(device == "cpu" for device in devices)
    return max(1, (cores - on_cpu) // len(devices))


def _slot_size(model):
    """Bytes of what the net reads of one photograph, and a little more."""
    side = 1 + max(max(one.size) for one in model.inputs.values())
    prepared = prepare(np.zeros((side, side, 3), np.uint8), model.inputs)
    return sum(blobs.nbytes + 64 for blobs in prepared.blobs.values())
