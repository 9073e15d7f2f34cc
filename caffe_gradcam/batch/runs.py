"""A batch from beginning to end."""

import collections
import os
import platform
import socket
import sys
import threading
import time

import numpy as np

from caffe_gradcam import __version__
from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.batch.pipeline import drawing
from caffe_gradcam.batch.output import lock, parts, plan, status
from caffe_gradcam.batch import sources, spec, storage
from caffe_gradcam.batch.pipeline.gauges import Gauges
from caffe_gradcam.batch.pipeline.writing import Work
from caffe_gradcam.batch.progress import Watch
from caffe_gradcam.engines.contract import device_index
from prototxt_tools.errors import InputError

# What a run came to: images by status and parts that it did; images by status in all finished
# parts of its share, whoever did them; whether that is the whole share; and the output.
Summary = collections.namedtuple("Summary", "counts parts held complete seconds output")
RUNNERS = ("local", "ray")


def run(model, source, output, weights=None, overrides=None, asking=None, engine="auto",
        explainer=None, engine_options=None, batch=8, timeout=600.0, devices=("cpu",),
        workers=None, share=None, shard_size=None, limit=None, root=None, overlays="none",
        look=None, boxes=None, resume=True, retry_failed=False, runner="local", runner_options=None,
        stop=None, quiet=True, log_json=False, metrics=None, command=None):
    """Explain a source of images into a folder of part files, or go on with that.

    Parameters
    ----------
    model, weights, overrides
        As for ``Model.load``.
    source : str
        See ``sources.items``.
    output : str
        A folder or a URL of fsspec.
    asking, explainer, engine_options : dict
        See ``spec.make``.
    engine : str
        "auto", "caffe" or "torch".
    batch : int
        Photographs that go through the net together.
    timeout : float
        Seconds that a batch may take before the net's process is stopped.
    devices : sequence of str
        "cpu" or "cuda:N", each with a net of its own.
    workers : int, optional
        Decoders per device.
    share : (int, int), optional
        Do the i-th of N shares of the parts, from 1.
    shard_size : int, optional
        Images of a part; 1000 without.
    limit : int, optional
        Take only the first images of the source.
    root : str, optional
        What relative paths in a list start from.
    overlays : str or int
        Figures to draw: "none", "all", "wrong" (the label is not the best class), or so many.
    look : dict, optional
        How figures look; see ``drawing.LOOK``.
    boxes : float, optional
        Give boxes around what is at least this part of a heatmap's maximum.
    resume : bool
        Whether to go on where an earlier run ended; else what it wrote is removed.
    retry_failed : bool
        Whether to explain again what was unreadable or failed.
    runner : str
        "local", or "ray" with ``runner_options`` for ``runners.ray.run``.
    stop : threading.Event, optional
        Set it to have the run end after the parts in hand.
    quiet, log_json, metrics
        See ``watch.Watch``.
    command : list of str, optional
        For the manifest.

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        Nothing can be done, or nothing more.
    """
    started = time.time()
    explained = spec.make(model, weights, overrides, engine, asking, explainer,
                          **engine_options or {})
    loaded = spec.load_model(explained)
    work = Work(explained, batch, timeout, overlays, dict(drawing.LOOK, **look or {}), boxes)
    _check(work, loaded, devices)
    folder = storage.open_folder(output)
    folder.make()
    source = source if source == "-" or storage.is_url(source) else os.path.abspath(source)
    wanted = {"source": source, "limit": limit, "shard_size": shard_size,
              "recipe": spec.recipe(explained, loaded, boxes)}
    if not resume:
        _clear(folder)
    opened = _open(folder, wanted, root)
    first, end = opened.span(share)
    with lock.shards(folder, first, end):
        todo = _todo(opened, first, end, retry_failed)
        parts.remove_leftovers(opened, first, end)
        gauges, stop = Gauges(), stop or threading.Event()
        total = sum(map(opened.size, todo))
        with Watch(gauges, total, quiet, log_json, metrics) as watch:
            ran = _runner(runner)(
                opened, work, todo, gauges, watch.warn, stop,
                **dict(runner_options or {}, devices=devices, workers=workers)) if todo else []
        done = opened.done()
        held = status.count(opened, done.intersection(range(first, end)))
        counts = None if len(done) < opened.shards else held if (first, end) == (
            0, opened.shards) else status.count(opened)
        opened.add_run(_about(
            started, ran, gauges, command or sys.argv, batch, devices, share), counts)
        return Summary(dict(gauges.counts), gauges.parts, held, gauges.parts == len(todo),
                       gauges.seconds, output)


def _check(work, model, devices):
    """Refuse what could not be run before anything is written."""
    drawing.check(work.look)
    for text in work.spec["asking"].get("classes", ()):
        parse(text, model.find_class, model.class_names)
    for device in devices:
        device_index(device)


def _open(folder, wanted, root):
    """The plan of an output, made if there is none yet."""
    with lock.manifest(folder):
        if not folder.exists(plan.MANIFEST):
            items = sources.items(wanted["source"], root)
            return plan.Plan.make(
                folder, items, wanted["source"], wanted["recipe"],
                wanted["shard_size"] or plan.SHARD_SIZE, wanted["limit"], parts.kind())
        opened = plan.Plan.open(folder)
        if not opened.done() and opened.manifest["recipe"] != wanted["recipe"]:
            # An earlier run came to no row: what it meant to ask binds nobody.
            with lock.shards(folder, 0, opened.shards):
                opened.manifest["recipe"] = wanted["recipe"]
                opened.save()
    if wanted["shard_size"] is None:
        del wanted["shard_size"]
    opened.check(**wanted)
    return opened


def _clear(folder):
    """Remove what an earlier run wrote; refused while another one runs."""
    if not folder.exists(plan.MANIFEST):
        return
    with lock.shards(folder, 0, plan.Plan.open(folder).shards):
        folder.remove(plan.MANIFEST)
        for name in (plan.PARTS, plan.ITEMS):
            for file in folder.names(name):
                folder.remove(f"{name}/{file}")


def _todo(opened, first, end, retry_failed):
    done = opened.done()
    return [shard for shard in range(first, end)
            if shard not in done or (retry_failed and status.has_bad(opened, shard))]


def _runner(name):
    if name == "ray":
        from caffe_gradcam.batch.runners.ray import run as runner
    elif name == "local":
        from caffe_gradcam.batch.runners.local import run as runner
    else:
        raise InputError("no runner {!r}; say {}".format(name, " or ".join(RUNNERS)))
    return runner


def _about(started, ran, gauges, command, batch, devices, share):
    """A run's entry in the manifest."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3), "command": list(command),
        "host": socket.gethostname(), "engines": ran, "devices": list(devices), "batch": batch,
        "share": None if share is None else list(share), "counts": dict(gauges.counts),
        "parts": gauges.parts,
        "busy": {name: round(part, 4) for name, part in gauges.busy().items()},
        "versions": {"caffe-gradcam": __version__, "python": platform.python_version(),
                     "numpy": np.__version__},
    }
