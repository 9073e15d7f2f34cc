"""The maps of a survey: one for each image, small, in photograph and object coordinates."""

from dataclasses import dataclass
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.report.entries import ImageEntry, MapEntry, Rectangle

# Maps are compared at so many rows and columns.
SIDE = 16
# An object is shown in a window of so many times its box.
WINDOW = 2.0


@dataclass(frozen=True, eq=False)
class SurveyedMap:
    """A map about the class that an image was given.

    Attributes
    ----------
    entry : ImageEntry
        The image.
    shown : MapEntry
    heat : numpy.ndarray
        SIDE x SIDE float32 in photograph coordinates; its sum is 1.
    object_heat : numpy.ndarray or None
        SIDE x SIDE float32 around the boxes of the class; its sum is 1. None without boxes, and
        where no heat lies around them.
    """

    entry: ImageEntry
    shown: MapEntry
    heat: np.ndarray
    object_heat: Optional[np.ndarray] = None

    @property
    def inside(self) -> Optional[float]:
        """The share of the heat inside the objects of the class; None without objects."""
        return None if self.shown.outside is None else 1 - self.shown.outside


def collect(entries: Iterable[ImageEntry]) -> List[SurveyedMap]:
    """The first map about the predicted class of each image; images without heat are left out."""
    surveyed = []
    for entry in entries:
        shown = next((shown for shown in entry.maps if shown.heat is not None and shown.heat.any()
                      and shown.class_index == entry.predicted), None)
        if shown is None or shown.heat is None or entry.predicted is None:
            continue
        surveyed.append(SurveyedMap(entry, shown, reduced(shown.heat),
                                    around(shown.heat, entry.size, shown.boxes)))
    return surveyed


def reduced(heat: np.ndarray) -> np.ndarray:
    """A map (h x w, not negative, not zero) at SIDE x SIDE float32, with the sum 1."""
    import cv2

    small = cv2.resize(heat.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small / small.sum()


def around(heat: np.ndarray, size: Optional[Tuple[int, int]], boxes: Sequence[Rectangle]
           ) -> Optional[np.ndarray]:
    """The mean heat around objects, in coordinates of their boxes.

    Parameters
    ----------
    heat : numpy.ndarray
        h x w, not negative, over the whole image.
    size : (int, int) or None
        Height and width of the image in pixels.
    boxes : sequence of (float, float, float, float)
        x, y, width and height in pixels of the image.

    Returns
    -------
    numpy.ndarray or None
        SIDE x SIDE float32 with the sum 1; the box fills the inner part, 1 / WINDOW of each
        side. None without boxes, or without heat there.
    """
    import cv2

    if size is None or not boxes:
        return None
    down, across = heat.shape[0] / size[0], heat.shape[1] / size[1]
    total = np.zeros((SIDE, SIDE), np.float32)
    for x, y, width, height in boxes:
        step_x, step_y = WINDOW * width * across / SIDE, WINDOW * height * down / SIDE
        left = (x - (WINDOW - 1) / 2 * width) * across + step_x / 2 - 0.5
        top = (y - (WINDOW - 1) / 2 * height) * down + step_y / 2 - 0.5
        total += cv2.warpAffine(
            heat.astype(np.float32), np.array([[step_x, 0, left], [0, step_y, top]]), (SIDE, SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return total / total.sum() if total.sum() > 0 else None


def at_border(heat: np.ndarray) -> float:
    """The share of a SIDE x SIDE map in its outermost cells; a uniform map has 23 %."""
    return float(1 - heat[1:-1, 1:-1].sum() / heat.sum())
