"""The inputs of a net that are not pictures: word ids, continuation markers, regions, features."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Set, Tuple

import numpy as np

from caffe_gradcam.model import words
from caffe_gradcam.model.words import Vocabulary
from prototxt_tools import layers
from prototxt_tools.errors import ImageError, shortened

if TYPE_CHECKING:
    # Decoders need neither, nor Caffe's messages, which come with them.
    from prototxt_tools.net.graph import Graph
    from prototxt_tools.net.net import Input, Layer

RECURRENT = ("LSTM", "RNN")
# Layers behind which the first two axes of a sequence are still time and item.
_KEEPING = ("Embed", "Dropout", "Scale", "Bias", "Concat")
_MOST_READERS = 2

Shape = Tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ArrayInput:
    """An input blob that takes numbers as they are.

    Attributes
    ----------
    blob : str
    shape : tuple of int
        Of one item; 1 along ``item_axis``. Where that is None, the first axis may have another
        length, as the number of regions of interest may differ.
    item_axis : int or None
        The axis along which the items of a batch stand side by side; None: only one item fits.
    use : str
        What the net does with it, for messages.
    default : numpy.ndarray or None
        The value where none is given.
    word_count : int or None
        Of word numbers: how many words the Embed layer that reads them knows.
    words : Vocabulary or None
        Their names, if the folder has a list of them: a value may then be a sentence.
    """

    blob: str
    shape: Shape
    item_axis: Optional[int]
    use: str
    default: Optional[np.ndarray] = None
    word_count: Optional[int] = None
    words: Optional[Vocabulary] = None

    @property
    def takes(self) -> str:
        """What it takes, in words: ``6 x 1 numbers; Embed embedding reads it``."""
        sizes = " x ".join(map(str, self.shape))
        return f"{sizes} number{'s' * (self.shape != (1,))}; {self.use}"

    def or_zeros(self) -> "ArrayInput":
        """The same with a default, of zeros if it has none."""
        zeros = np.zeros(self.shape, np.float32)
        return self if self.default is not None else dataclasses.replace(self, default=zeros)


def described(graph: "Graph", entry: "Input", images: int) -> ArrayInput:
    """The description of an input, without a default.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    entry : prototxt_tools.net.net.Input
    images : int
        How many images the net's inputs hold, by its definition.
    """
    shape = tuple(entry.shape or ())
    axis = _item_axis(graph, entry.blob, shape, images)
    if axis is not None:
        shape = shape[:axis] + (1,) + shape[axis + 1:]
    return ArrayInput(entry.blob, shape, axis, _use(graph, entry.blob),
                      word_count=_word_count(graph, entry.blob))


def fit(value: Any, spec: ArrayInput, name: str) -> np.ndarray:
    """A value in the shape that an input takes for one item.

    Parameters
    ----------
    value : array_like
        Of the input's shape; without its item axis; or a single number, which fills the input.
        Of word numbers, a sentence; behind its last word there are zeros.
    spec : ArrayInput
    name : str
        Who gives the value, for messages; or empty.

    Returns
    -------
    numpy.ndarray
        float32.

    Raises
    ------
    ImageError
        The value is not an array of finite numbers of that shape, or holds numbers that no word
        has.
    QuestionError
        The net does not know a word of the sentence, or the sentence is too long.
    """
    if isinstance(value, str) and spec.words is not None:
        return spec.words.row(value, spec.shape, f"input {spec.blob}")
    try:
        with np.errstate(over="ignore"):  # Infinity is refused below.
            array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise _misfit(spec, name, f"not {shortened(repr(value))}") from None
    if not array.size:
        raise _misfit(spec, name, "not an empty array")
    if not np.isfinite(array).all():
        raise _misfit(spec, name, "and these hold NaN, infinity or what float32 cannot hold")
    shape = _accepted(array.shape, spec) if array.ndim else spec.shape
    if shape is None:
        sizes, axis = " x ".join(map(str, array.shape)), spec.item_axis
        of_one = array.shape[:axis] + (1,) + array.shape[axis + 1:] if axis is not None else ()
        items = (f" for {array.shape[axis]} items, where there is one image"
                 if axis is not None and _accepted(of_one, spec) else "")
        raise _misfit(spec, name, f"not {sizes} numbers{items}")
    if spec.word_count is not None:
        words.check_numbers(array.reshape(-1).tolist(), spec.word_count, spec.blob)
    return np.ascontiguousarray(
        array.reshape(shape) if array.ndim else np.full(shape, array, np.float32))


def _accepted(shape: Sequence[int], spec: ArrayInput) -> Optional[Shape]:
    """The blob's shape for a value of this shape; None where it does not fit."""
    shape, axis = tuple(shape), spec.item_axis
    if axis is None:
        return shape if shape[1:] == spec.shape[1:] and len(shape) == len(spec.shape) else None
    without = spec.shape[:axis] + spec.shape[axis + 1:]
    return spec.shape if shape in (spec.shape, without) else None


