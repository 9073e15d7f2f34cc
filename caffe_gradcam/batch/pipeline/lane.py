"""Decoders, nets and the memory between them: items in, what became of them out, in order."""

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

from caffe_gradcam.asking.asker import has_score_map
from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.options import Pipeline
from caffe_gradcam.batch.output.blocks import Block
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory, Layout
from caffe_gradcam.batch.pipeline.decoder import Decoded, Preparation
from caffe_gradcam.batch.pipeline.decoders import Decoders, Task
from caffe_gradcam.batch.pipeline.figures import Figures
from caffe_gradcam.batch.pipeline.gauges import Gauges
from caffe_gradcam.batch.pipeline.net import Batch, Net, NetInput
from caffe_gradcam.batch.sources.item import Label
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.explaining.columns import BatchExplanation, Explanations
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError, Outcome, QuestionError

# Batches between being read and being explained: three in the process of each net, one complete,
# and two that are being decoded.
_PER_NET, _BEFORE = 3, 3
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
    """Nets with their decoders.

    Parameters
    ----------
    recipe : Recipe
    model : LoadedModel
        The recipe's.
    pipeline : Pipeline
        There is a net on each of its devices; without any, one on the recipe's.
    gauges : Gauges, optional
    """

    def __init__(self, recipe: Recipe, model: LoadedModel, pipeline: Pipeline,
                 gauges: Optional[Gauges] = None) -> None:
        self.gauges = gauges or Gauges()
        self.batch = pipeline.batch
        self._model, self._has_score_map = model, has_score_map(model)
        self._figures_left = 0
        devices = pipeline.devices or (recipe.running.device,)
        decoders = pipeline.decoders or 1
        self._memory = _memory(Layout.of(model, pipeline.batch),
                               _PER_NET * len(devices) + _BEFORE)
        self._free = deque(range(self._memory.count))
        # Each decoder has its share of every batch, so that all have work.
        self._share = -(-pipeline.batch // decoders)
        self._waiting: Deque[Batch] = deque()
        busy = self.gauges.stage("net", len(devices))
        self._nets = [Net(resolved(recipe, device), self._memory, pipeline, busy, self._waiting)
                      for device in devices]
        self._decoders = Decoders(decoders, model, self._memory, recipe.running.verbose,
                                  self.gauges.stage("decode", decoders), pipeline.decode)

    @property
    def model(self) -> LoadedModel:
        """The model of the nets."""
        return self._model

    @property
    def descriptions(self) -> List[Dict[str, str]]:
        """Of the engines that are open."""
        return [net.description for net in self._nets if net.description]

    def results(self, batches: Iterable[Tuple[Tag, ItemBlock]]) -> Iterator[Tuple[Tag, Block]]:
        """Explain batches.

        Parameters
        ----------
        batches : iterable of (tag, ItemBlock)
            At most ``batch`` items each. Which items stand together is kept, so that the same
            batches give the same numbers.

        Yields
        ------
        tag, Block
            In the order of the batches.

        Raises
        ------
        InputError
            The engine does not open.
        """
        rest: Iterator[Tuple[Tag, ItemBlock]] = iter(batches)
        line: "Deque[_BatchInFlight[Tag]]" = deque()
        more = True
        while True:
            while more and self._free:
                batch = next(rest, None)
                more = batch is not None
                if batch is not None:
                    line.append(self._enter(*batch))
            self._decoders.assign()
            self._feed()
            while line and line[0].is_finished:
                done = line.popleft()
                self._free.append(done.slot)
                block = done.block()
                self.gauges.count(block.statuses())
                yield done.tag, block
            if not (more or line or self._figures_left):
                return
            if more and self._free:
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
            self._decoders.add_figure(Task("draw", entry, done))
        if not figures:
            then(problems)

    def close(self) -> None:
        """End all processes."""
        self._decoders.close()
        for net in self._nets:
            net.close()
        self._memory.close()

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _enter(self, tag: Tag, items: ItemBlock) -> "_BatchInFlight[Tag]":
        """Begin a batch: its images go to the decoders, and from there to a net."""
        batch = _BatchInFlight(tag, items, self._free.popleft(), self._true_label)
        batch.to_nets = self._waiting.append
        for start in range(0, len(items), self._share):
            part = items.part(start, start + self._share)
            preparation = Preparation(part, batch.slot, start, self._has_score_map, {})
            self._decoders.add_image(Task("prepare", preparation, batch.receiver(start, part)))
        return batch

    def _true_label(self, label: Label) -> Optional[int]:
        return self._model.find_class(label) if isinstance(label, str) else label

    def _feed(self) -> None:
        """Give batches to the nets, to those with the fewest first."""
        while self._waiting:
            nets = sorted(self._nets, key=lambda net: net.load) if len(
                self._nets) > 1 else self._nets
            if not any(net.feed() for net in nets):
                return

    def _wait(self) -> None:
        decoders = self._decoders.pipes
        nets = {net.pipe: net for net in self._nets}
        for pipe in wait([*decoders, *nets], _TICK):
            if pipe in decoders:
                self._decoders.receive(decoders[pipe])  # type: ignore[index]
            else:
                nets[pipe].receive()  # type: ignore[index]
        self._decoders.check()
        for net in self._nets:
            net.check()


class _BatchInFlight(Generic[Tag]):
    """A batch on its way through a lane.

    Parameters
    ----------
    tag, items
        As they came in.
    slot : int
        Of the memory.
    true_label : callable
        A label -> the class number; raises an InputError where there is no such class.

    Attributes
    ----------
    to_nets : callable
        Takes the Batch of all images that could be read.
    """

    def __init__(self, tag: Tag, items: ItemBlock, slot: int,
                 true_label: Callable[[Label], Optional[int]]) -> None:
        self.tag, self.slot = tag, slot
        self.to_nets: Callable[[Batch], None] = _nowhere
        self._items, self._true_label = items, true_label
        count = len(items)
        self._sha256 = np.zeros(count, "S64")
        self._labels: List[Optional[int]] = [None] * count
        self._without: Dict[int, Tuple[str, Optional[str]]] = {}
        self._predicted = np.full(count, -1, np.int32)
        self._groups: List[Explanations] = []
        self._notes: Dict[int, str] = {}
        self._frames: Dict[int, Sequence[int]] = {}
        self._decoded: Dict[int, Decoded] = {}
        self._undecoded = self._unexplained = count

    @property
    def is_finished(self) -> bool:
        return not self._unexplained

    def block(self) -> Block:
        """What became of the images."""
        return Block(self._items, self._sha256, self._labels, self._without, self._predicted,
                     self._groups, self._notes, self._frames)

    def receiver(self, start: int, items: ItemBlock) -> "Callable[[Outcome[Decoded]], None]":
        """The function that takes a decoder's answer about the items from a position on."""

        def receive(outcome: "Outcome[Decoded]") -> None:
            if outcome.error is not None:
                for position in range(start, start + len(items)):
                    self._without[position] = "unreadable", str(outcome.error)
            else:
                self._take(start, outcome.unwrap())
            self._undecoded -= len(items)
            if not self._undecoded:
                self._send()

        return receive

    def _take(self, start: int, decoded: Decoded) -> None:
        """Take what a decoder found out."""
        _show(decoded.warnings)
        count = len(decoded.labels)
        self._sha256[start:start + count] = decoded.sha256
        for position, indices in decoded.frames.items():
            self._frames[start + position] = indices
        for position, reason in decoded.errors.items():
            self._without[start + position] = "unreadable", reason
        for position, label in enumerate(decoded.labels):
            try:
                self._labels[start + position] = self._true_label(label)
            except InputError as error:
                self._without[start + position] = "failed", str(error)
        self._decoded[start] = decoded

    def _send(self) -> None:
        """Send the images that could be read to a net."""
        count = len(self._items)
        self._unexplained -= len(self._without)
        if not self._unexplained:
            return
        parts = [self._decoded[start] for start in sorted(self._decoded)]
        starts = sorted(self._decoded)
        positions = np.arange(count, dtype=np.int32)
        geometries: Dict[str, np.ndarray] = {
            name: rows if len(parts) == 1 else np.concatenate(
                [part.geometries[name] for part in parts])
            for name, rows in parts[0].geometries.items()}
        sizes = np.concatenate([part.sizes for part in parts])
        asked, others = ({start + position: entry for start, part in zip(starts, parts)
                          for position, entry in entries(part).items()}
                         for entries in (_asked, _others))
        if self._without or len(geometries[next(iter(geometries))]) < count:
            read = np.concatenate([np.arange(start, start + len(part.labels))
                                   for start, part in zip(starts, parts)])
            is_wanted = np.ones(count, bool)
            is_wanted[list(self._without)] = False
            is_good = is_wanted[read]
            positions = read[is_good].astype(np.int32)
            geometries = {name: rows[is_good] for name, rows in geometries.items()}
            sizes = sizes[is_good]
            asked, others = ({index: entries[position] for index, position
                              in enumerate(positions.tolist()) if position in entries}
                             for entries in (asked, others))
        self._decoded = {}
        self.to_nets(Batch(NetInput(self.slot, positions, geometries, asked, others, sizes),
                           self._explained))

    def _explained(self, positions: np.ndarray, outcome: "Outcome[BatchExplanation]",
                   note: Optional[str]) -> None:
        self._unexplained -= len(positions)
        if outcome.error is not None:
            for position in positions.tolist():
                self._without[position] = "failed", str(outcome.error)
            return
        answer = outcome.unwrap()
        self._predicted[positions] = answer.predicted
        self._groups += answer.groups if len(positions) == len(self._items) else [
            group.at(positions) for group in answer.groups]
        for index, error in answer.errors.items():
            self._without[int(positions[index])] = "failed", str(error)
        for index in answer.nothing:
            self._without[int(positions[index])] = "empty", None
        if not (answer.nothing or note or answer.note):
            return
        for index, position in enumerate(positions.tolist()):
            notes = [text for text in (answer.nothing.get(index), note, answer.note)
                     if text is not None]
            if notes and index not in answer.errors:
                self._notes[position] = "; ".join(notes)


def _asked(decoded: Decoded) -> Dict[int, Any]:
    return decoded.asked


def _others(decoded: Decoded) -> Dict[int, Any]:
    return decoded.others


def _nowhere(batch: Batch) -> None:
    """Where batches go that no lane has taken in."""


def _memory(layout: Layout, count: int) -> BatchMemory:
    """Slots for all batches in flight; raises QuestionError where this machine lacks the room."""
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    if count * layout.size > room:
        raise QuestionError(
            f"--batch {layout.images}: {count} batches of these images take "
            f"{count * layout.size / 1e9:.1f} GB, more than half of this machine's memory; "
            f"give at most {layout.images * room // (count * layout.size)}", "--batch")
    return BatchMemory(layout, count)
