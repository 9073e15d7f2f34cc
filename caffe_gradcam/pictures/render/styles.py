"""Styles: ways to show a heatmap on its image, one small function each.

Each takes an image (H x W x 3 uint8, blue first) and a heatmap (H x W float32, from 0 to 1, or from
-1 to 1 with a signed colormap) and returns a picture of the image's shape. The styles of the
articles take their arithmetic from there; where the articles truncate to whole levels, we round.
"""

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from caffe_gradcam.model import choices
from caffe_gradcam.pictures.render.colormaps import DEFAULT, apply_colormap
from caffe_gradcam.pictures.render.colormaps import colormap as find_colormap
from caffe_gradcam.pictures.render.lines import trace
from prototxt_tools.errors import QuestionError


def fade(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.65,
         colormap: str = DEFAULT) -> np.ndarray:
    """Colour whose weight is the opacity times the square root of the heat.

    Our own: the image is left as it is where the heat is 0, and the weak parts of the map can
    still be seen.
    """
    heat = _clip(heatmap, colormap)
    weight = np.float32(opacity) * np.sqrt(np.abs(heat))[:, :, np.newaxis]
    return _picture(image * (1 - weight) + apply_colormap(heat, colormap) * weight)


def added(image: np.ndarray, heatmap: np.ndarray, opacity: float = 1.0,
          colormap: str = DEFAULT) -> np.ndarray:
    """Image plus opacity times colour, divided by its maximum.

    "Grad-CAM Implementation in pycaffe": ``cam = cam + image; 255 * cam / max(cam)``. The
    image's brightness depends on the map.
    """
    total = image + np.float32(opacity) * apply_colormap(heatmap, colormap)
    return _picture(total * (255 / max(total.max(), np.float32(1))))


def clipped(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.4,
            colormap: str = DEFAULT) -> np.ndarray:
    """Image plus opacity times colour, clipped at white.

    "Implementing Grad-CAM in PyTorch", which takes it from Chollet's "Deep Learning with Python",
    section 5.4.3: ``heatmap * 0.4 + image``, clipped by ``cv2.imwrite``.
    """
    return _picture(image + np.float32(opacity) * apply_colormap(heatmap, colormap))


def half(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.5,
         colormap: str = DEFAULT) -> np.ndarray:
    """Half image, half colour.

    The Keras article on VGG19: ``plt.imshow(map, alpha=0.5, cmap="jet")``. There Matplotlib also
    stretches the map's lowest value to 0; our zero stays where it is.
    """
    return _mix(image, heatmap, opacity, colormap)


def sixty_forty(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.4,
                colormap: str = DEFAULT) -> np.ndarray:
    """Six tenths image, four tenths colour.

    The PyTorch tutorial on ResNet-18 and "Where CNN is looking? - Grad CAM":
    ``cv2.addWeighted(image, 0.6, colours, 0.4, 0)``.
    """
    return _mix(image, heatmap, opacity, colormap)


def bare(image: np.ndarray, heatmap: np.ndarray, colormap: str = DEFAULT) -> np.ndarray:
    """The colours alone, without the image."""
    return apply_colormap(heatmap, colormap)


def contours(image: np.ndarray, heatmap: np.ndarray, opacity: float = 1.0,
             colormap: str = DEFAULT, levels: Sequence[float] = (0.25, 0.5, 0.75)) -> np.ndarray:
    """Lines of equal heat on the image, each in its colour; of negative heat too where signed."""
    heat = _clip(heatmap, colormap)
    signs = (1, -1) if heat.min() < 0 else (1,)
    drawn = image.copy()
    for level in sorted(levels):
        for sign in signs:
            colour = apply_colormap(np.array([[sign * level]], np.float32), colormap)[0, 0]
            trace(drawn, sign * heat, level, colour.tolist())
    return _picture(image * np.float32(1 - opacity) + drawn * np.float32(opacity))


def masked(image: np.ndarray, heatmap: np.ndarray, opacity: float = 0.85,
           threshold: float = 0.5) -> np.ndarray:
    """The image where the heat is at least the threshold; the rest dark."""
    dark = image * np.float32(1 - opacity)
    return np.where(_hot(heatmap, threshold), image, _picture(dark))


