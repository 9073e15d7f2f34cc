"""What counts as a hit: the pointing game as TorchRay plays it, and localisation by a box."""

from typing import Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.measuring.protocols.subjects import Box
from caffe_gradcam.pictures import boxes as heat_boxes

TOLERANCE = 15
# From this overlap on, a box is in the right place.
LEAST_OVERLAP = 0.5
# An object that fills less of its image is difficult, where the image shows another class too.
LARGE = 0.25


def point_of(heat: np.ndarray) -> Tuple[int, int]:
    """Row and column of the hottest pixel.

    Of several equally hot ones it is the first, so an empty map points at the upper left corner.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W.
    """
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return int(row), int(column)


def is_hit(mask: np.ndarray, point: Tuple[int, int], tolerance: int = TOLERANCE) -> bool:
    """Whether a point lies on an object, or less than the tolerance beside it.

    Fong, Patrick and Vedaldi, "Understanding Deep Networks via Extremal Perturbations and Smooth
    Masks", ICCV 2019, and the class ``PointingGame`` of TorchRay: the centres of the point and of
    some pixel of the object are less than ``tolerance`` apart.

    Parameters
    ----------
    mask : numpy.ndarray
        H x W bool: all objects of the class.
    point : (int, int)
        Row and column.
    tolerance : int
        In pixels.
    """
    row, column = point
    top, left = max(row - tolerance, 0), max(column - tolerance, 0)
    rows, columns = np.nonzero(mask[top:row + tolerance + 1, left:column + tolerance + 1])
    distances = (rows + top - row) ** 2 + (columns + left - column) ** 2
    return bool((distances < tolerance ** 2).any())


def is_difficult(mask: np.ndarray, classes: int) -> bool:
    """Whether a class of an image belongs to the difficult ones.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016, section 4.1: its
    objects fill less than a quarter of the image, which shows another class too.

    Parameters
    ----------
    mask : numpy.ndarray
        H x W bool: all objects of the class.
    classes : int
        How many classes the image shows.
    """
    return classes > 1 and float(mask.mean()) < LARGE


def largest_box(heat: np.ndarray, threshold: float) -> Optional[Box]:
    """The box around the largest connected part of a map that reaches a part of its maximum.

    Selvaraju et al., "Grad-CAM", ICCV 2017, section 4.1, with a threshold of 0.15; Zhou et al.,
    "Learning Deep Features for Discriminative Localization", CVPR 2016, section 3.2, with 0.2.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W float32, not negative.
    threshold : float
        Above 0, at most 1.

    Returns
    -------
    Box or None
        Of equally large parts, around the hottest; None for a flat map.
    """
    parts = heat_boxes.find(heat, threshold, least_area=0)
    if not parts:
        return None
    part = max(parts, key=lambda box: box.area)
    return Box(part.x, part.y, part.x + part.width - 1, part.y + part.height - 1)


def overlap(first: Box, second: Box) -> float:
    """The intersection of two boxes over their union, in pixels: 0 to 1."""
    width = min(first.right, second.right) - max(first.left, second.left) + 1
    height = min(first.bottom, second.bottom) - max(first.top, second.top) + 1
    common = max(width, 0) * max(height, 0)
    return common / float(_area(first) + _area(second) - common)


def is_localised(box: Optional[Box], boxes: Sequence[Box]) -> bool:
    """Whether a box overlaps one of some others by ``LEAST_OVERLAP``; none overlaps nothing."""
    return box is not None and any(overlap(box, other) >= LEAST_OVERLAP for other in boxes)


def _area(box: Box) -> int:
    return (box.right - box.left + 1) * (box.bottom - box.top + 1)
