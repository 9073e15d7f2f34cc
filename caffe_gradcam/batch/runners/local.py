"""Parts on the devices of this machine."""

import threading
from typing import Any, Dict, Iterable, Iterator, List, Sequence

from caffe_gradcam.batch.options import Options
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.pipeline.lane import Lane
from caffe_gradcam.batch.pipeline.part_writing import explain_parts
from caffe_gradcam.batch.progress import Progress
from caffe_gradcam.engines.contract import precision_note
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.model import LoadedModel


def run(model: LoadedModel, plan: Plan, recipe: Recipe, options: Options, numbers: Sequence[int],
        progress: Progress) -> List[Dict[str, Any]]:
    """Explain parts on all devices, which take batches of the same part in turn.

    Parameters
    ----------
    model : LoadedModel
        The recipe's.
    plan : Plan
    recipe : Recipe
    options : Options
        Its pipeline has a number for everything.
    numbers : sequence of int
        The parts.
    progress : Progress
        When its ``stop`` is set no part is begun any more; those that are begun are finished.

    Returns
    -------
    list of dict
        The engines, each once.

    Raises
    ------
    InputError
        See ``explain_parts``.
    """
    with Lane(recipe, model, options.pipeline, progress.gauges) as lane:
        explain_parts(plan, lane, _until_stopped(numbers, progress.stop), options.drawing,
                      progress.warn)
        engines: List[Dict[str, Any]] = []
        for engine in lane.descriptions:
            if engine not in engines:
                engines.append(engine)
    for note in {precision_note(engine, recipe.running.precision) for engine in engines}:
        if note:
            progress.warn(note)
    return engines


def _until_stopped(numbers: Iterable[int], stop: threading.Event) -> Iterator[int]:
    for number in numbers:
        if stop.is_set():
            return
        yield number
