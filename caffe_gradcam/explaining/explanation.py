"""What an Explainer gives: values that figures are drawn from, now or later."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.explaining.methods import heatmap
from caffe_gradcam.model import choices
from caffe_gradcam.model.geometry import Geometry, Placement
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.word_relevance import WordRelevance

# Attributes that are computed on demand and kept.
_COMPUTED = ("_heatmap", "_signed_heatmap")


class Picture(np.ndarray):
    """An array of pixels, blue first, that a notebook shows as a picture."""

    def _repr_png_(self) -> bytes:
        import cv2

        data: bytes = cv2.imencode(".png", self)[1].tobytes()
        return data


def status_of(cam: np.ndarray) -> str:
    """"ok", or "empty" where no cell of a map is positive, or all are alike."""
    return "ok" if cam.max() > max(0, cam.min()) else "empty"


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why a net gave an image the score of a class, or the answer to another question.

    Two explanations are equal only if they are the same object.

    Attributes
    ----------
    question : str
        In words: "281 tabby", "281 tabby versus 282 tiger cat".
    class_index : int or None
        The one class that the question is about, if there is one.
    class_name : str or None
    score : float
        The question's value: of a class, its score before any Softmax.
    probability : float or None
        Of the class; None where the net does not turn its scores into probabilities.
    method : str
    layer : str
        The blob whose map this is, or several joined by "+"; of methods that go down to the
        pixels, the net's input.
    cam : numpy.ndarray
        h x w float32, at the layer's resolution: signed, neither cut off nor normalised.
    geometry : Geometry
        Which part of the image the map lies on.
    placement : Placement or None
        Where its cells lie in that part; None: stretched over it.
    input : str
        The input blob whose image it is.
    box : (float, float, float, float) or None
        x, y, width and height in pixels of the image, where a detection is explained.
    image : numpy.ndarray or None
        H x W x 3 uint8, blue first, where it was kept (by ``Model.explain``) to be drawn on.
    position : tuple of (str, int)
        The step, prior or region of interest that the question is about: (("step", 3),).
    sentence : str or None
        The caption of which a word, or the whole, is explained.
    words : tuple of WordRelevance
        How much each word mattered that the net read beside the image.
    """

    question: str
    class_index: Optional[int]
    class_name: Optional[str]
    score: float
    probability: Optional[float]
    method: str
    layer: str
    cam: np.ndarray
    geometry: Geometry
    placement: Optional[Placement]
    input: str
    image: Optional[np.ndarray] = None
    box: Optional[Tuple[float, float, float, float]] = None
    position: Tuple[Tuple[str, int], ...] = ()
    sentence: Optional[str] = None
    words: "Tuple[WordRelevance, ...]" = ()

    @property
    def heatmap(self) -> np.ndarray:
        """H x W float32 in [0, 1], at the image's size; read-only, computed once."""
        if "_heatmap" not in self.__dict__:
            positive = self._on_image(np.maximum(self.cam, 0)) * (self.status == "ok")
            self.__dict__["_heatmap"] = _read_only(heatmap(positive))
        array: np.ndarray = self.__dict__["_heatmap"]
        return array

    @property
    def signed_heatmap(self) -> np.ndarray:
        """H x W float32 in [-1, 1] at the image's size: what speaks against is negative."""
        if "_signed_heatmap" not in self.__dict__:
            values = self._on_image(self.cam)
            largest = np.abs(values).max()
            self.__dict__["_signed_heatmap"] = _read_only(
                values / largest if largest > 0 else values)
        array: np.ndarray = self.__dict__["_signed_heatmap"]
        return array

    @property
    def status(self) -> str:
        """"ok", or "empty" where nothing speaks for the class, or all positions do alike."""
        return status_of(self.cam)

    @property
    def positive_mass(self) -> float:
        """The sum of the map's positive cells."""
        return float(np.maximum(self.cam, 0).sum(dtype=np.float64))

    @property
    def negative_mass(self) -> float:
        """The sum of the map's negative cells, as a positive number."""
        return float(np.maximum(-self.cam, 0).sum(dtype=np.float64))

    def figure(self, style: str = "fade", colormap: Optional[str] = None,
               opacity: Optional[float] = None, kind: str = "side-by-side") -> Picture:
        """The figure that shows it.

        Parameters
        ----------
        style, colormap, opacity
            See ``caffe_gradcam.pictures.render.Look``.
        kind : str
            "side-by-side", or "overlay" for the bare overlay at the image's size.

        Returns
        -------
        Picture
            h x w x 3 uint8, blue first, as ``cv2.imwrite`` expects it; notebooks show it.

        Raises
        ------
        QuestionError
            The image was not kept, or there is no such style.
        """
        from caffe_gradcam.pictures import figures, render

        choices.check([kind], figures.KINDS[:2], "figure")
        if self.image is None:
            raise QuestionError("the image was not kept with this explanation; draw it with "
                                "caffe_gradcam.pictures.figures.draw_explanation")
        look = render.Look(style, opacity, colormap)
        figure = figures.draw_explanation(self.image, self, figures.FigureOptions(kind, look))
        pixels = render.draw(figure) if isinstance(figure, render.Sheet) else figure
        return pixels.view(Picture)

    def _repr_png_(self) -> Optional[bytes]:
        """What a notebook shows."""
        return None if self.image is None else self.figure()._repr_png_()

    def __repr__(self) -> str:
        height, width = self.cam.shape
        return (f"<{self.question}: {self.method} at {self.layer}, {height}x{width}, "
                f"{self.status}>")

    def __getstate__(self) -> Dict[str, Any]:
        """Without what can be computed again."""
        return {name: value for name, value in self.__dict__.items() if name not in _COMPUTED}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    def _on_image(self, cells: np.ndarray) -> np.ndarray:
        return self.geometry.to_image(cells, self.placement)


@dataclass(frozen=True, eq=False)
class Result:
    """What a net answers about one image.

    Attributes
    ----------
    scores : numpy.ndarray
        One per class, float32.
    probabilities : numpy.ndarray or None
        One per class, float32.
    explanations : list of Explanation
        By question, in the order asked; within a question by method, and within a method by
        layer.
    predicted : int
        The class with the highest score; where steps, priors or regions have scores of their own,
        the likeliest at any of them, without the background of a detector.
    """

    scores: np.ndarray
    probabilities: Optional[np.ndarray]
    explanations: List[Explanation]
    predicted: int


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