def blurred(image: np.ndarray, heatmap: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The image where the heat is at least the threshold; the rest grey and out of focus."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(grey, (0, 0), max(1.0, max(grey.shape) / 60.0))
    return np.where(_hot(heatmap, threshold), image, soft[:, :, np.newaxis])


STYLES: Dict[str, Callable[..., np.ndarray]] = {
    "fade": fade,
    "added": added,
    "clipped": clipped,
    "half": half,
    "60-40": sixty_forty,
    "bare": bare,
    "contours": contours,
    "masked": masked,
    "blurred": blurred,
}
# Where nothing is hot these two keep nothing of the image; the others show it bare.
_KEEPING = ("masked", "blurred")


@dataclass(frozen=True)
class Look:
    """A style with its settings; what a style does not use must stay None.

    Attributes
    ----------
    style : str
        A name of ``STYLES``.
    opacity : float, optional
        0 to 1; None, here and below: the style's own.
    colormap : str, optional
        See :func:`colormaps.colormap`.
    threshold : float, optional
        0 to 1: the heat from which a pixel counts as hot.
    levels : sequence of float, optional
        Of contours: each above 0 and at most 1.

    Raises
    ------
    QuestionError
        An unknown style or colormap, a setting that the style does not use, or one out of its
        range.
    """

    style: str = "fade"
    opacity: Optional[float] = None
    colormap: Optional[str] = None
    threshold: Optional[float] = None
    levels: Optional[Sequence[float]] = None

    def __post_init__(self) -> None:
        choices.check([self.style], STYLES, "style")
        allowed = _parameters(self.style)
        for name, value in self.settings.items():
            if name not in allowed:
                raise QuestionError(f"style {self.style!r} does not use {name}; it uses "
                                    + " and ".join(allowed), name)
            if name == "colormap":
                find_colormap(value)
            elif not all(0 <= number <= 1 for number in np.atleast_1d(value)):
                raise QuestionError(f"{name} must be between 0 and 1, not {value}", name)
        if self.levels is not None and min(self.levels, default=1) == 0:
            raise QuestionError(
                "the levels of contours must be above 0, or they would run along the border",
                "levels")

    @property
    def settings(self) -> Dict[str, Any]:
        """The settings that are not the style's own, as arguments of its function."""
        values = {"opacity": self.opacity, "colormap": self.colormap,
                  "threshold": self.threshold, "levels": self.levels}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def scale(self) -> Optional[str]:
        """The name of the colormap that is drawn with; None for a style without colours."""
        return (self.colormap or DEFAULT) if "colormap" in _parameters(self.style) else None


def overlay(image: np.ndarray, heatmap: np.ndarray, look: Optional[Look] = None) -> np.ndarray:
    """Show a heatmap on its image.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32 in [0, 1], or in [-1, 1] with a signed colormap; without one, negative
        values count as 0.
    look : Look or None
        None for our own style.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8: the image itself where the map is flat, as a map that is zero or
        negative everywhere is.

    Raises
    ------
    QuestionError
        The map has not the image's size, or it holds NaN or infinity.
    """
    look = look or Look()
    if heatmap.shape != image.shape[:2]:
        raise QuestionError("the map is {}x{} and the image {}x{}; the sizes must be equal".format(
            *(heatmap.shape + image.shape[:2])))
    if not np.isfinite(heatmap).all():
        raise QuestionError("the map holds NaN or infinity and cannot be drawn")
    heat = _clip(heatmap, look.scale or DEFAULT)
    if heat.min() == heat.max():
        if look.style not in _KEEPING:
            return image.copy()
        heat = np.zeros_like(heat)
    return STYLES[look.style](image, heat, **look.settings)


def _parameters(style: str) -> List[str]:
    return list(inspect.signature(STYLES[style]).parameters)[2:]


def _clip(heatmap: np.ndarray, name: str) -> np.ndarray:
    return find_colormap(name).clip(heatmap)


def _hot(heatmap: np.ndarray, threshold: float) -> np.ndarray:
    return ((heatmap >= threshold) & (heatmap > 0))[:, :, np.newaxis]


def _mix(image: np.ndarray, heatmap: np.ndarray, opacity: float, name: str) -> np.ndarray:
    weight = np.float32(opacity)
    return _picture(image * (1 - weight) + apply_colormap(heatmap, name) * weight)


def _picture(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
