"""From images that were explained just now to the entries of a report."""

from typing import TYPE_CHECKING, Optional

import numpy as np

from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.entries import ImageEntry
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Result

# The longer side of a picture, in pixels: calls explain some images, not thousands.
_SIDE = 480


def entry(number: int, path: str, image: np.ndarray, result: "Result",
          true_label: Optional[int] = None) -> ImageEntry:
    """The entry of an image.

    Parameters
    ----------
    number : int
    path : str
    image : numpy.ndarray
        H x W x 3 uint8, blue first: what was explained.
    result : Result
    true_label : int, optional
    """
    explanations = result.explanations
    status = "ok" if any(explanation.status == "ok" for explanation in explanations) else "empty"
    return ImageEntry(
        number, path, path, status, true_label=true_label,
        predicted=result.predicted, size=image.shape[:2],
        picture=thumbnails.to_jpeg(image, _SIDE),
        maps=[thumbnails.of_explanation(explanation) for explanation in explanations])


def failure(number: int, path: str, error: InputError) -> ImageEntry:
    """The entry of an image that could not be explained."""
    return ImageEntry(number, path, path, "failed", error=str(error), missing=str(error))
