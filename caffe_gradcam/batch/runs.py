"""A batch from beginning to end."""

import dataclasses
import functools
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from caffe_gradcam.batch import dependencies, sources, storage
from caffe_gradcam.batch.options import AUTO, FULL, Options, Pipeline, check_clips
from caffe_gradcam.batch.output import checksums, lists, lock, parts, plan, status
from caffe_gradcam.batch.output.plan import Content, Plan
from caffe_gradcam.batch.pipeline import decoding, sizes
from caffe_gradcam.batch.progress import Progress
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import Folder
from caffe_gradcam.batch.versions import versions
from caffe_gradcam.explaining.asked_batches import checked
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import QuestionError

_OPTIONS = Options()


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes
    ----------
    counts : dict
        Status -> images that this run explained.
    parts : int
        Parts that this run made.
    held : dict
        Status -> images in all finished parts of this worker, whoever made them; and "rows".
    complete : bool
        Whether these are all parts of this worker.
    seconds : float
    output : str
    """

    counts: Dict[str, int]
    parts: int
    held: Dict[str, int]
    complete: bool
    seconds: float
    output: str


def run(recipe: Recipe, source: str, output: str, options: Options = _OPTIONS,
        stop: Optional[threading.Event] = None, model: Optional[LoadedModel] = None) -> Summary:
    """Explain a source of images into a folder of part files, or continue an earlier run.

    Parameters
    ----------
    recipe : Recipe
        The model, what is asked, how it is explained, and on what it runs.
    source : str
        See ``sources.open_source``.
    output : str
        A folder or a URL of fsspec.
    options : Options
    stop : threading.Event, optional
        Set it to have the run end after the parts in hand.
    model : LoadedModel, optional
        The recipe's, where the caller has loaded it already.

    Raises
    ------
    InputError
        Nothing can be done, or the run has to stop.
    """
    started = time.time()
    recipe = dependencies.resolved(recipe)
    # Questions without an answer are refused now.
    model = checked(recipe, model or recipe.model.load())
    if model.clips:
        check_clips(options.drawing)
    folder = storage.open_folder(output)
    folder.make()
    opened = _open(folder, _content(recipe, model, source, options), options, model)
    options = dataclasses.replace(
        options, pipeline=_settled(options.pipeline, opened, recipe, model))
    numbers = opened.parts_of(options.parts.worker)
    with lock.parts(folder, numbers, options.pipeline.runner == "ray") as opened.claim:
        todo = _todo(opened, numbers, options.parts.retry_failed)
        parts.remove_leftovers(opened, numbers)
        with Progress(sum(map(opened.size, todo)), options.reporting, stop) as progress:
            if todo:
                progress.inform(sizes.sentence(options.pipeline))
            if not folder.creates:
                progress.warn(f"{folder.path}: no conditional writes are known of this store; a "
                              "run that stands still while another takes its parts over may "
                              "replace a part of the other")
            engines = _runner(options.pipeline.runner, model)(
                opened, recipe, options, todo, progress) if todo else []
        done = opened.done()
        held = status.count(opened, done.intersection(numbers))
        opened.add_run(_run_entry(started, engines, progress, options),
                       _counts(opened, numbers, held) if len(done) >= opened.parts else None)
        gauges = progress.gauges
        return Summary(dict(gauges.counts), gauges.parts, held, gauges.parts == len(todo),
                       gauges.seconds, output)


def _settled(pipeline: Pipeline, opened: Plan, recipe: Recipe, model: LoadedModel) -> Pipeline:
    """The pipeline with a value for all that was left open, those of the output among them."""
    rows_depend_on, items = opened.manifest["rows_depend_on"], opened.manifest["items"]
    pipeline = dataclasses.replace(pipeline, decode=rows_depend_on.get("decode", FULL))
    # Refuses what cannot be decoded here.
    pipeline = decoding.settled(pipeline, recipe.running, model)
    return sizes.chosen(pipeline, rows_depend_on["threads"], items)


def _content(recipe: Recipe, model: LoadedModel, source: str, options: Options) -> Content:
    if source != "-" and not storage.is_url(source):
        source = os.path.abspath(source)
    pipeline = decoding.settled(options.pipeline, recipe.running, model)
    if pipeline.threads is None:
        pipeline = dataclasses.replace(pipeline, threads=sizes.default_threads(
            pipeline.devices, os.path.getsize(model.weights)))
    return Content(
        source, recipe.to_dict(),
        dependencies.rows_depend_on(recipe, model, options.drawing.figures.heat_boxes, pipeline),
        options.parts.limit, options.parts.size, dependencies.about(model))


def _open(folder: Folder, content: Content, options: Options, model: LoadedModel) -> Plan:
    """The plan of an output, made if there is none yet."""
    if not options.parts.resume:
        _clear(folder)

    def items() -> Iterator[Item]:
        return sources.open_source(content.source, options.parts.root, model.class_names,
                                   inputs=sources.InputColumns.of(model))

    with lock.manifest(folder):
        if not folder.exists(plan.MANIFEST):
            return Plan.make(folder, items(), content, parts.preferred_format())
        opened = Plan.open(folder)
        # This machine may have chosen otherwise, but rows depend on it.
        content = dataclasses.replace(content, rows_depend_on=dict(
            content.rows_depend_on, **{name: opened.manifest["rows_depend_on"].get(name)
                                       for name in _left_open(options.pipeline)}))
        if not opened.done() and opened.manifest["rows_depend_on"] != content.rows_depend_on:
            # No row was written yet, so this run may ask something else.
            with lock.parts(folder, range(opened.parts)):
                opened.manifest.update(recipe=content.recipe, model=content.model,
                                       rows_depend_on=content.rows_depend_on)
                opened.save()
        opened.check(content)
        if content.source != "-":  # Which cannot be read again.
            opened.check_source(items, options.parts.add)
        elif options.parts.add:
            raise QuestionError("--add needs a source that can be read again, not standard input",
                                "--add")
    return opened


def _left_open(pipeline: Pipeline) -> List[str]:
    """What rows depend on that the user leaves to the run."""
    is_open = {"threads": pipeline.threads is None, "decode": pipeline.decode == AUTO}
    return [name for name, left_open in is_open.items() if left_open]


def _clear(folder: Folder) -> None:
    """Remove what an earlier run wrote; refused while another one runs."""
    if not folder.exists(plan.MANIFEST):
        return
    # All parts there can be: the manifest may be damaged.
    with lock.parts(folder, range(plan.MOST_PARTS)):
        # Without checksums no part is finished, so none outlives a process that is killed here.
        _empty(folder, checksums.FOLDER)
        folder.remove(plan.MANIFEST)
        _empty(folder, plan.PARTS)
        _empty(folder, lists.FOLDER)


def _empty(folder: Folder, name: str) -> None:
    for file in folder.names(name):
        folder.remove(f"{name}/{file}")


def _todo(opened: Plan, numbers: range, retry_failed: bool) -> List[int]:
    done = opened.done()
    return [number for number in numbers
            if number not in done or (retry_failed and status.has_bad(opened, number))]


def _counts(opened: Plan, numbers: range, held: Dict[str, int]) -> Dict[str, int]:
    """What all parts hold."""
    return held if len(numbers) == opened.parts else status.count(opened)


def _runner(name: str, model: LoadedModel) -> Callable[
        [Plan, Recipe, Options, Sequence[int], Progress], List[Dict[str, Any]]]:
    if name == "ray":
        from caffe_gradcam.batch.runners import ray

        return ray.run
    from caffe_gradcam.batch.runners import local

    return functools.partial(local.run, model)


def _run_entry(started: float, engines: Sequence[Dict[str, Any]], progress: Progress,
               options: Options) -> Dict[str, Any]:
    """A run's entry in the manifest."""
    gauges, pipeline, worker = progress.gauges, options.pipeline, options.parts.worker
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        "command": list(options.reporting.command or sys.argv),
        "host": socket.gethostname(), "engines": list(engines), "devices": list(pipeline.devices),
        "threads": pipeline.threads, "decoders": pipeline.decoders,
        "batch": pipeline.batch, "worker": None if worker is None else list(worker),
        "counts": dict(gauges.counts), "parts": gauges.parts,
        "busy": {name: round(ratio, 4) for name, ratio in gauges.busy().items()},
        "versions": versions(),
    }
