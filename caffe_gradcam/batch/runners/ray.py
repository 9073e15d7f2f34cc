"""Parts on a Ray cluster, or on a Ray of this machine's own.

Each actor holds a net. The caller hands out parts and gets counts back; rows go from the actors to
the output, which all nodes must see: a shared file system, or a URL. A part whose actor or node is
lost is given to another.
"""

import collections
import dataclasses
import os
import time
from typing import Any, Counter, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.options import Options, Pipeline
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.lease import Claim
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.pipeline.part_writing import explain_parts
from caffe_gradcam.batch.progress import Progress
from caffe_gradcam.batch.storage import is_url, open_folder
from caffe_gradcam.engines.contract import precision_note
from caffe_gradcam.explaining.asked_batches import checked
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.limits import Limits
from prototxt_tools.errors import EngineError, EngineMissing, InputError

_TICK = 0.5
# Seconds without any actor after which the user is told.
_LONG = 60.0
# How often a part may crash its actor before the part is taken for the cause.
_CRASHES = 5


def run(plan: Plan, recipe: Recipe, options: Options, numbers: Sequence[int], progress: Progress
        ) -> List[Dict[str, Any]]:
    """Explain parts on a cluster.

    Parameters
    ----------
    plan, recipe, options, numbers, progress
        As for ``runners.local.run``; any device "cuda" asks for actors with GPUs. Without a
        number of decoders an actor has 1 on a CPU, 4 with a GPU.

    Returns
    -------
    list of dict
        The engines of the actors.
    """
    try:
        import ray
    except ImportError:
        raise EngineMissing("--runner ray needs Ray; pip install 'ray[data]'", "ray") from None
    on_gpu = any(device != "cpu" for device in options.pipeline.devices)
    decoders = options.pipeline.decoders or (4 if on_gpu else 1)
    sizes = options.pipeline.ray
    gpus = (1 if on_gpu else 0) if sizes.gpus is None else sizes.gpus
    cpus = decoders + 1 if sizes.cpus is None else sizes.cpus
    pipeline = dataclasses.replace(options.pipeline, decoders=decoders, devices=())
    # A cluster that RAY_ADDRESS names, or one that was started here, or a new one.
    is_new = not ray.is_initialized()
    if is_new:
        ray.init(log_to_driver=False, logging_level="error", include_dashboard=False)
    try:
        count = sizes.actors or _fitting(ray.cluster_resources(), gpus, cpus)
        actor = ray.remote(num_gpus=gpus, num_cpus=cpus, max_restarts=-1, max_task_retries=0)(
            PartExplainer)
        path = plan.folder.path
        output = path if is_url(path) else os.path.abspath(path)
        claim = dataclasses.replace(plan.claim, path=output)
        actors = [actor.remote(claim, resolved(recipe, "cuda:0" if gpus else "cpu"),
                               dataclasses.replace(options, pipeline=pipeline), Limits.current())
                  for _ in range(count)]
        engines = _Dispatcher(ray, actors, progress, plan).run(numbers)
    finally:
        if is_new:
            ray.shutdown()
    for note in {precision_note(engine, recipe.running.precision) for engine in engines}:
        if note:
            progress.warn(note)
    return engines


def _fitting(resources: Mapping[str, float], gpus: float, cpus: float) -> int:
    """How many actors a cluster has room for, at least one."""
    room = [resources.get(name, 0) // needed
            for name, needed in (("CPU", cpus), ("GPU", gpus)) if needed]
    return max(1, int(min(room))) if room else 1


@dataclasses.dataclass(frozen=True)
class PartAnswer:
    """What an actor did: the images of a part by status, warnings, and its engine; or an error."""

    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    warnings: Sequence[str] = ()
    engine: Optional[Dict[str, str]] = None
    error: Optional[InputError] = None


class PartExplainer:
    """An actor: it explains parts on a lane of its own."""

    def __init__(self, claim: Claim, recipe: Recipe, options: Options, limits: Limits) -> None:
        limits.apply()
        self._plan = Plan.open(open_folder(claim.path))
        self._plan.claim = claim
        self._recipe, self._options = recipe, options
        self._lane: Optional[Lane] = None

    def ready(self) -> bool:
        """Answers when the actor is there."""
        return True

    def explain(self, number: int) -> PartAnswer:
        """Write a part."""
        warnings: List[str] = []
        try:
            if self._lane is None:
                pipeline: Pipeline = self._options.pipeline
                model = checked(self._recipe, self._recipe.model.load())
                self._lane = Lane(self._recipe, model, pipeline)
            gauges = self._lane.gauges
            before = dict(gauges.counts)
            explain_parts(
                self._plan, self._lane, [number], self._options.drawing, warnings.append)
        except InputError as error:
            return PartAnswer(error=error)
        counts = {name: value - before[name] for name, value in gauges.counts.items()}
        return PartAnswer(counts, warnings, next(iter(self._lane.descriptions), None))


class _Dispatcher:
    """Gives parts to the actors that are there, and again where one was lost."""

    def __init__(self, ray: Any, actors: Sequence[Any], progress: Progress, plan: Plan) -> None:
        self._ray, self._progress, self._plan = ray, progress, plan
        # Reference of an answer that is still to come -> actor, part.
        self._waiting: Dict[Any, Tuple[Any, Optional[int]]] = {
            actor.ready.remote(): (actor, None) for actor in actors}
        self._todo: "Deque[int]" = collections.deque()
        self._idle: List[Any] = []
        self._crashes: "Counter[int]" = collections.Counter()
        self._engines: Dict[Any, Optional[Dict[str, str]]] = {}

    def run(self, numbers: Sequence[int]) -> List[Dict[str, Any]]:
        self._todo.extend(numbers)
        stop = self._progress.stop
        seen = time.monotonic()
        while self._is_busy() or (self._todo and not stop.is_set()):
            while self._idle and self._todo and not stop.is_set():
                actor, number = self._idle.pop(), self._todo.popleft()
                self._waiting[actor.explain.remote(number)] = actor, number
            answered, _ = self._ray.wait(list(self._waiting), timeout=_TICK)
            for reference in answered:
                self._take(reference, *self._waiting.pop(reference))
            if answered or self._is_busy():
                seen = time.monotonic()
            elif time.monotonic() - seen > _LONG:
                self._progress.warn("the cluster has no room for the nets yet; see ray status")
                seen = time.monotonic()
        return [engine for engine in self._engines.values() if engine]

    def _is_busy(self) -> bool:
        return any(number is not None for _, number in self._waiting.values())

    def _take(self, reference: Any, actor: Any, number: Optional[int]) -> None:
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            self._replace(actor, number)
            return
        self._idle.append(actor)
        if number is None:
            return
        if answer.error is not None:
            raise answer.error
        self._progress.gauges.add(answer.counts)
        for sentence in answer.warnings:
            self._progress.warn(sentence)
        self._engines[actor] = answer.engine

    def _replace(self, actor: Any, number: Optional[int]) -> None:
        """Give the part of a lost actor to another; it takes part again when Ray restarts it."""
        if number is not None:
            self._crashes[number] += 1
            if self._crashes[number] > _CRASHES:
                raise EngineError(f"part {number} crashed its actor {_CRASHES} times; run it "
                                  "without --runner ray to see the error")
            self._progress.warn(f"an actor was lost; part {number} goes to another")
            parts.remove_leftovers(self._plan, range(number, number + 1))
            self._todo.appendleft(number)
        time.sleep(_TICK)
        self._waiting[actor.ready.remote()] = actor, None
