"""Parts on the devices of this machine."""

import dataclasses
import threading
from typing import Any, Dict, Iterable, Iterator, List, Sequence

from caffe_gradcam.batch.dependencies import resolved
from caffe_gradcam.batch.options import Options
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.pipeline.lane import Lane, default_decoders
from caffe_gradcam.batch.pipeline.part_writing import explain_parts
from caffe_gradcam.batch.progress import Progress
from caffe_gradcam.engines.contract import precision_note
from caffe_gradcam.explaining.recipe import Recipe


def run(plan: Plan, recipe: Recipe, options: Options, numbers: Sequence[int], progress: Progress
        ) -> List[Dict[str, Any]]:
    """Explain parts on all devices; each takes the next part when it can begin one.

    Parameters
    ----------
    plan : Plan
    recipe : Recipe
    options : Options
        Its devices are named.
    numbers : sequence of int
        The parts.
    progress : Progress
        When its ``stop`` is set no part is begun any more; those that are begun are finished.

    Returns
    -------
    list of dict
        The engine of each device.

    Raises
    ------
    InputError
        See ``explain_parts``.
    """
    devices = options.pipeline.devices
    pipeline = dataclasses.replace(
        options.pipeline, decoders=options.pipeline.decoders or default_decoders(devices))
    model = recipe.model.load()
    shared = _Queue(numbers, progress.stop)
    engines: List[Dict[str, Any]] = []
    errors: List[BaseException] = []

    def work_on(device: str) -> None:
        try:
            with Lane(resolved(recipe, device), model, pipeline, progress.gauges) as lane:
                explain_parts(plan, lane, shared, options.drawing, progress.warn)
                if lane.description:
                    engines.append(lane.description)
                    note = precision_note(lane.description, recipe.running.precision)
                    if note:
                        progress.warn(note)
        except BaseException as error:
            progress.stop.set()
            errors.append(error)

    if len(devices) == 1:
        work_on(devices[0])
    else:
        threads = [threading.Thread(target=work_on, args=(device,)) for device in devices]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # Signals are handled between such waits.
    if errors:
        raise errors[0]
    return engines


class _Queue:
    """Numbers of parts, each given to one taker."""

    def __init__(self, numbers: Iterable[int], stop: threading.Event) -> None:
        self._numbers, self._stop = iter(numbers), stop
        self._guard = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._guard:
            if self._stop.is_set():
                raise StopIteration
            return next(self._numbers)
