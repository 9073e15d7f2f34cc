"""What a figure's name and file tell about how it was made."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Union

from caffe_gradcam import __version__
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.recipe import Recipe, digest_of
from caffe_gradcam.pictures import metadata
from caffe_gradcam.pictures.figures import FigureOptions

if TYPE_CHECKING:
    from caffe_gradcam.explaining.clips import ClipExplanation
    from caffe_gradcam.explaining.explanation import Explanation

Rectangle = Tuple[int, int, int, int]

_DIGITS = 8


@dataclasses.dataclass(frozen=True)
class Provenance:
    """How the figures of one image are made.

    Attributes
    ----------
    recipe : Recipe
    options : FigureOptions
    image : str
        What the user calls the image.
    crop : (int, int, int, int), optional
        x, y, width and height of the part that is asked about.
    depends_on : optional
        JSON values of whatever else a figure depends on, such as hashes of files.
    """

    recipe: Recipe
    options: FigureOptions
    image: str
    crop: Optional[Rectangle] = None
    depends_on: Any = None

    def hash8(self) -> str:
        """Eight digits that stand for what a figure's name does not tell; empty by default.

        The name tells class, layer and method, but not that of a grid. Engine and device do not
        change a figure.
        """
        drawn = {"crop": self.crop, "figure": self.options.to_dict()}
        if self.recipe.is_default and not any(drawn.values()):
            return ""
        reduced = _drawn if self.options.kind == "grid" else _without_name
        return digest_of(dict(drawn, recipe=reduced(self.recipe).to_dict()))[:_DIGITS]

    def text(self, explanation: "Union[None, Explanation, ClipExplanation]" = None) -> str:
        """The text that the file of a figure carries: see :mod:`metadata`.

        Parameters
        ----------
        explanation : Explanation or ClipExplanation, optional
            What the figure shows; a grid shows all of an image's explanations.
        """
        shown: Dict[str, Any] = {
            "image": self.image, "crop": self.crop, "figure": self.options.to_dict()}
        recipe = _drawn(self.recipe)
        if explanation is not None:
            recipe = _without_name(self.recipe)
            shown.update(
                question=explanation.question, layer=explanation.layer,
                method=explanation.method, input=explanation.input)
        digest = digest_of(dict(shown, image=_absolute(self.image), recipe=_absolute_model(recipe),
                              depends_on=self.depends_on))
        return metadata.text_of(
            digest, dict(shown, recipe=self.recipe.to_dict(), version=__version__))


def _drawn(recipe: Recipe) -> Recipe:
    """A recipe reduced to what changes a figure."""
    running = Running(precision=recipe.running.precision,
                      allow_missing=recipe.running.allow_missing,
                      ignore_unknown_fields=recipe.running.ignore_unknown_fields)
    return dataclasses.replace(recipe, running=running)


def _without_name(recipe: Recipe) -> Recipe:
    """A recipe reduced to what changes a figure and is not part of its name."""
    default = Recipe(recipe.model)
    return dataclasses.replace(
        _drawn(recipe),
        asking=dataclasses.replace(recipe.asking, classes=default.asking.classes),
        explaining=dataclasses.replace(
            recipe.explaining, methods=default.explaining.methods,
            layers=default.explaining.layers))


def _absolute_model(recipe: Recipe) -> Dict[str, Any]:
    """A recipe as JSON values, the same from whatever folder the model's files are named."""
    values = recipe.to_dict()
    for key in ("path", "weights"):
        if values["model"][key] is not None:
            values["model"][key] = _absolute(values["model"][key])
    return values


def _absolute(path: str) -> str:
    return os.path.abspath(path) if os.path.exists(path) else path
