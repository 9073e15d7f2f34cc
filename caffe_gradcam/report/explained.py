"""From images that were explained just now to the entries of a report."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Sequence

import numpy as np

from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.entries import ImageEntry
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation

# The longer side of a picture, in pixels: calls explain some images, not thousands.
_SIDE = 480


@dataclass(frozen=True, eq=False)
class Shown:
    """An image and its explanations.

    Attributes
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first: what was explained.
    explanations : sequence of Explanation
    predicted : int or None
        The class that the net gives to the image, if it gives one.
    note : str, optional
        A sentence about the image.
    """

    image: np.ndarray
    explanations: "Sequence[Explanation]"
    predicted: Optional[int] = None
    note: Optional[str] = None


def entry(number: int, path: str, shown: Shown, true_label: Optional[int] = None) -> ImageEntry:
    """The entry of an image."""
    explanations = shown.explanations
    status = "ok" if any(explanation.status == "ok" for explanation in explanations) else "empty"
    return ImageEntry(
        number, path, path, status, note=shown.note, true_label=true_label,
        predicted=shown.predicted, size=shown.image.shape[:2],
        picture=thumbnails.to_jpeg(shown.image, _SIDE),
        maps=[thumbnails.of_explanation(explanation) for explanation in explanations])


def failure(number: int, path: str, error: InputError) -> ImageEntry:
    """The entry of an image that could not be explained."""
    return ImageEntry(number, path, path, "failed", error=str(error), missing=str(error))
