"""The process of the net: it opens the engine, then explains batches until its pipe closes."""

import time
from collections import deque
from multiprocessing.connection import Connection
from typing import Any, Callable, Deque, Dict, Optional, Tuple

import numpy as np

from caffe_gradcam.batch.options import CARD
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory, Layout
from caffe_gradcam.batch.pipeline.net import NetInput
from caffe_gradcam.engines.on_device import OnDevice
from caffe_gradcam.explaining.asked_batches import AskedBatches, asked_batches
from caffe_gradcam.explaining.batches import ImagesOfBatch, PendingExplanation
from caffe_gradcam.explaining.recipe import Recipe
from prototxt_tools.errors import EngineError, EngineFailed, InputError, Outcome

# Batches that a device has been given besides the one that is waited for.
_BEGUN = 1


def serve(pipe: Connection, memory: Tuple[Layout, int, int], recipe: Recipe, batch: int,
          decode: str) -> None:
    """Answer each ``NetInput`` with an outcome of its explanations.

    An engine that can run nothing more ends the process, and another one takes its place.
    """
    started = time.perf_counter()
    try:
        explainer = asked_batches(recipe)
        explainer.settle(batch)
        if decode == CARD:
            preprocessing, = explainer.model.inputs.values()
            explainer.engine.expect_pictures(preprocessing)
    except InputError as error:
        pipe.send(("refused", error, 0.0))
        return
    slots = BatchMemory(*memory)
    explainer.engine.expect(slots.array)
    net = _Net(slots, explainer)
    # torch's version is an object of torch, which would import torch in the other process.
    description = {name: str(value) for name, value in explainer.engine.description.items()}
    pipe.send(("open", description, time.perf_counter() - started))
    begun: Deque[Tuple[Outcome[PendingExplanation], float]] = deque()
    while True:
        started = time.perf_counter()
        # A device computes one batch while the next one is on its way to it.
        if begun and (len(begun) > _BEGUN or _is_done(begun[0][0]) or not pipe.poll()):
            pending, spent = begun.popleft()
            answer = attempt(pending.then, PendingExplanation.result)
            seconds = spent + time.perf_counter() - started
            if isinstance(answer.error, EngineFailed):
                pipe.send(("failed", answer.error, seconds))
                return
            pipe.send(("done", answer, seconds))
            continue
        images = pipe.recv()
        started = time.perf_counter()
        begun.append((attempt(net.begin, images), time.perf_counter() - started))


def _is_done(pending: "Outcome[PendingExplanation]") -> bool:
    return pending.value is None or pending.value.is_done()


def attempt(function: "Callable[..., Any]", *arguments: Any) -> "Outcome[Any]":
    """What a function gives, or why it gives nothing."""
    try:
        outcome = Outcome.of(function, *arguments)
        return outcome.value if isinstance(outcome.value, Outcome) else outcome
    except Exception as error:  # a fault of the engine or of this package: the run continues
        message = str(error).strip().split("\n")[0]
        return Outcome(error=EngineError(f"{type(error).__name__}: {message}"))


class _Net:
    """What explains the batches in a memory."""

    def __init__(self, memory: BatchMemory, explainer: AskedBatches) -> None:
        self._memory, self._explainer = memory, explainer

    def begin(self, images: NetInput) -> PendingExplanation:
        """Begin to explain a batch."""
        positions = images.positions
        first, stop = int(positions[0]), int(positions[-1]) + 1
        # Without a gap they need not be copied.
        chosen = slice(first, stop) if stop - first == len(positions) else positions
        blobs = {name: view[chosen] for name, view in self._memory.images(images.slot).items()}
        return self._explainer.begin(
            ImagesOfBatch(blobs, images.geometries, images.others, self._pictures(images, blobs)),
            images.asked)

    def _pictures(self, images: NetInput, blobs: Dict[str, np.ndarray]) -> Optional[OnDevice]:
        """The input blob on the device, where JPEGs lie in the places of some images."""
        if not images.sizes.any():
            return None
        places, = blobs.values()
        return self._explainer.engine.read_pictures(places[:, 0], images.sizes)
