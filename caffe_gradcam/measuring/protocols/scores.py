"""What a protocol makes of the maps of an image: hits of the pointing game, errors of boxes."""

from dataclasses import dataclass
from typing import Dict, Mapping, Sequence, Tuple

import numpy as np

from caffe_gradcam.measuring.protocols import rules
from caffe_gradcam.measuring.protocols.subjects import Box, Subject, mask_of
from prototxt_tools.errors import ImageError

ALL, DIFFICULT = "all", "difficult"
TOP_1, TOP_5 = "top-1", "top-5"


@dataclass(frozen=True)
class Score:
    """What a method at a layer came to on an image.

    Attributes
    ----------
    image : str
    group : int
        Means are taken over each group first, and then over groups: the class in the pointing
        game, which TorchRay's table averages; the same number for all errors of boxes.
    method, layer : str
    values : mapping
        Column -> 0 or 1, for the columns that this map counts in.
    """

    image: str
    group: int
    method: str
    layer: str
    values: Mapping[str, float]


def pointing(heat: np.ndarray, subject: Subject, class_index: int) -> Dict[str, float]:
    """1 where the map of a class points at it, 0 where it does not, by column.

    Parameters
    ----------
    heat : numpy.ndarray
        H x W, at the size of the image.
    subject : Subject
    class_index : int
        Of a target of the subject.

    Returns
    -------
    dict
        "all", and "difficult" where it is; empty for a target that is skipped.

    Raises
    ------
    ImageError
        The image has another size than its annotation.
    """
    target = subject.target(class_index)
    if target.is_skipped:
        return {}
    size = subject.size or (heat.shape[0], heat.shape[1])
    if heat.shape != size:
        raise ImageError("{}: has {}x{} pixels, but its annotation is for {}x{}".format(
            subject.path, *heat.shape + size), subject.path)
    mask = mask_of(target.shapes, size)
    hit = float(rules.is_hit(mask, rules.point_of(heat)))
    is_difficult = target.is_difficult
    if is_difficult is None:
        is_difficult = rules.is_difficult(mask, len(subject.targets))
    return {ALL: hit, DIFFICULT: hit} if is_difficult else {ALL: hit}


def localisation(guesses: Sequence[Tuple[int, np.ndarray]], subject: Subject, threshold: float
                 ) -> Dict[str, float]:
    """1 where no guess is right, 0 where one is, by column.

    A guess is right if the image shows its class, and the box around the largest hot part of its
    map is in the place of such an object.

    Parameters
    ----------
    guesses : sequence of (int, numpy.ndarray)
        Classes, the likeliest first, and their maps at the size of the image.
    subject : Subject
    threshold : float
        See ``rules.largest_box``.

    Returns
    -------
    dict
        "top-1" and "top-5".
    """
    truths = {target.class_index: [shape for shape in target.shapes if isinstance(shape, Box)]
              for target in subject.targets}
    is_right = [class_index in truths and rules.is_localised(
        rules.largest_box(heat, threshold), truths[class_index])
        for class_index, heat in guesses[:5]]
    return {TOP_1: float(not any(is_right[:1])), TOP_5: float(not any(is_right))}
