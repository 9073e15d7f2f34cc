"""The process of a decoder: it does the tasks that come through its pipe until that closes."""

import contextlib
import dataclasses
import logging
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from caffe_gradcam.batch.options import CARD, REDUCED
from caffe_gradcam.batch.pipeline.batch_memory import BatchMemory, Layout
from caffe_gradcam.batch.sources import clips, reading
from caffe_gradcam.batch.sources.item import Item, Label
from caffe_gradcam.batch.sources.item_blocks import ItemBlock
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.explaining.columns import geometry_row
from caffe_gradcam.model import images, jpegs, reduced
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.clips import Clip
from caffe_gradcam.model.preprocess import Prepared, Preprocessing, placed
from caffe_gradcam.model.preprocess import prepare as prepare_image
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import ImageError, Outcome

if TYPE_CHECKING:
    from caffe_gradcam.batch.pipeline.figures import Figures
    from caffe_gradcam.model.model import LoadedModel

# What a decoder's mark holds while it is at no image.
IDLE = -1
MARK = "<i8"


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """What a model reads.

    Attributes
    ----------
    pictures : dict
        Picture -> Preprocessing.
    arrays : dict
        Input blob -> ArrayInput.
    clip : Clip, optional
        Of a model whose only picture is the frames of a clip.
    """

    pictures: Mapping[str, Preprocessing] = field(default_factory=dict)
    arrays: Mapping[str, ArrayInput] = field(default_factory=dict)
    clip: Optional[Clip] = None

    @classmethod
    def of(cls, model: "LoadedModel") -> "ModelInputs":
        """Those of a model."""
        return cls(dict(model.inputs), dict(model.arrays), model.clips.get(model.input))


@dataclass(frozen=True)
class Preparation:
    """Images to prepare.

    Attributes
    ----------
    items : ItemBlock
    slot : int
        Of the memory.
    first : int
        Where in the slot the first one goes.
    is_whole : bool
        Whether the net sees whole images although items have boxes.
    refused : dict
        Position among the items -> why that image is left out.
    """

    items: ItemBlock
    slot: int
    first: int
    is_whole: bool
    refused: Dict[int, str]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What became of the images of a ``Preparation``.

    Attributes
    ----------
    sha256 : numpy.ndarray
        N of "S64": of the bytes of each, empty where they could not be read.
    labels : list of (int, str or None)
        The items' true labels; of a Datum, its own where the item has none.
    geometries : dict
        Input blob -> N x V x 6 float64, see ``explaining.columns.geometry_row``.
    errors : dict
        Position -> why that image is unreadable.
    asked : dict
        Position -> questions and box, of items that have any.
    others : dict
        Position -> the prepared image itself, where it does not have the size of a place in the
        slot, or the net reads arrays besides pictures.
    sizes : numpy.ndarray
        N int32: bytes of the JPEG that lies in an image's place for the card to decode, or 0.
    warnings : list of str
        What was logged about them.
    frames : dict
        Position -> which frames of a clip the net sees, counted from 0.
    """

    sha256: np.ndarray
    labels: List[Label]
    geometries: Dict[str, np.ndarray]
    errors: Dict[int, str]
    asked: Dict[int, Tuple[Tuple[str, ...], Optional[Tuple[float, ...]]]]
    others: Dict[int, Prepared]
    sizes: np.ndarray
    warnings: List[str]
    frames: Dict[int, Sequence[int]] = field(default_factory=dict)


class Desk:
    """What a decoder works with: the memory for prepared images, and its mark.

    Attributes
    ----------
    memory : BatchMemory or None
        None where it only draws figures.
    inputs : ModelInputs
    mark : numpy.ndarray
        One number that the coordinator sees too: the position of the image at work.
    decode : str
        As of ``Pipeline``.
    """

    def __init__(self, memory: Optional[BatchMemory], inputs: ModelInputs, mark: np.ndarray,
                 decode: str) -> None:
        self.memory, self.inputs, self.mark, self.decode = memory, inputs, mark, decode


def serve(pipe: Connection, memory: Optional[Tuple[Layout, int, int]],
          marks: Tuple[int, int, int, int], inputs: ModelInputs, decode: str) -> None:
    """Answer each (action, argument) with an outcome and the seconds that it took.

    ``marks`` are count, size and descriptor of the memory of all marks, and this decoder's index.
    """
    import cv2

    cv2.setNumThreads(1)
    count, size, descriptor, index = marks
    desk = Desk(None if memory is None else BatchMemory(*memory), inputs,
                mark_of(SharedMemory(count, size, descriptor), index), decode)
    while True:
        name, argument = pipe.recv()
        started = time.perf_counter()
        outcome = _attempt(ACTIONS[name], desk, argument)
        desk.mark[0] = IDLE
        pipe.send((outcome, time.perf_counter() - started))


def mark_of(marks: SharedMemory, index: int) -> np.ndarray:
    """A decoder's mark among those of all: one int64."""
    return marks.view(index * marks.size, MARK, (1,))


def _attempt(function: Callable[..., Any], *arguments: Any) -> "Outcome[Any]":
    try:
        return Outcome.of(function, *arguments)
    except MemoryError:
        return Outcome(error=ImageError("there is not enough memory for this image"))
    except Exception as error:  # no image stops the run, whatever it contains
        return Outcome(error=ImageError(f"{type(error).__name__}: {error}"))


