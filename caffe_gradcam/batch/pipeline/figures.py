"""Figures of rows: overlays while a batch runs, and later by ``render``."""

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.batch.options import Drawing
from caffe_gradcam.batch.output.rows import Row, to_clip_explanation, to_explanation
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import Folder
from caffe_gradcam.explaining.clips import ClipExplanation
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.provenance import Provenance
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.preprocess import Preprocessing
from caffe_gradcam.pictures import figures, metadata, outputs, strips
from caffe_gradcam.pictures.figures import Subject
from prototxt_tools.errors import ImageError, QuestionError


@dataclass(frozen=True, eq=False)
class Figures:
    """The figures to draw of one image.

    Attributes
    ----------
    item : Item
    sha256 : str
        Of the image's bytes when it was explained.
    explanations : list of (str, Explanation or ClipExplanation)
        File name in the folder, and what to draw.
    provenance : Provenance
    folder : str
        A path or URL.
    inputs : dict
        The net's pictures, by which files are read.
    subject : Subject
    frames : sequence of int, optional
        Of a clip, which of its frames the net saw.
    """

    item: Item
    sha256: str
    explanations: List[Tuple[str, Union[Explanation, ClipExplanation]]]
    provenance: Provenance
    folder: str
    inputs: Mapping[str, Preprocessing]
    subject: Subject
    frames: Optional[Sequence[int]] = None


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

    def overlays(self, items: Sequence[Item], rows: Sequence[Row], folder: str) -> List[Figures]:
        """The figures of those items that are drawn during the run, from their rows."""
        by_item: Dict[int, List[Row]] = {}
        for row in rows:
            if row["cam_shape"] and _is_wanted(row, self.drawing.overlays):
                by_item.setdefault(row["item"], []).append(row)
        return [self.figures(item, by_item[item.number], folder)
                for item in items if item.number in by_item]

    def figures(self, item: Item, rows: Sequence[Row], folder: str) -> Figures:
        """The figures of an item, of its rows."""
        sha256, frames = rows[0]["sha256"], rows[0]["frames"]
        explanations: List[Any] = list(map(
            to_explanation if frames is None else to_clip_explanation, rows))
        options, rows_depend_on = self.drawing.figures, self.manifest["rows_depend_on"]
        recipe = Recipe.from_dict(self.manifest["recipe"], "the manifest's recipe")
        provenance = Provenance(recipe, options, item.path, depends_on=[rows_depend_on, sha256])
        stem = f"{item.number:09d}.{outputs.stem(*item.paths)}"
        bases = outputs.bases(
            explanations, provenance.hash8(), len(rows_depend_on["inputs"]) > 1)
        names = [f"{stem}.{base}.{options.format}" for base in bases]
        pictures = {name: _read_by(values) for name, values in rows_depend_on["inputs"].items()}
        return Figures(item, sha256, list(zip(names, explanations)), provenance, folder, pictures,
                       self._subject(item, rows[0]), frames)

    def _subject(self, item: Item, row: Row) -> Subject:
        label, names = row["true_label"], self.manifest.get("model", {}).get("class_names") or ()
        if label is None:
            return Subject(item.path)
        true_class = names[label] if 0 <= label < len(names) else f"class {label}"
        return Subject(item.path, true_class, label != row["predicted"])


def _read_by(values: Mapping[str, Any]) -> Preprocessing:
    """What matters of a picture's preprocessing, from a manifest, to read its file."""
    height, width = values["size"]
    value_range = values.get("value_range")
    return Preprocessing(
        (height, width), values["channel_order"], channels=values.get("channels", 3),
        value_range=None if value_range is None else (value_range[0], value_range[1]))


def _is_wanted(row: Row, overlays: Union[str, int]) -> bool:
    if isinstance(overlays, int):
        is_wanted: bool = row["item"] < overlays
        return is_wanted
    if overlays == "wrong":
        return row["true_label"] is not None and row["true_label"] != row["predicted"]
    return overlays == "all"


def draw(images: Union[Image, List[np.ndarray]], request: Figures, folder: Folder) -> None:
    """Draw and write the figures of an image or of a clip.

    Parameters
    ----------
    images : numpy.ndarray, dict or list
        H x W x 3 uint8, blue first; or input blob -> such an array; or the frames of a clip.
    request : Figures
    folder : LocalFolder or UrlFolder

    Raises
    ------
    ImageError
        The image has another size than the one that was explained.
    QuestionError
        A figure of another recipe has the same name.
    """
    options = request.provenance.options
    for name, explanation in request.explanations:
        if isinstance(explanation, ClipExplanation):
            assert isinstance(images, list)
            figure: figures.Figure = strips.filmstrip(images, explanation, options.look)
        else:
            image = images[explanation.input] if isinstance(images, dict) else images
            assert isinstance(image, np.ndarray)
            figure = _of_image(image, explanation, request)
        figure = figures.with_subject(figure, request.subject, options)
        data = figures.encode(name, figure, request.provenance.text(explanation))
        if folder.exists(name) and metadata.digest_of(folder.read(name)) != metadata.digest_of(
                data):
            path = folder.locate(name)
            raise QuestionError(f"{path}: was made from another image or with other options; "
                                "remove it, or write to another folder", path)
        folder.write(name, data)


def _of_image(image: np.ndarray, explanation: Explanation, request: Figures) -> figures.Figure:
    size = tuple(explanation.geometry.image_size)
    if image.shape[:2] != size:
        raise ImageError("the image is {}x{}, the one that was explained was {}x{}".format(
            *image.shape[:2] + size), request.item.path)
    return figures.draw_explanation(image, explanation, request.provenance.options)
