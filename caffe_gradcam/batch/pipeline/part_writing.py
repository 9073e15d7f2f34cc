"""Explain parts on a lane and write their files: what every runner does."""

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from caffe_gradcam.batch.options import Drawing
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.plan import OVERLAYS, Plan
from caffe_gradcam.batch.output.rows import BAD, ItemResult, Row, of_result
from caffe_gradcam.batch.pipeline.figures import Artist
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.sources.item import Item

# Parts that wait for the disk.
_WAITING = 2


@dataclass(frozen=True, eq=False)
class _Part:
    """A part that is being explained: rows of an earlier run that are kept, and new results."""

    number: int
    kept: List[Row]
    results: List[ItemResult]


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

    def batches() -> Iterator[Tuple[Tuple[int, bool], List[Item]]]:
        for number in numbers:
            items, kept = _to_explain(plan, number)
            begun[number] = _Part(number, kept, [])
            for start in range(0, len(items), lane.batch):
                yield ((number, start + lane.batch >= len(items)),
                       items[start:start + lane.batch])

    with _Writer(plan, lane, drawing) as writer:
        for (number, is_last), results in lane.results(batches()):
            writer.check()
            begun[number].results.extend(results)
            if is_last:
                _draw_and_write(plan, lane, drawing, writer, begun.pop(number), warn)


def _to_explain(plan: Plan, number: int) -> Tuple[List[Item], List[Row]]:
    """The items of a part that are to be explained, and the rows of the others."""
    items = plan.items(number)
    if not plan.is_done(number):
        return items, []
    rows = parts.read(plan, number)
    bad = {row["item"] for row in rows if row["status"] in BAD}
    return ([item for item in items if item.number in bad],
            [row for row in rows if row["item"] not in bad])


def _draw_and_write(plan: Plan, lane: Lane, drawing: Drawing, writer: "_Writer", part: _Part,
                    warn: Callable[[str], None]) -> None:
    folder = f"{OVERLAYS}/part-{part.number:06d}"
    artist = Artist(drawing, plan.manifest)
    overlays = artist.overlays(part.results, plan.folder.locate(folder))
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
        rows = part.kept + [row for result in part.results
                            for row in of_result(result, self._drawing.figures.heat_boxes)]
        # Rows of one item stay in the order of its explanations.
        rows.sort(key=lambda row: row["item"])
        parts.write(self._plan, part.number, rows)
        self._gauges.count_part()
