"""Images of a data set, and what people marked in them."""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np

from prototxt_tools.errors import InputError

Size = Tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; its edges are the first and the last pixels inside, from 0.

    Attributes
    ----------
    left, top, right, bottom : int
    """

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Polygons:
    """The outlines of an object's parts.

    Attributes
    ----------
    outlines : sequence of (sequence of float)
        x and y of each corner in turn, in pixels, whose edges are whole numbers.
    """

    outlines: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Runs:
    """A mask as lengths of runs, column by column: outside, inside, outside, ...

    Attributes
    ----------
    lengths : sequence of int
        Their sum is the number of the image's pixels.
    """

    lengths: Sequence[int]


Shape = Union[Box, Polygons, Runs]


@dataclass(frozen=True)
class Target:
    """A class that an image shows.

    Attributes
    ----------
    class_index : int
        Among the data set's classes.
    shapes : tuple of Box, Polygons or Runs
        Its objects.
    is_skipped : bool
        Whether the protocol leaves it out, since people found all its objects hard to see.
    is_difficult : bool, optional
        Whether a published list has it among the difficult ones; None: by the rule, see
        ``rules.is_difficult``.
    """

    class_index: int
    shapes: Tuple[Shape, ...]
    is_skipped: bool = False
    is_difficult: Optional[bool] = None


@dataclass(frozen=True)
class Subject:
    """An image with its targets.

    Attributes
    ----------
    name : str
        Without folder and extension.
    path : str
    size : (int, int) or None
        Height and width, where the protocol depends on them.
    targets : tuple of Target
        One for each class, by class.
    """

    name: str
    path: str
    size: Optional[Size]
    targets: Tuple[Target, ...]

    def target(self, class_index: int) -> Target:
        """The target of a class that the image shows."""
        return next(target for target in self.targets if target.class_index == class_index)


@dataclass(frozen=True)
class DataSet:
    """The images of a protocol.

    Attributes
    ----------
    class_names : tuple of str
        In the order of the class indices; empty texts where the data set has none.
    subjects : tuple of Subject
        In the data set's own order; without those that show nothing.
    """

    class_names: Tuple[str, ...]
    subjects: Tuple[Subject, ...]


def mask_of(shapes: Sequence[Shape], size: Size) -> np.ndarray:
    """The pixels of some shapes.

    Parameters
    ----------
    shapes : sequence of Box, Polygons or Runs
    size : (int, int)
        Height and width.

    Returns
    -------
    numpy.ndarray
        H x W bool.

    Raises
    ------
    InputError
        There are polygons, and pycocotools is not installed.
    """
    mask = np.zeros(size, bool)
    for shape in shapes:
        if isinstance(shape, Box):
            mask[max(shape.top, 0):max(shape.bottom + 1, 0),
                 max(shape.left, 0):max(shape.right + 1, 0)] = True
        elif isinstance(shape, Runs):
            values = np.arange(len(shape.lengths)) % 2 == 1
            mask |= np.repeat(values, shape.lengths).reshape(size[::-1]).T
        else:
            mask |= _inside(shape.outlines, size)
    return mask


def _inside(outlines: Sequence[Sequence[float]], size: Size) -> np.ndarray:
    """The pixels inside some outlines, rasterised as COCO's own code does."""
    try:
        from pycocotools import mask as coco_masks
    except ImportError:
        raise InputError("COCO's outlines need pycocotools; pip install pycocotools") from None
    corners: List[List[float]] = [list(outline) for outline in outlines]
    pieces = coco_masks.frPyObjects(corners, size[0], size[1])
    inside: np.ndarray = coco_masks.decode(coco_masks.merge(pieces)) > 0
    return inside
