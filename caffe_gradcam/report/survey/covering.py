"""Covers a region of images and asks the model again."""

import dataclasses
import itertools
from typing import TYPE_CHECKING, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.report import batch_model
from caffe_gradcam.report.survey.regions import Region
from caffe_gradcam.report.survey.results import Asked

if TYPE_CHECKING:
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.report.output import Output

# Images that are asked about for one region, and those that go through the net together.
MOST_ASKED = 100
_TOGETHER = 16
# Pictures are reduced to this side before the colours around a region are spread over it.
_SPREAD_SIDE = 128


class Covering:
    """The model of a batch, open, to be asked about its images: ``with Covering(...) as covering``.

    Parameters
    ----------
    output : Output
    recipe : Recipe
        The output's, on what it is to run now.

    Raises
    ------
    InputError
        The model cannot be opened, or is not the one that the batch used.
    """

    def __init__(self, output: "Output", recipe: "Recipe") -> None:
        self._output = output
        plain = dataclasses.replace(recipe, explaining=Explaining(layers=recipe.explaining.layers))
        batch_model.check_unchanged(output, plain)
        self._explainer: Explainer = plain.open()

    def __enter__(self) -> "Covering":
        return self

    def __exit__(self, *error: object) -> None:
        self._explainer.close()

    def ask(self, numbers: Sequence[int], region: Region) -> Asked:
        """How many answers change without a region.

        Parameters
        ----------
        numbers : sequence of int
            The images; of more than MOST_ASKED, so many are taken at even distances.
        region : Region
        """
        step = max(1, len(numbers) / MOST_ASKED)
        selected = [numbers[int(index * step)] for index in range(min(len(numbers), MOST_ASKED))]
        counts = np.zeros(3, int)
        images = self._output.images(selected)
        for batch in iter(lambda: list(itertools.islice(images, _TOGETHER)), []):
            counts += self._count(batch, region)
        return Asked(*map(int, counts))

    def _count(self, batch: List[Tuple[int, Image, str]], region: Region) -> np.ndarray:
        whole = self._answers(image for _, image, _ in batch)
        without, elsewhere = (
            self._answers(_covered(image, name, covered) for _, image, name in batch)
            for covered in (region, region.opposite))
        counts = np.zeros(3, int)
        for before, after, other in zip(whole, without, elsewhere):
            if before is not None and after is not None and other is not None:
                counts += (1, after != before, other != before)
        return counts

    def _answers(self, images: Iterable[Image]) -> List[Optional[int]]:
        """The predicted class of each image; None where it cannot be explained."""
        return [outcome.unwrap().predicted if outcome.ok else None
                for outcome in self._explainer.explain(list(images))]


def _covered(image: Image, name: str, region: Region) -> Image:
    """An image, or of several inputs the one with this name, without a region."""
    if not isinstance(image, dict):
        return cover(image, region)
    covered: Dict[str, np.ndarray] = dict(image)
    name = name if name in covered else next(iter(covered))
    covered[name] = cover(covered[name], region)
    return covered


def cover(image: np.ndarray, region: Region) -> np.ndarray:
    """The image with a region filled by the colours around it.

    Parameters
    ----------
    image : numpy.ndarray
        H x W or H x W x channels. With uint8 and one or three channels the filling is smooth
        (Telea, "An image inpainting technique based on the fast marching method", Journal of
        Graphics Tools 9, 2004); otherwise it is the mean of the rest of the image.
    region : Region

    Returns
    -------
    numpy.ndarray
        A copy.
    """
    rows, columns = region.pixels(image.shape[:2])
    covered: np.ndarray = image.copy()
    if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2] in (1, 3)):
        filled = _spread(image, (rows, columns))
        covered[rows, columns] = filled.reshape(covered[rows, columns].shape)
    else:
        frame = np.ones(image.shape[:2], bool)
        frame[rows, columns] = False
        covered[rows, columns] = image[frame].mean(axis=0).astype(image.dtype)
    return covered


def _spread(image: np.ndarray, window: Tuple[slice, slice]) -> np.ndarray:
    """What fills the window: its surroundings, spread over it at a small size."""
    import cv2

    height, width = image.shape[:2]
    factor = min(1.0, _SPREAD_SIDE / max(height, width))
    small_size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, small_size, interpolation=cv2.INTER_AREA)
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[window] = 255
    # A pixel that the window touches at all holds something of it.
    small_mask = (cv2.resize(mask, small_size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.inpaint(small, small_mask, 3, cv2.INPAINT_TELEA)
    large: np.ndarray = filled if factor == 1 else cv2.resize(
        filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return large[window]
