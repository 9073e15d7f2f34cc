"""Figures of rows that were explained before: no net is needed, only the photographs."""

from multiprocessing.connection import wait

from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.arena import Arena
from caffe_gradcam.batch.pipeline.decoders import Decoders, Task
from caffe_gradcam.batch.pipeline.drawing import errand
from caffe_gradcam.batch.pipeline.lane import default_workers
from caffe_gradcam.batch.output.rows import to_explanation

_TIMEOUT, _TICK = 60.0, 0.5
# Figures that are being drawn or wait for it, per decoder.
_WAITING = 4


def redraw(plan, where, folder, look, limit=None, workers=None):
    """Draw the rows that fulfil a condition.

    Parameters
    ----------
    plan : Plan
    where : Where or None
        All rows that have a map without.
    folder : LocalFolder or UrlFolder
    look : dict
        See ``drawing.LOOK``.
    limit : int, optional
        Images to draw.
    workers : int, optional

    Returns
    -------
    drawn : int
        Images.
    wrong : list of str
        What could not be drawn, and why.
    """
    count = workers or default_workers(["cuda"])
    folder.make()
    arena = Arena(1, 1)
    decoders = Decoders(count, {}, arena, _TIMEOUT, False, lambda seconds: None)
    waiting, drawn, wrong = set(), [], []
    try:
        for index, arguments in enumerate(_errands(plan, where, folder, look)):
            if index == limit:
                break
            _submit(decoders, arguments, waiting, drawn, wrong)
            _run(decoders, waiting, _WAITING * count)
        _run(decoders, waiting, 1)
    finally:
        decoders.close()
        arena.close()
    return len(drawn), wrong


def _errands(plan, where, folder, look):
    for shard in sorted(plan.done()):
        if where is not None and not any(map(where, parts.read(plan, shard, _columns(where)))):
            continue  # The maps are most of a part.
        items = {one.number: one for one in plan.items(shard)}
        wanted = {}
        for row in parts.read(plan, shard):
            if row["cam_shape"] and (where is None or where(row)):
                wanted.setdefault(row["item"], []).append(row)
        for number, rows in wanted.items():
            yield errand(items[number], rows[0]["sha256"], list(map(to_explanation, rows)), look,
                         folder.path)


def _columns(where):
    return sorted(where.columns) or ["item"]


def _submit(decoders, arguments, waiting, drawn, wrong):
    def done(answer):
        waiting.discard(task)
        if answer[0] == "refused":
            wrong.append(answer[1][0])
        else:
            drawn.append(arguments[0].number)

    task = Task(("draw",) + arguments, done)
    waiting.add(task)
    decoders.add(task)


def _run(decoders, waiting, most):
    """Let the decoders work until fewer than ``most`` tasks are left."""
    decoders.assign()
    while len(waiting) >= most:
        pipes = decoders.pipes
        for pipe in wait(list(pipes), _TICK):
            decoders.receive(pipes[pipe])
        decoders.check()
        decoders.assign()
