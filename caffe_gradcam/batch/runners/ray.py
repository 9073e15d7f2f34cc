"""Shards on a Ray cluster, or on a Ray of this machine's own.

Each actor holds a net. The one who asks hands out shards and gets counts back; rows go from the
actors to the output, which all nodes must see: a shared file system, or a URL. A shard whose
actor or node is lost is given to another.
"""

import collections
import os
import time

from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.pipeline.writing import explain_shards
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.engines.isolated import as_said
from prototxt_tools.errors import InputError

_TICK = 0.5
# Seconds without any actor after which somebody should hear of it.
_LONG = 60.0
# How often a shard may take its actor with it before that is nobody else's fault.
_LOSSES = 5


def run(plan, work, shards, gauges, warn, stop, devices=("cpu",), workers=None, actors=None,
        gpus=None, cpus=None):
    """Explain shards on a cluster.

    Parameters
    ----------
    plan, work, shards, gauges, warn, stop
        As for ``runners.local.run``.
    devices : sequence of str
        "cpu", or any "cuda" for actors with GPUs.
    workers : int, optional
        Decoders of each actor; 1 on CPUs, 4 with a GPU without.
    actors : int, optional
        As many as fit into the cluster now without.
    gpus, cpus : float, optional
        Of each actor, for Ray's scheduler; parts of a GPU are possible.

    Returns
    -------
    list of dict
        What ran in the actors.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--runner ray needs Ray; pip install 'ray[data]'") from None
    on_gpu = any(device != "cpu" for device in devices)
    workers = workers or (4 if on_gpu else 1)
    gpus = (1 if on_gpu else 0) if gpus is None else gpus
    cpus = workers + 1 if cpus is None else cpus
    # A cluster that RAY_ADDRESS names, or one that was started here, or a new one.
    own = not ray.is_initialized()
    if own:
        ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
    try:
        count = actors or _fitting(ray.cluster_resources(), gpus, cpus)
        actor = ray.remote(num_gpus=gpus, num_cpus=cpus, max_restarts=-1, max_task_retries=0)(
            Explaining)
        output = plan.folder.path if "://" in plan.folder.path else os.path.abspath(
            plan.folder.path)
        made = [actor.remote(output, work, "cuda:0" if gpus else "cpu", workers)
                for _ in range(count)]
        return _Dispatcher(ray, made, gauges, warn, stop).run(shards)
    finally:
        if own:
            ray.shutdown()


def _fitting(resources, gpus, cpus):
    """How many actors a cluster has room for, at least one."""
    room = [resources.get(name, 0) // wanted
            for name, wanted in (("CPU", cpus), ("GPU", gpus)) if wanted]
    return max(1, int(min(room))) if room else 1


class Explaining:
    """An actor: a lane, and the parts that it writes."""

    def __init__(self, output, work, device, workers):
        self._plan = Plan.open(open_folder(output))
        self._work, self._device, self._workers = work, device, workers
        self._lane = None

    def ready(self):
        """Answers when the actor is there."""
        return True

    def explain(self, shard):
        """Write a shard's part.

        Returns
        -------
        dict
            "counts", "warnings", "engine"; or "error", an InputError.
        """
        warnings = []
        try:
            if self._lane is None:
                self._lane = Lane(self._work.spec, self._device, self._workers, self._work.batch,
                                  self._work.timeout)
            gauges = self._lane.gauges
            before = dict(gauges.counts)
            explain_shards(self._plan, self._work, self._lane, [shard], warnings.append,
                           lambda one: None)
        except InputError as error:
            return {"error": as_said(error)}
        counts = {name: value - before[name] for name, value in gauges.counts.items()}
        return {"counts": counts, "warnings": warnings, "engine": self._lane.description}


class _Dispatcher:
    """Gives shards to the actors that are there, and again where one was lost."""

    def __init__(self, ray, actors, gauges, warn, stop):
        self._ray, self._gauges, self._warn, self._stop = ray, gauges, warn, stop
        self._waiting = {actor.ready.remote(): (actor, None) for actor in actors}
        self._losses = collections.Counter()
        self._ran = {}

    def run(self, shards):
        self._todo, self._idle = collections.deque(shards), []
        seen = time.monotonic()
        while self._busy() or (self._todo and not self._stop.is_set()):
            while self._idle and self._todo and not self._stop.is_set():
                actor, shard = self._idle.pop(), self._todo.popleft()
                self._waiting[actor.explain.remote(shard)] = actor, shard
            answered, _ = self._ray.wait(list(self._waiting), timeout=_TICK)
            for one in answered:
                self._take(one, *self._waiting.pop(one))
            if answered or self._busy():
                seen = time.monotonic()
            elif time.monotonic() - seen > _LONG:
                self._warn("the cluster has no room for the nets yet; see ray status")
                seen = time.monotonic()
        return list(self._ran.values())

    def _busy(self):
        return any(shard is not None for _, shard in self._waiting.values())

    def _take(self, reference, actor, shard):
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._lost(actor, shard)
            return
        self._idle.append(actor)
        if shard is None:
            return
        if "error" in answer:
            raise answer["error"]
        self._gauges.add(answer["counts"])
        for sentence in answer["warnings"]:
            self._warn(sentence)
        self._ran[actor] = answer["engine"]

    def _lost(self, actor, shard):
        """Its shard goes to another; it takes part again when Ray has started it anew."""
        if shard is not None:
            self._losses[shard] += 1
            if self._losses[shard] > _LOSSES:
                raise InputError(f"shard {shard} has ended {_LOSSES} actors; run it alone to see why")
            self._warn(f"an actor was lost; shard {shard} goes to another")
            self._todo.appendleft(shard)
        time.sleep(_TICK)
        self._waiting[actor.ready.remote()] = actor, None
