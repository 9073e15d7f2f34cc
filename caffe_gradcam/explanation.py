"""What an Explainer gives: values that pictures are drawn from, now or later."""

from typing import Any, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam.geometry import Geometry, Placement
from caffe_gradcam.methods import heatmap


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