def _misfit(spec: ArrayInput, name: str, problem: str) -> ImageError:
    source = name + ": " if name else ""
    sizes, _, use = spec.takes.partition("; ")
    return ImageError(f"{source}input {spec.blob} takes {sizes} ({use}), {problem}", spec.blob)


def _word_count(graph: "Graph", blob: str) -> Optional[int]:
    """How many words the Embed layer knows that reads a blob; None where none does."""
    for index in graph.readers(blob):
        layer = graph.net.layers[index]
        if layer.type == "Embed":
            return int(layer.message.embed_param.input_dim)
    return None


def _use(graph: "Graph", blob: str) -> str:
    readers = [graph.net.layers[index] for index in graph.readers(blob)]
    texts = [f"{layer.type} {layer.name}" for layer in readers[:_MOST_READERS]]
    if len(readers) > _MOST_READERS:
        texts.append(f"{len(readers) - _MOST_READERS} more")
    return " and ".join(texts) + (" reads it" if len(texts) == 1 else " read it")


def _item_axis(graph: "Graph", blob: str, shape: Shape, images: int) -> Optional[int]:
    if len(shape) > 1 and is_sequence(graph, blob):
        return 1
    for index in graph.readers(blob):
        layer = graph.net.layers[index]
        gives_positions = layers.of(layer.type).value_bottoms == 1
        if gives_positions and layer.bottoms.index(blob) > 0:
            return None
    return 0 if shape and shape[0] in (1, images) else None


def is_sequence(graph: "Graph", blob: str) -> bool:
    """Whether a blob is T x N [x D], since a recurrent layer reads it."""
    return _leads_to_recurrence(graph, blob, set())


def _leads_to_recurrence(graph: "Graph", blob: str, seen: Set[str]) -> bool:
    if blob in seen:
        return False
    seen.add(blob)
    readers = [graph.net.layers[index] for index in graph.readers(blob)]
    return any(_begins_recurrence(layer, blob) or (
        _keeps_time(layer) and any(_leads_to_recurrence(graph, top, seen) for top in layer.tops))
        for layer in readers)


def _begins_recurrence(layer: "Layer", blob: str) -> bool:
    return layer.type in RECURRENT and blob in layer.bottoms[:2]


def _keeps_time(layer: "Layer") -> bool:
    if layer.type == "InnerProduct":
        return bool(layer.message.inner_product_param.axis == 2)
    return layer.type in _KEEPING or layers.of(layer.type).role in ("activation", "rectifier")


def missing(specs: Sequence[ArrayInput]) -> ImageError:
    """The error for array inputs that are needed and not given."""
    texts: List[str] = [f"{spec.blob} ({spec.takes})" for spec in specs]
    noun = "input" if len(specs) == 1 else "inputs"
    first = specs[0]
    ways = f"{first.blob}=FILE or {first.blob}=NUMBER" if first.words is None else (
        f"--ask-text TEXT, {first.blob}=FILE or {first.blob}=NUMBER")
    return ImageError(f"nothing is given for {noun} {', '.join(texts)}; give {ways}", first.blob)
