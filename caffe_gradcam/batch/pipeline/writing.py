"""Explain shards on a lane and write their parts: what every runner does."""

import queue
import threading
import time
from typing import Any, NamedTuple, Optional

from caffe_gradcam.batch.pipeline import drawing
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.rows import BAD, of_outcome

# Parts that wait for the disk.
_WAITING = 2


class Work(NamedTuple):
    """What a runner needs to know besides the plan; plain values.

    Attributes
    ----------
    spec : dict
        See ``caffe_gradcam.batch.spec``.
    batch : int
        Photographs that go through the net together.
    timeout : float
        Seconds for a batch.
    overlays : str or int
        "none", "all", "wrong" or how many of the source's first images.
    look : dict
        See ``drawing.LOOK``.
    boxes : float or None
        The threshold of boxes, if there shall be any.
    """

    spec: Any
    batch: int = 8
    timeout: float = 600.0
    overlays: Any = "none"
    look: Any = None
    boxes: Optional[float] = None


def explain_shards(plan, work, lane, shards, warn, finished):
    """Explain shards one after the other, without a pause between them.

    A shard of which there is a part already is done again for the items that went wrong.

    Parameters
    ----------
    plan : Plan
    work : Work
    lane : Lane
    shards : iterable of int
        Taken when they are begun; all that are begun are finished.
    warn : callable
        Is given a sentence about what went wrong beside the rows.
    finished : callable
        Is given each shard when its part is written.

    Raises
    ------
    InputError
        A part cannot be written, or the engine does not open.
    """
    begun = {}

    def batches():
        for shard in shards:
            items, kept = _todo(plan, shard)
            begun[shard] = kept, []
            for start in range(0, len(items), work.batch):
                yield ((shard, start + work.batch >= len(items)),
                       items[start:start + work.batch])

    with _Writer(plan, work, lane.gauges, finished) as writer:
        for (shard, is_last), outcomes in lane.outcomes(batches()):
            writer.check()
            kept, collected = begun[shard]
            collected.extend(outcomes)
            if is_last:
                _finish(plan, work, lane, writer, warn, shard, *begun.pop(shard))


def _todo(plan, shard):
    """The items of a shard that are to be explained, and the rows of the others."""
    items = plan.items(shard)
    if not plan.is_done(shard):
        return items, []
    rows = parts.read(plan, shard)
    bad = {row["item"] for row in rows if row["status"] in BAD}
    return ([one for one in items if one.number in bad],
            [row for row in rows if row["item"] not in bad])


def _finish(plan, work, lane, writer, warn, shard, kept, outcomes):
    """Draw what is to be drawn, then write the part."""
    folder, errands = drawing.errands(plan, shard, outcomes, work)
    if errands:
        plan.folder.make(folder)

    def then(wrong):
        for sentence in wrong:
            warn("an overlay is missing: " + sentence)
        writer.put(shard, kept, outcomes)

    lane.draw(errands, then)


class _Writer:
    """A thread that makes rows of outcomes and writes them."""

    def __init__(self, plan, work, gauges, finished):
        self._plan, self._threshold = plan, work.boxes
        self._gauges, self._finished = gauges, finished
        self._busy = gauges.stage("write", 1)
        self._queue = queue.Queue(_WAITING)
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *error):
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self.check()

    def put(self, *part):
        """Write a part when its turn comes; waits while too many do."""
        self.check()
        self._queue.put(part)

    def check(self):
        """Raise what went wrong in the thread."""
        if self._error:
            raise self._error

    def _run(self):
        while True:
            part = self._queue.get()
            if part is None:
                return
            if self._error:
                continue
            started = time.perf_counter()
            try:
                self._write(*part)
            except BaseException as error:
                self._error = error
            self._busy(time.perf_counter() - started)

    def _write(self, shard, kept, outcomes):
        rows = kept + [row for one in outcomes for row in of_outcome(one, self._threshold)]
        # Rows of one item stay in the order of its explanations.
        rows.sort(key=lambda row: row["item"])
        parts.write(self._plan, shard, rows)
        self._gauges.count_part()
        self._finished(shard)
