"""Explain parts on a lane and write their files: what every runner does."""

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from caffe_gradcam.batch.options import Drawing
from caffe_gradcam.batch.output import lists, parts
from caffe_gradcam.batch.output.blocks import Block, to_columns
from caffe_gradcam.batch.output.columns import Column, joined, of_rows, to_rows
from caffe_gradcam.batch.output.plan import OVERLAYS, Plan
from caffe_gradcam.batch.output.rows import BAD, COLUMNS, Row
from caffe_gradcam.batch.pipeline.figures import Artist
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.sources.item_blocks import ItemBlock

# Parts that wait for the disk.
_WAITING = 2


@dataclass(frozen=True, eq=False)
class _Part:
    """A part that is being explained: rows of an earlier run that are kept, and new results."""

    number: int
    is_finished: bool
    kept: List[Row]
    items: ItemBlock
    blocks: List[Block]

    def columns(self, heat_boxes: Optional[float]) -> Dict[str, Column]:
        """Its rows."""
        columns = to_columns(self.items.columns(), self.blocks, heat_boxes)
        return joined(of_rows(self.kept, list(COLUMNS)), columns) if self.kept else columns


def explain_parts(plan: Plan, lane: Lane, numbers: Iterable[int], drawing: Drawing,
                  warn: Callable[[str], None]) -> None:
    """Explain parts one after the other, without a pause between them.

    A part whose file exists already is explained again for the items that failed.

    Parameters
    ----------
    plan : Plan
    lane : Lane
    numbers : iterable of int
        Each is taken when its part is begun; all parts that are begun are finished.
    drawing : Drawing
    warn : callable
        Called with a sentence about each problem that has no row.

    Raises
    ------
    InputError
        A part cannot be written, or the engine does not open.
    """
    begun: Dict[int, _Part] = {}
    # This run holds its parts, so no other finishes any of them.
    finished = plan.done()

    def batches() -> Iterator[Tuple[Tuple[int, bool], ItemBlock]]:
        for number in numbers:
            items, kept = _to_explain(plan, number, number in finished)
            begun[number] = _Part(number, number in finished, kept, items, [])
            for start in range(0, len(items), lane.batch):
                stop = start + lane.batch
                yield (number, stop >= len(items)), items.part(start, stop)

    with _Writer(plan, lane, drawing) as writer:
        for (number, is_last), block in lane.results(batches()):
            writer.check()
            begun[number].blocks.append(block)
            if is_last:
                _draw_and_write(plan, lane, drawing, writer, begun.pop(number), warn)


def _to_explain(plan: Plan, number: int, is_finished: bool) -> Tuple[ItemBlock, List[Row]]:
    """The items of a part that are to be explained, and the rows of the others."""
    items = ItemBlock(lists.read_lines(plan.folder, number))
    if not is_finished:
        return items, []
    rows = parts.read(plan, number)
    bad = {row["item"] for row in rows if row["status"] in BAD}
    return (ItemBlock([line for line, item_number in zip(items.lines, items.columns().numbers)
                       if item_number in bad]),
            [row for row in rows if row["item"] not in bad])


def _draw_and_write(plan: Plan, lane: Lane, drawing: Drawing, writer: "_Writer", part: _Part,
                    warn: Callable[[str], None]) -> None:
    if drawing.overlays == "none":
        writer.put(part)
        return
    folder = f"{OVERLAYS}/part-{part.number:06d}"
    rows = to_rows(to_columns(part.items.columns(), part.blocks))
    overlays = Artist(drawing, plan.manifest).overlays(
        part.items.items(), rows, plan.folder.locate(folder))
    if overlays:
        plan.folder.make(folder)

    def then(problems: List[str]) -> None:
        for problem in problems:
            warn("an overlay is missing: " + problem)
        writer.put(part)

    lane.draw(overlays, then)


class _Writer:
    """A thread that makes rows of results and writes them."""

    def __init__(self, plan: Plan, lane: Lane, drawing: Drawing) -> None:
        self._plan, self._drawing, self._gauges = plan, drawing, lane.gauges
        self._busy = lane.gauges.stage("write", 1)
        self._queue: "queue.Queue[Optional[_Part]]" = queue.Queue(_WAITING)
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "_Writer":
        self._thread.start()
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self.check()

    def put(self, part: _Part) -> None:
        """Write a part when its turn comes; waits while too many do."""
        self.check()
        self._queue.put(part)

    def check(self) -> None:
        """Raise the error of the thread, if there is one."""
        if self._error:
            raise self._error

    def _run(self) -> None:
        while True:
            part = self._queue.get()
            if part is None:
                return
            if self._error:
                continue
            started = time.perf_counter()
            try:
                self._write(part)
            except BaseException as error:
                self._error = error
            self._busy(time.perf_counter() - started)

    def _write(self, part: _Part) -> None:
        columns = part.columns(self._drawing.figures.heat_boxes)
        parts.write(self._plan, part.number, columns, part.is_finished)
        self._gauges.count_part()
