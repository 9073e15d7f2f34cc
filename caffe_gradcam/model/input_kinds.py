"""Which inputs of a net take pictures, which take other numbers, and which take sliced pairs."""

import dataclasses
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.model import array_inputs
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.clips import DEPTH, ROWS, Clip
from prototxt_tools import shapes as blob_shapes
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Input, Layer

Shape = Tuple[int, ...]

# The channels of the pictures that Caffe's tools stack into one blob.
_STACKED = (1, 3)
# N x channels x frames x height x width.
_CLIP_AXES = 5
_FEWEST_FRAMES = 2
_PICTURE = "N x channels x height x width"


@dataclass(frozen=True, eq=False)
class InputKinds:
    """The inputs that a score depends on.

    Attributes
    ----------
    pictures : dict
        Name -> shape for one picture, 1 x C x h x w. The name is that of the input blob; of
        pictures that are stacked in one blob, those of the tops of the layer that slices it.
    arrays : dict
        Input blob -> ArrayInput.
    slices : dict
        Input blob -> the names of the pictures that are stacked in it along the channels.
    images : int
        How many images the inputs hold, by the net's definition.
    clips : dict
        Those of ``pictures`` that are the frames of a clip -> Clip.
    """

    pictures: Dict[str, Shape]
    arrays: Dict[str, ArrayInput]
    slices: Dict[str, Tuple[str, ...]]
    images: int = 1
    clips: Dict[str, Clip] = dataclasses.field(default_factory=dict)

    def blob_shapes(self, pictures: Mapping[str, Shape]) -> Dict[str, Shape]:
        """The shapes of the input blobs for one item, where pictures have these shapes."""
        shapes = {name: tuple(shape) for name, shape in pictures.items()}
        for blob, names in self.slices.items():
            parts = [shapes.pop(name) for name in names]
            shapes[blob] = (1, sum(part[1] for part in parts)) + parts[0][2:]
        shapes.update((blob, clip.shape(shapes[blob])) for blob, clip in self.clips.items())
        shapes.update((blob, spec.shape) for blob, spec in self.arrays.items())
        return shapes


def find(graph: Graph, score: str) -> InputKinds:
    """The inputs that a score depends on, by kind.

    Four axes with more than one cell are a picture, or a signal; other inputs take numbers as they
    are.

    Raises
    ------
    ModelError
        There is none, none is a picture, or the size of one is open.
    """
    path, needed = graph.net.document.shown_path, graph.ancestors([score])
    entries = [entry for entry in graph.net.inputs if needed & set(graph.readers(entry.blob))]
    if not entries:
        raise ModelError.about(path, "the net has no input blob; give a deploy net, not one that "
                                     "reads its images through a data layer")
    for entry in entries:
        _check(path, entry)
    pictures = [entry for entry in entries if _is_picture(entry)]
    if not pictures:
        sizes = " and ".join(f"{entry.blob} is {_size(entry)}" for entry in entries)
        raise ModelError(f"{path}: no input is an image, in which regions could be shown: "
                         f"{sizes}; an image is {_PICTURE}", entries[0].blob)
    images = (pictures[0].shape or (1,))[0]
    kinds = InputKinds({}, {}, {}, images)
    for entry in entries:
        slices = _slices(graph, entry) if entry in pictures else {}
        if slices:
            kinds.pictures.update(slices)
            kinds.slices[entry.blob] = tuple(slices)
        elif entry in pictures:
            shape = tuple(entry.shape or ())
            kinds.pictures[entry.blob] = (1, shape[1]) + shape[-2:]
            clip = _clip(graph, score, shape) if len(pictures) == 1 else None
            if clip is not None:
                kinds.clips[entry.blob] = clip
        else:
            kinds.arrays[entry.blob] = array_inputs.described(graph, entry, images)
    return kinds


def joined(values: Mapping[str, np.ndarray], slices: Mapping[str, Sequence[str]]
           ) -> Dict[str, np.ndarray]:
    """What the input blobs hold, with pictures stacked where the net slices them.

    Parameters
    ----------
    values : dict
        Name -> N x C x h x w, or an array input's value.
    slices : dict
        See ``InputKinds``.
    """
    fed = dict(values)
    for blob, names in slices.items():
        fed[blob] = np.concatenate([fed.pop(name) for name in names], axis=1)
    return fed


def _check(path: str, entry: Input) -> None:
    shape = entry.shape or ()
    if len(shape) == 4 and min(shape) < 1:
        raise ModelError(f"{path}: input {entry.blob} is {_size(entry)}, so its size is "
                         "open; give it with --size, such as 224x224", entry.blob)
    if not shape or min(shape) < 1:
        raise ModelError(f"{path}: input {entry.blob} is {_size(entry)}; an image is "
                         f"{_PICTURE}", entry.blob)
    if len(shape) > _CLIP_AXES:
        raise ModelError(f"{path}: input {entry.blob} is {_size(entry)}; an image is "
                         f"{_PICTURE}, and a clip has one axis more", entry.blob)


def _is_picture(entry: Input) -> bool:
    shape = entry.shape or ()
    return len(shape) in (4, _CLIP_AXES) and shape[-2] * shape[-1] > 1


def _clip(graph: Graph, score: str, shape: Shape) -> Optional[Clip]:
    """How the only picture of a net takes a clip; None where it is one image.

    The rows of N x C x h x w are frames where the net makes one row of scores of them all.
    """
    if len(shape) == _CLIP_AXES:
        return Clip(shape[DEPTH], DEPTH, stride=1)
    if shape[0] < _FEWEST_FRAMES:
        return None
    scores = blob_shapes.infer(graph.net, {}, []).get(score)
    return Clip(shape[0], ROWS) if scores and scores[0] == 1 else None


def _slices(graph: Graph, entry: Input) -> Dict[str, Shape]:
    """The pictures that are stacked in an input: those of the only layer that reads it, if it
    slices the channels of equal pictures; else none."""
    readers = [graph.net.layers[index] for index in graph.readers(entry.blob)]
    shape = tuple(entry.shape or ())
    if len(readers) != 1 or readers[0].type != "Slice" or len(readers[0].tops) < 2:
        return {}
    ends = _ends(readers[0], shape)
    if ends is None:
        return {}
    counts = [end - start for start, end in zip([0] + ends, ends + [shape[1]])]
    if len(set(counts)) > 1 or counts[0] not in _STACKED:
        return {}
    return {top: (1, counts[0]) + shape[2:] for top in readers[0].tops}


def _ends(layer: Layer, shape: Shape) -> Optional[List[int]]:
    """Where a Slice layer cuts the channels; None where it cuts something else."""
    parameters = layer.message.slice_param
    axis = parameters.slice_dim if parameters.HasField("slice_dim") else parameters.axis
    if axis not in (1, -3):
        return None
    points, count = [int(point) for point in parameters.slice_point], len(layer.tops)
    if points:
        return points
    return [shape[1] // count * part for part in range(1, count)] if not shape[1] % count else None


def _size(entry: Input) -> str:
    return "x".join(map(str, entry.shape or ())) or "of unknown shape"
