"""Decoders, the net and the memory between them: items in, their results out, in order."""

import dataclasses
import itertools
import logging
import os
from collections import deque
from multiprocessing.connection import wait
from typing import (
    Any,
    Callable,
    Deque,
    Dict,
    Generic,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

import numpy as np

from caffe_gradcam.asking.grammar import has_score_map
from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.output.rows import ItemResult
from caffe_gradcam.batch.pipeline.decoder import Decoded
from caffe_gradcam.batch.pipeline.decoders import Decoders, Task
from caffe_gradcam.batch.pipeline.figures import Figures
from caffe_gradcam.batch.pipeline.gauges import Gauges
from caffe_gradcam.batch.pipeline.net import Batch, Net, NetInput, Prediction
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import prepare
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import Outcome, QuestionError

# Batches between being read and being explained: three in the net's process, one complete, and
# two that are being decoded.
_IN_FLIGHT = 6
_TICK = 0.5

# Warnings about images that are shown; thousands of images may all deserve the same.
_MOST_WARNINGS = 3

Tag = TypeVar("Tag")

_logger = logging.getLogger(__name__)
_numbers = itertools.count(1)


def _show(warnings: Iterable[str]) -> None:
    """Log the first few warnings about images of this process's runs."""
    for text in warnings:
        number = next(_numbers)
        if number <= _MOST_WARNINGS:
            _logger.warning(text)
        if number == _MOST_WARNINGS:
            _logger.warning("further warnings about images are not shown")


class Lane:
    """One device with its decoders.

    Parameters
    ----------
    recipe : Recipe
        Its device is the lane's.
    model : LoadedModel
        The recipe's.
    pipeline : Pipeline
    gauges : Gauges, optional

    Attributes
    ----------
    description : dict or None
        Of the engine, once it is open.
    """

    def __init__(self, recipe: Recipe, model: LoadedModel, pipeline: Pipeline,
                 gauges: Optional[Gauges] = None) -> None:
        self.gauges = gauges or Gauges()
        self.batch = pipeline.batch
        self._model, self._has_score_map = model, has_score_map(model)
        self._figures_left = 0
        self._memory = _memory(pipeline.batch, _slot_size(model))
        self._free = deque(range(self._memory.count))
        decoders = pipeline.decoders or 1
        self._net = Net(recipe, self._memory, pipeline, self.gauges.stage("net", 1))
        self._decoders = Decoders(decoders, model.inputs, self._memory, recipe.running.verbose,
                                  self.gauges.stage("decode", decoders))

    @property
    def description(self) -> Optional[Dict[str, str]]:
        return self._net.description

    def results(self, batches: Iterable[Tuple[Tag, Sequence[Item]]]
                ) -> Iterator[Tuple[Tag, List[ItemResult]]]:
        """Explain batches.

        Parameters
        ----------
        batches : iterable of (tag, list of Item)
            At most ``batch`` items each. Which items stand together is kept, so that the same
            batches give the same numbers.

        Yields
        ------
        tag, list of ItemResult
            In the order of the batches and items.

        Raises
        ------
        InputError
            The engine does not open.
        """
        rest: Iterator[Tuple[Tag, Sequence[Item]]] = iter(batches)
        line: "Deque[_BatchInFlight[Tag]]" = deque()
        more = True
        while True:
            while more and len(self._free) >= self.batch:
                batch = next(rest, None)
                more = batch is not None
                if batch is not None:
                    line.append(self._enter(*batch))
            self._decoders.assign()
            self._net.feed()
            while line and line[0].is_finished:
                done = line.popleft()
                self._free.extend(done.slots)
                results = done.finished_results()
                self.gauges.count(results)
                yield done.tag, results
            if not (more or line or self._figures_left):
                return
            if more and len(self._free) >= self.batch:
                continue
            self._wait()

    def draw(self, figures: Sequence[Figures], then: Callable[[List[str]], None]) -> None:
        """Have the decoders draw figures as well; only while ``results`` runs.

        Parameters
        ----------
        figures : sequence of Figures
        then : callable
            Called when all are drawn, with a sentence for each image whose figures are missing.
        """
        left, problems = [len(figures)], []  # type: Tuple[List[int], List[str]]

        def done(outcome: "Outcome[None]") -> None:
            self._figures_left -= 1
            left[0] -= 1
            if outcome.error is not None:
                problems.append(str(outcome.error))
            if not left[0]:
                then(problems)

        self._figures_left += len(figures)
        for entry in figures:
            self._decoders.add_figure(Task(("draw", entry), done))
        if not figures:
            then(problems)

    def close(self) -> None:
        """End all processes."""
        self._decoders.close()
        self._net.close()
        self._memory.close()

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _enter(self, tag: Tag, items: Sequence[Item]) -> "_BatchInFlight[Tag]":
        """Begin a batch: its images go to the decoders, and from there to the net."""
        batch = _BatchInFlight(tag, items, [self._free.popleft() for _ in items], self._net.add)
        for index, item in enumerate(items):
            label = Outcome.of(self._true_label, item)
            if label.error is not None:
                batch.finish(index, ItemResult(item, status="failed", error=str(label.error)))
                continue
            message = ("prepare", item, batch.slots[index], self._has_score_map)
            self._decoders.add_image(Task(message, batch.receiver(index, label.value)))
        return batch

    def _true_label(self, item: Item) -> Optional[int]:
        label = item.true_label
        return self._model.find_class(label) if isinstance(label, str) else label

    def _wait(self) -> None:
        pipes = self._decoders.pipes
        for pipe in wait(list(pipes) + [self._net.pipe], _TICK):
            if pipe in pipes:
                self._decoders.receive(pipes[pipe])  # type: ignore[index]
            else:
                self._net.receive()
        self._decoders.check()
        self._net.check()


class _BatchInFlight(Generic[Tag]):
    """A batch on its way through a lane.

    Parameters
    ----------
    tag, items
        As they came in.
    slots : list of int
        Of the shared memory, one for each item.
    to_net : callable
        Takes the Batch of all images that could be read.
    """

    def __init__(self, tag: Tag, items: Sequence[Item], slots: List[int],
                 to_net: Callable[[Batch], None]) -> None:
        self.tag, self.slots = tag, slots
        self._items, self._to_net = items, to_net
        self._results: List[Optional[ItemResult]] = [None] * len(items)
        self._ready: Dict[int, Tuple[bytes, ItemResult]] = {}
        self._undecoded = len(items)

    @property
    def is_finished(self) -> bool:
        return all(result is not None for result in self._results)

    def finished_results(self) -> List[ItemResult]:
        """The results of all items, in order."""
        return [result for result in self._results if result is not None]

    def receiver(self, index: int, true_label: Optional[int]
                 ) -> "Callable[[Outcome[Decoded]], None]":
        """The function that takes the decoder's answer about an item."""
        item = self._items[index]

        def receive(outcome: "Outcome[Decoded]") -> None:
            if outcome.error is not None:
                self.finish(index, ItemResult(item, None, true_label, "unreadable",
                                              str(outcome.error)))
                return
            decoded = outcome.unwrap()
            _show(decoded.warnings)
            label = decoded.true_label if true_label is None else true_label
            result = ItemResult(item, decoded.sha256, label)
            if decoded.data.error is not None:
                self.finish(index, dataclasses.replace(
                    result, status="unreadable", error=str(decoded.data.error)))
                return
            self._ready[index] = decoded.data.unwrap(), result
            self._count_decoded()

        return receive

    def finish(self, index: int, result: ItemResult) -> None:
        """Take the result of an item that never reaches the net."""
        self._results[index] = result
        self._count_decoded()

    def _count_decoded(self) -> None:
        self._undecoded -= 1
        if self._undecoded or not self._ready:
            return
        order = sorted(self._ready)
        self._to_net(Batch(
            [NetInput(self.slots[index], self._ready[index][0], self._items[index].questions,
                      self._items[index].box) for index in order],
            lambda position, outcome: self._explained(order[position], outcome)))

    def _explained(self, index: int, outcome: "Outcome[Prediction]") -> None:
        result = self._ready[index][1]
        if outcome.error is not None:
            self._results[index] = dataclasses.replace(
                result, status="failed", error=str(outcome.error))
            return
        prediction = outcome.unwrap()
        self._results[index] = dataclasses.replace(
            result, predicted=prediction.predicted, explanations=prediction.explanations,
            note=prediction.note)


def default_decoders(devices: Sequence[str]) -> int:
    """Decoders per device: the cores that this process may use, less one for a net on the CPU."""
    cores = len(os.sched_getaffinity(0))
    on_cpu = sum(device == "cpu" for device in devices)
    return max(1, (cores - on_cpu) // len(devices))


def _memory(batch: int, size: int) -> SharedMemory:
    """Slots for all batches in flight; raises QuestionError where this machine lacks the room."""
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if _IN_FLIGHT * batch * size > room:
        raise QuestionError(
            f"--batch {batch}: {_IN_FLIGHT} batches of these images take "
            f"{_IN_FLIGHT * batch * size / 1e9:.1f} GB, more than half of this machine's memory; "
            f"give at most {room // (_IN_FLIGHT * size)}", "--batch")
    return SharedMemory(_IN_FLIGHT * batch, size)


def _slot_size(model: LoadedModel) -> int:
    """A little more than the bytes that the net reads of one image."""
    side = 1 + max(max(preprocessing.size) for preprocessing in model.inputs.values())
    prepared = prepare(np.zeros((side, side, 3), np.uint8), model.inputs)
    return sum(blobs.nbytes + 64 for blobs in prepared.blobs.values())
