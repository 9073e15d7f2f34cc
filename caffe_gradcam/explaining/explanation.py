"""What an Explainer gives: values that pictures are drawn from, now or later."""

from typing import Any, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam.explaining.methods import heatmap
from caffe_gradcam.model.geometry import Geometry, Placement
from prototxt_tools.errors import InputError


class Picture(np.ndarray):
    """An array of pixels, blue first, that a notebook shows as a picture."""

    def _repr_png_(self):
        import cv2

        return cv2.imencode(".png", self)[1].tobytes()


class Explanation(NamedTuple):
    """Why a net gave a photograph the score of a class, or the answer to another question.

    Attributes
    ----------
    question : str
        In words: "281 tabby", "281 tabby versus 282 tiger cat".
    class_index : int or None
        The one class that the question is about, if there is one.
    label : str or None
    score : float
        The question's value: of a class, its score before any Softmax.
    probability : float or None
        Of the class; None where the net makes no probabilities of its scores.
    method : str
    target : str
        The blob whose map this is, or several joined by "+"; of methods that go down to the
        pixels, the net's input.
    cam : numpy.ndarray
        h x w float32, at the target's resolution: signed, neither cut off nor normalised.
    geometry : Geometry
        What part of the photograph the map lies on.
    placement : Placement or None
        Where its cells lie in that part; None: stretched over it.
    input : str
        The input blob whose photograph it is.
    photograph : numpy.ndarray or None
        H x W x 3 uint8, blue first, where it was kept (by ``Model.explain``) to be drawn on.
    """

    question: str
    class_index: Optional[int]
    label: Optional[str]
    score: float
    probability: Optional[float]
    method: str
    target: str
    cam: Any
    geometry: Geometry
    placement: Optional[Placement]
    input: str
    photograph: Any = None

    @property
    def heatmap(self):
        """H x W float32 in [0, 1], at the photograph's size; made anew each time."""
        return heatmap(self._on_photograph(np.maximum(self.cam, 0)) * (self.status == "ok"))

    @property
    def signed_heatmap(self):
        """H x W float32 in [-1, 1] at the photograph's size: what speaks against is negative."""
        laid = self._on_photograph(self.cam)
        largest = np.abs(laid).max()
        return laid / largest if largest > 0 else laid

    @property
    def status(self):
        """"ok", or "empty" where nothing speaks for the class, or all places do alike."""
        return "ok" if self.cam.max() > max(0, self.cam.min()) else "empty"

    @property
    def positive_mass(self):
        """The sum of the map's positive cells."""
        return float(np.maximum(self.cam, 0).sum(dtype=np.float64))

    @property
    def negative_mass(self):
        """The sum of the map's negative cells, as a positive number."""
        return float(np.maximum(-self.cam, 0).sum(dtype=np.float64))

    def figure(self, style="fade", colour_map=None, opacity=None, kind="side-by-side"):
        """The picture of it.

        Parameters
        ----------
        style, colour_map, opacity
            See ``render.Look.of``.
        kind : str
            "side-by-side", or "overlay" for the bare picture at the photograph's size.

        Returns
        -------
        Picture
            h x w x 3 uint8, blue first, as ``cv2.imwrite`` wants it; notebooks show it.

        Raises
        ------
        InputError
            The photograph was not kept, or there is no such style.
        """
        from caffe_gradcam.model import choices
        from caffe_gradcam.pictures import figures, render

        choices.check([kind], figures.KINDS[:2], "figure")
        if self.photograph is None:
            raise InputError(
                "the photograph was not kept; draw with caffe_gradcam.pictures.figures")
        look = render.Look.of(style, colour_map=colour_map, opacity=opacity)
        made = figures.one(self.photograph, self, look, kind=kind)
        drawn = render.draw(made) if isinstance(made, render.Sheet) else made
        return drawn.view(Picture)

    def _repr_png_(self):
        """What a notebook shows."""
        return None if self.photograph is None else self.figure()._repr_png_()

    def __repr__(self):
        return f"<{self.question}: {self.method} at {self.target}, {self.cam.shape[0]}x{self.cam.shape[1]}, {self.status}>"

    def _on_photograph(self, cells):
        return self.geometry.to_photograph(cells, self.placement)


class Result(NamedTuple):
    """What a net says of one photograph.

    Attributes
    ----------
    scores : numpy.ndarray
        One per class, float32.
    probabilities : numpy.ndarray or None
        One per class, float32.
    explanations : list of Explanation
        By question, in the order asked for; within a question by method, and within a method
        by target.
    """

    scores: Any
    probabilities: Any
    explanations: List[Explanation]