def prepare(desk: Desk, task: Preparation) -> Decoded:
    """Put what the net reads of some items into a slot, side by side."""
    assert desk.memory is not None
    items, views = task.items.items(), desk.memory.images(task.slot)
    decoded = Decoded(
        np.zeros(len(items), "S64"), [item.true_label for item in items],
        {name: np.zeros((len(items), view.shape[1], 6)) for name, view in views.items()},
        dict(task.refused),
        {position: (item.questions, item.box) for position, item in enumerate(items)
         if item.questions or item.box is not None}, {}, np.zeros(len(items), np.int32), [])
    with _collected(decoded.warnings):
        for position, item in enumerate(items):
            if position in task.refused:
                continue
            desk.mark[0] = position
            box = None if task.is_whole else item.box
            outcome = _attempt(_put, desk, item, box, (decoded, position, {
                name: view[task.first + position] for name, view in views.items()}))
            if outcome.error is not None:
                decoded.errors[position] = str(outcome.error)
    return decoded


def _put(desk: Desk, item: Item, box: Optional[Tuple[float, ...]],
         target: Tuple[Decoded, int, Dict[str, np.ndarray]]) -> None:
    """Read and prepare an item; what is found out about it goes where the target says."""
    decoded, position, arrays = target
    if desk.inputs.clip is not None:
        prepared = _prepared_clip(desk.inputs, item, desk.inputs.clip, (decoded, position))
    else:
        fetched = reading.fetch(item)
        decoded.sha256[position] = fetched.sha256
        if decoded.labels[position] is None:
            decoded.labels[position] = fetched.true_label
        if desk.decode == CARD and box is None and _is_left_encoded(desk, item, fetched, target):
            return
        prepared = _prepared(desk, item, fetched, box)
    if {name: blob.shape for name, blob in prepared.blobs.items()} != {
            name: array.shape for name, array in arrays.items()}:
        decoded.others[position] = prepared
        return
    for name, array in arrays.items():
        array[...] = prepared.blobs[name]
        decoded.geometries[name][position] = list(map(geometry_row, prepared.geometries[name]))


def _prepared_clip(inputs: ModelInputs, item: Item, clip: Clip, target: Tuple[Decoded, int]
                   ) -> Prepared:
    """Read and prepare a clip, with its frames in the place of crops."""
    decoded, position = target
    fetched = clips.fetch(item, clip)
    decoded.sha256[position], decoded.frames[position] = fetched.sha256, fetched.indices
    (name, preprocessing), = inputs.pictures.items()
    views, geometries = clip.views(fetched.frames, preprocessing)
    return Prepared({name: views}, {name: geometries})


def _is_left_encoded(desk: Desk, item: Item, fetched: reading.Fetched,
                     target: Tuple[Decoded, int, Dict[str, np.ndarray]]) -> bool:
    """Put a JPEG into its place as it is, if the card can decode it; whether that was done."""
    decoded, position, arrays = target
    (name, array), = arrays.items()
    data = fetched.file
    header = None if data is None or len(data) > array.nbytes else jpegs.header(data)
    if data is None or header is None or not header.is_simple:
        return False
    images.check(data, item.path)
    geometry = placed(header.size, desk.inputs.pictures[name]).geometry
    array.reshape(-1).view(np.uint8)[:len(data)] = np.frombuffer(data, np.uint8)
    decoded.geometries[name][position] = [geometry_row(geometry)]
    decoded.sizes[position] = len(data)
    return True


@contextlib.contextmanager
def _collected(warnings: List[str]) -> Iterator[None]:
    """Collect what is logged meanwhile, which the user's process shows."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[assignment]
    logger = logging.getLogger("caffe_gradcam")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _prepared(desk: Desk, item: Item, fetched: reading.Fetched,
              box: Optional[Tuple[float, ...]]) -> Prepared:
    inputs, arrays = desk.inputs.pictures, desk.inputs.arrays
    if desk.decode == REDUCED and box is None and fetched.file is not None:
        prepared = reduced.prepared(fetched.file, item.path, inputs, arrays)
        if prepared is not None:
            return prepared
    image = reading.decode(item, fetched, inputs)
    if len(inputs) > 1 and not isinstance(image, dict):
        raise ImageError(f"{item.path}: the net needs an image for each input: "
                         + ", ".join(inputs), item.path)
    if box is None or isinstance(image, dict):
        return prepare_image(image, inputs, arrays)
    part, corner = reading.cut(image, box)
    return _moved(prepare_image(part, inputs, arrays), (image.shape[0], image.shape[1]), corner)


def _moved(prepared: Prepared, size: Tuple[int, int],
           corner: Tuple[int, int]) -> Prepared:
    """A prepared part of an image, with geometries on the whole image."""
    geometries = {name: [geometry.moved(size, corner) for geometry in group]
                  for name, group in prepared.geometries.items()}
    return dataclasses.replace(prepared, geometries=geometries)


def draw(desk: Desk, figures: "Figures") -> None:
    """Draw and write figures of one image; raises InputError where it has changed."""
    # Only a decoder that draws needs what draws.
    from caffe_gradcam.batch.pipeline.figures import draw as draw_figures

    desk.mark[0], folder = 0, open_folder(figures.folder)
    if figures.frames is not None:
        clip = clips.fetch_frames(figures.item, figures.frames)
        _check_unchanged(clip.sha256, figures)
        draw_figures(clip.frames, figures, folder)
        return
    fetched = reading.fetch(figures.item)
    _check_unchanged(fetched.sha256, figures)
    draw_figures(reading.decode(figures.item, fetched, figures.inputs), figures, folder)


def _check_unchanged(sha256: str, figures: "Figures") -> None:
    if sha256 != figures.sha256:
        path = figures.item.path
        raise ImageError(f"{path}: has changed since it was explained", path)


ACTIONS: Dict[str, Callable[..., Any]] = {"prepare": prepare, "draw": draw}
