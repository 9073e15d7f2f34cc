"""Figures of rows that were explained before: no net is needed, only the images."""

import itertools
from multiprocessing.connection import wait
from typing import Dict, Iterator, List, Optional, Tuple

from caffe_gradcam.batch.options import Drawing, check_clips
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.output.rows import Row
from caffe_gradcam.batch.output.where import Where
from caffe_gradcam.batch.pipeline.decoders import Decoders, Task
from caffe_gradcam.batch.pipeline.figures import Artist, Figures
from caffe_gradcam.batch.pipeline.sizes import cores
from caffe_gradcam.batch.storage import Folder
from prototxt_tools.errors import Outcome

_TICK = 0.5
# Figures that are being drawn or queued, per decoder.
_WAITING = 4


def redraw(plan: Plan, where: Optional[Where], folder: Folder, drawing: Drawing,
           limit: Optional[int] = None, decoders: Optional[int] = None) -> Tuple[int, List[str]]:
    """Draw the rows that fulfil a condition.

    Parameters
    ----------
    plan : Plan
    where : Where or None
        None: all rows that have a map.
    folder : LocalFolder or UrlFolder
    drawing : Drawing
    limit : int, optional
        Images to draw.
    decoders : int, optional
        Processes that read and draw; without it, as many as there are cores.

    Returns
    -------
    drawn : int
        Images.
    problems : list of str
        A sentence for each image that could not be drawn.

    Raises
    ------
    QuestionError
        Figures that are not drawn of clips.
    """
    if plan.manifest["rows_depend_on"].get("clips"):
        check_clips(drawing)
    count = decoders or cores()
    folder.make()
    with _Pool(count) as pool:
        for figures in itertools.islice(_figures(plan, where, folder, drawing), limit):
            pool.add(figures)
            pool.work_until(_WAITING * count)
        pool.work_until(1)
    return pool.drawn, pool.problems


def _figures(plan: Plan, where: Optional[Where], folder: Folder, drawing: Drawing
             ) -> Iterator[Figures]:
    artist = Artist(drawing, plan.manifest)
    for number in sorted(plan.done()):
        if where is not None and not any(map(where, parts.read(plan, number, _columns(where)))):
            continue  # The maps are the largest column.
        items = {item.number: item for item in plan.items(number)}
        selected: Dict[int, List[Row]] = {}
        for row in parts.read(plan, number):
            if row["cam_shape"] and (where is None or where(row)):
                selected.setdefault(row["item"], []).append(row)
        for item_number, rows in selected.items():
            yield artist.figures(items[item_number], rows, folder.path)


def _columns(where: Where) -> List[str]:
    return sorted(where.columns) or ["item"]


class _Pool:
    """Decoders that draw figures."""

    def __init__(self, count: int) -> None:
        self.drawn = 0
        self.problems: List[str] = []
        self._decoders = Decoders(count, None, None)
        self._waiting = 0

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *error: object) -> None:
        self._decoders.close()

    def add(self, figures: Figures) -> None:
        """Put figures into the queue."""
        self._waiting += 1
        self._decoders.add_figure(Task("draw", figures, self._done))

    def work_until(self, most: int) -> None:
        """Let the decoders work until fewer than ``most`` tasks are left."""
        self._decoders.assign()
        while self._waiting >= most:
            pipes = self._decoders.pipes
            for pipe in wait(list(pipes), _TICK):
                self._decoders.receive(pipes[pipe])  # type: ignore[index]
            self._decoders.check()
            self._decoders.assign()

    def _done(self, outcome: "Outcome[None]") -> None:
        self._waiting -= 1
        if outcome.error is not None:
            self.problems.append(str(outcome.error))
        else:
            self.drawn += 1
