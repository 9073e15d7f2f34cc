"""Where the objects of each class are in the images of a batch: boxes or masks."""

from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.measuring.annotations import boxes_of, read_boxes
from caffe_gradcam.measuring.scene_objects import objects_of, read_object_files
from caffe_gradcam.report.entries import Rectangle
from prototxt_tools.errors import ImageError, QuestionError


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one class in an image.

    Attributes
    ----------
    boxes : sequence of (float, float, float, float)
        x, y, width and height in pixels of the image, around each object.
    mask : numpy.ndarray or None
        H x W bool, true on the objects; None where only boxes are known.
    """

    boxes: Sequence[Rectangle] = ()
    mask: Optional[np.ndarray] = None

    def share_outside(self, heat: np.ndarray, size: Tuple[int, int]) -> Optional[float]:
        """The share of a map's heat outside all of the objects; None without objects or heat.

        Parameters
        ----------
        heat : numpy.ndarray
            h x w, not negative, over the whole image.
        size : (int, int)
            Height and width of the image.
        """
        total = float(heat.sum(dtype=np.float64))
        if not self.boxes or total <= 0:
            return None
        covered = self._in_boxes(heat.shape, size) if self.mask is None else _reduced(
            self.mask, heat.shape)
        return 1 - float((heat * covered).sum(dtype=np.float64)) / total

    def _in_boxes(self, shape: Tuple[int, ...], size: Tuple[int, int]) -> np.ndarray:
        """Whether the middle of each cell is in a box, h x w."""
        rows = (np.arange(shape[0]) + 0.5) * (size[0] / shape[0])
        columns = (np.arange(shape[1]) + 0.5) * (size[1] / shape[1])
        inside = np.zeros(shape, bool)
        for x, y, width, height in self.boxes:
            inside |= np.outer((rows >= y) & (rows < y + height),
                               (columns >= x) & (columns < x + width))
        return inside


NO_OBJECTS = Objects()


class ObjectsOfImages:
    """The objects in the images of a batch.

    Parameters
    ----------
    boxes : str, optional
        A file of boxes: see ``measuring.annotations.read_boxes``.
    masks : str, optional
        A file of objects with masks: see ``measuring.scene_objects.read_object_files``.
    find_class : callable
        Number or class name -> class index; raises InputError.

    Raises
    ------
    InputError
        A file cannot be read, or both are given.
    """

    def __init__(self, boxes: Optional[str], masks: Optional[str],
                 find_class: Callable[[str], int]) -> None:
        if boxes and masks:
            raise QuestionError("--boxes and --objects both say where the objects are; give one "
                                "of them", "--objects")
        self._boxes = read_boxes(boxes, find_class) if boxes else {}
        self._masks = read_object_files(masks, find_class) if masks else {}

    def of(self, path: str, size: Optional[Tuple[int, int]]) -> Dict[int, Objects]:
        """Class -> its objects in an image.

        Parameters
        ----------
        path : str
            Of the image, as the batch names it.
        size : (int, int) or None
            Its height and width.

        Raises
        ------
        InputError
            A mask cannot be read, or has another size.
        """
        by_class = {index: Objects(tuple(several))
                    for index, several in boxes_of(path, self._boxes).items()}
        masks: Dict[int, List[np.ndarray]] = {}
        for files in objects_of(path, self._masks):
            mask = files.read().whole.mask
            if size is not None and mask.shape != size:
                raise ImageError(f"{files.whole.mask}: is {mask.shape[0]}x{mask.shape[1]}, and "
                                 f"its image is {size[0]}x{size[1]}", files.whole.mask)
            masks.setdefault(files.class_index, []).append(mask)
        by_class.update((index, Objects([_box_around(mask) for mask in several],
                                        np.any(several, axis=0)))
                        for index, several in masks.items())
        return by_class


def _box_around(mask: np.ndarray) -> Rectangle:
    """x, y, width and height of the pixels of a mask, of which there is at least one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1),
            float(rows[-1] - rows[0] + 1))


def _reduced(mask: np.ndarray, shape: Tuple[int, ...]) -> np.ndarray:
    """The share of each cell that a mask covers, h x w float32."""
    import cv2

    covered: np.ndarray = cv2.resize(mask.astype(np.float32), shape[1::-1],
                                     interpolation=cv2.INTER_AREA)
    return covered
