"""Figures of rows: overlays while a batch runs, and later by ``render``."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.batch.options import Drawing
from caffe_gradcam.batch.output.rows import ItemResult
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import Folder
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.pictures import figures, metadata, outputs
from caffe_gradcam.pictures.figures import FigureOptions
from prototxt_tools.errors import ImageError, QuestionError


@dataclass(frozen=True, eq=False)
class Figures:
    """The figures to draw of one image.

    Attributes
    ----------
    item : Item
    sha256 : str
        Of the image's bytes when it was explained.
    explanations : list of (str, Explanation)
        File name in the folder, and what to draw.
    options : FigureOptions
    folder : str
        A path or URL.
    rows_depend_on : dict
        Of the output's manifest.
    """

    item: Item
    sha256: str
    explanations: List[Tuple[str, Explanation]]
    options: FigureOptions
    folder: str
    rows_depend_on: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of all that the figures depend on, in hexadecimal."""
        values = [self.rows_depend_on, self.options.to_dict(), self.sha256]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()


@dataclass(frozen=True, eq=False)
class Artist:
    """Draws the figures of one output into one folder.

    Attributes
    ----------
    drawing : Drawing
    manifest : dict
        The output's.
    """

    drawing: Drawing
    manifest: Mapping[str, Any]

    def overlays(self, results: Sequence[ItemResult], folder: str) -> List[Figures]:
        """The figures of those results of which some are to be drawn during the run."""
        return [self.figures(result.item, result.sha256 or "", result.explanations, folder)
                for result in results
                if result.status == "done" and _is_wanted(result, self.drawing.overlays)]

    def figures(self, item: Item, sha256: str, explanations: Sequence[Explanation], folder: str
                ) -> Figures:
        """The figures of an item."""
        options = self.drawing.figures
        stem = f"{item.number:09d}.{outputs.stems([item.path])[0]}"
        bases = outputs.bases(explanations, self._hash8,
                              len(self.manifest["rows_depend_on"]["inputs"]) > 1)
        names = [f"{stem}.{base}.{options.format}" for base in bases]
        return Figures(item, sha256, list(zip(names, explanations)), options, folder,
                       self.manifest["rows_depend_on"])

    @property
    def _hash8(self) -> str:
        recipe = Recipe.from_dict(self.manifest["recipe"], "the manifest's recipe")
        return "" if recipe.is_default else recipe.digest()[:8]


def _is_wanted(result: ItemResult, overlays: Union[str, int]) -> bool:
    if isinstance(overlays, int):
        return result.item.number < overlays
    if overlays == "wrong":
        return result.true_label is not None and result.true_label != result.predicted
    return overlays == "all"


def draw(image: "np.ndarray", request: Figures, folder: Folder) -> None:
    """Draw and write the figures of an image.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    request : Figures
    folder : LocalFolder or UrlFolder

    Raises
    ------
    ImageError
        The image has another size than the one that was explained.
    QuestionError
        A figure of another recipe has the same name.
    """
    text = metadata.text_of(request.digest, {"path": request.item.path})
    for name, explanation in request.explanations:
        size = tuple(explanation.geometry.image_size)
        if image.shape[:2] != size:
            raise ImageError("the image is {}x{}, the one that was explained was {}x{}".format(
                *image.shape[:2] + size), request.item.path)
        if folder.exists(name) and metadata.digest_of(folder.read(name)) != request.digest:
            path = folder.locate(name)
            raise QuestionError(f"{path}: was made from another image or with other options; "
                                "remove it, or write to another folder", path)
        figure = figures.draw_explanation(image, explanation, request.options)
        folder.write(name, figures.encode(name, figure, text))
