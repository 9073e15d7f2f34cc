"""The process of a decoder: it does the tasks that come through its pipe until that closes."""

import contextlib
import dataclasses
import logging
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from caffe_gradcam.batch.pipeline.figures import Figures
from caffe_gradcam.batch.pipeline.figures import draw as draw_figures
from caffe_gradcam.batch.sources import reading
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.model.preprocess import Prepared, Preprocessing
from caffe_gradcam.model.preprocess import prepare as prepare_image
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import ImageError, Outcome


@dataclass(frozen=True, eq=False)
class Decoded:
    """An item whose bytes could be read.

    Attributes
    ----------
    sha256 : str
        Of its bytes.
    true_label : int or None
        The Datum's.
    data : Outcome of bytes
        What ``SharedMemory.load`` makes the prepared image of; an error where the bytes are not
        an image that the net can read.
    warnings : tuple of str
        What was logged about it.
    """

    sha256: str
    true_label: Optional[int]
    data: "Outcome[bytes]"
    warnings: Tuple[str, ...] = ()


def serve(pipe: Connection, count: int, size: int, descriptor: int,
          inputs: Dict[str, Preprocessing]) -> None:
    """Answer each (action, arguments) with an outcome and the seconds that it took."""
    import cv2

    cv2.setNumThreads(1)
    memory = SharedMemory(count, size, descriptor)
    while True:
        name, *arguments = pipe.recv()
        started = time.perf_counter()
        outcome = _attempt(ACTIONS[name], memory, inputs, *arguments)
        pipe.send((outcome, time.perf_counter() - started))


def _attempt(function: Callable[..., Any], *arguments: Any) -> "Outcome[Any]":
    try:
        return Outcome.of(function, *arguments)
    except MemoryError:
        return Outcome(error=ImageError("there is not enough memory for this image"))
    except Exception as error:  # no image stops the run, whatever it contains
        return Outcome(error=ImageError(f"{type(error).__name__}: {error}"))


def prepare(memory: SharedMemory, inputs: Dict[str, Preprocessing], item: Item, slot: int,
            is_whole: bool) -> Decoded:
    """Put what the net reads of an item into a slot.

    Parameters
    ----------
    memory : SharedMemory
    inputs : dict
    item : Item
    slot : int
    is_whole : bool
        Whether the net sees the whole image although the item has a box.
    """
    fetched = reading.fetch(item)
    box = None if is_whole else item.box
    with _collected() as warnings:
        data = _attempt(_prepared, item, fetched, inputs, box).then(memory.dump, slot)
    return Decoded(fetched.sha256, fetched.true_label, data, tuple(warnings))


@contextlib.contextmanager
def _collected() -> Iterator[List[str]]:
    """The warnings that are logged meanwhile, which the user's process shows."""
    warnings: List[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[assignment]
    logger = logging.getLogger("caffe_gradcam")
    logger.addHandler(handler)
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)


def _prepared(item: Item, fetched: reading.Fetched, inputs: Dict[str, Preprocessing],
              box: Optional[Tuple[float, ...]]) -> Prepared:
    image = reading.decode(item, fetched, inputs)
    if len(inputs) > 1 and not isinstance(image, dict):
        raise ImageError(f"{item.path}: the net needs an image for each input: "
                         + ", ".join(inputs), item.path)
    if box is None or isinstance(image, dict):
        return prepare_image(image, inputs)
    part, corner = reading.cut(image, box)
    return _moved(prepare_image(part, inputs), (image.shape[0], image.shape[1]), corner)


def _moved(prepared: Prepared, size: Tuple[int, int],
           corner: Tuple[int, int]) -> Prepared:
    """A prepared part of an image, with geometries on the whole image."""
    geometries = {name: [geometry.moved(size, corner) for geometry in group]
                  for name, group in prepared.geometries.items()}
    return dataclasses.replace(prepared, geometries=geometries)


def draw(memory: SharedMemory, inputs: Dict[str, Preprocessing], figures: Figures) -> None:
    """Draw and write figures of one image; raises InputError where it has changed."""
    item = figures.item
    fetched = reading.fetch(item)
    if fetched.sha256 != figures.sha256:
        raise ImageError(f"{item.path}: has changed since it was explained", item.path)
    image = reading.decode(item, fetched, inputs)
    draw_figures(image, figures, open_folder(figures.folder))


ACTIONS: Dict[str, Callable[..., Any]] = {"prepare": prepare, "draw": draw}
