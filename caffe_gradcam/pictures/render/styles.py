"""Styles: ways to show a heatmap on its photograph, one small function each.

Each takes a photograph (H x W x 3 uint8, blue first) and a heatmap (H x W float32, from 0 to 1, or
from -1 to 1 with a signed colour map) and gives a picture like the photograph. The styles of the
articles take their arithmetic from there; where the articles cut off to whole levels we round.
"""

import inspect
from typing import Any, Dict, NamedTuple

import numpy as np

from caffe_gradcam.pictures.render.colours import DEFAULT, colour_map, colours
from caffe_gradcam.pictures.render.lines import trace
from prototxt_tools.errors import InputError


def fade(photograph, heatmap, opacity=0.65, colour_map=DEFAULT):
    """Colour whose weight is the opacity times the square root of the heat.

    Our own: the photograph is left as it is where the heat is 0, and the weak parts of the map can
    still be seen.
    """
    heat = _clip(heatmap, colour_map)
    weight = np.float32(opacity) * np.sqrt(np.abs(heat))[:, :, np.newaxis]
    return _picture(photograph * (1 - weight) + colours(heat, colour_map) * weight)


def added(photograph, heatmap, opacity=1.0, colour_map=DEFAULT):
    """Photograph plus opacity times colour, divided by its maximum.

    "Grad-CAM Implementation in pycaffe": ``cam = cam + image; 255 * cam / max(cam)``. The
    photograph's brightness depends on the map.
    """
    total = photograph + np.float32(opacity) * colours(heatmap, colour_map)
    return _picture(total * (255 / max(total.max(), np.float32(1))))


def clipped(photograph, heatmap, opacity=0.4, colour_map=DEFAULT):
    """Photograph plus opacity times colour, cut off at white.

    "Implementing Grad-CAM in PyTorch", which takes it from Chollet's "Deep Learning with Python",
    section 5.4.3: ``heatmap * 0.4 + image``, cut off by ``cv2.imwrite``.
    """
    return _picture(photograph + np.float32(opacity) * colours(heatmap, colour_map))


def half(photograph, heatmap, opacity=0.5, colour_map=DEFAULT):
    """Half photograph, half colour.

    The Keras article on VGG19: ``plt.imshow(map, alpha=0.5, cmap="jet")``. There Matplotlib also
    stretches the map's lowest value to 0; our zero stays where it is.
    """
    return _mix(photograph, heatmap, opacity, colour_map)


def sixty_forty(photograph, heatmap, opacity=0.4, colour_map=DEFAULT):
    """Six tenths photograph, four tenths colour.

    The PyTorch tutorial on ResNet-18 and "Where CNN is looking? - Grad CAM":
    ``cv2.addWeighted(image, 0.6, colours, 0.4, 0)``.
    """
    return _mix(photograph, heatmap, opacity, colour_map)


def bare(photograph, heatmap, colour_map=DEFAULT):
    """The colours alone, without the photograph."""
    return colours(heatmap, colour_map)


def contours(photograph, heatmap, opacity=1.0, colour_map=DEFAULT, levels=(0.25, 0.5, 0.75)):
    """Lines of equal heat on the photograph, each in its colour; on signed maps also of -heat."""
    heat = _clip(heatmap, colour_map)
    signs = (1, -1) if heat.min() < 0 else (1,)
    drawn = photograph.copy()
    for level in sorted(levels):
        for sign in signs:
            colour = colours(np.float32([[sign * level]]), colour_map)[0, 0]
            trace(drawn, sign * heat, level, colour.tolist())
    return _picture(photograph * np.float32(1 - opacity) + drawn * np.float32(opacity))


def masked(photograph, heatmap, opacity=0.85, threshold=0.5):
    """The photograph where the heat is at least the threshold; the rest dark."""
    dark = photograph * np.float32(1 - opacity)
    return np.where(_hot(heatmap, threshold), photograph, _picture(dark))


def blurred(photograph, heatmap, threshold=0.5):
    """The photograph where the heat is at least the threshold; the rest grey and out of focus."""
    import cv2

    grey = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
    soft = cv2.GaussianBlur(grey, (0, 0), max(1.0, max(grey.shape) / 60.0))
    return np.where(_hot(heatmap, threshold), photograph, soft[:, :, np.newaxis])


STYLES = {
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
# Without heat these show what the map leaves, which is nothing; the others show the photograph.
_KEEPING = ("masked", "blurred")


class Look(NamedTuple):
    """A style with its settings; make it with :meth:`of`, which checks them.

    Attributes
    ----------
    style : str
        A name of ``STYLES``.
    settings : dict
        Arguments of the style's function; the others keep their defaults.
    """

    style: str = "fade"
    settings: Dict[str, Any] = {}

    @classmethod
    def of(cls, style="fade", **settings):
        """Check a style and its settings.

        Parameters
        ----------
        style : str
            A name of ``STYLES``.
        **settings
            ``opacity`` (0 to 1), ``colour_map`` (a name), ``threshold`` (0 to 1) and ``levels``
            (each above 0, at most 1), as far as the style takes them; None stands for the style's
            own.

        Raises
        ------
        InputError
            An unknown style or colour map, a setting that the style does not take, or one out of
            its range.
        """
        if style not in STYLES:
            raise InputError(
                "there is no style {!r}; take one of {}".format(style, ", ".join(STYLES))
            )
        given = {name: value for name, value in settings.items() if value is not None}
        taken = _parameters(style)
        for name, value in given.items():
            if name not in taken:
                raise InputError("style {!r} takes no {}; it takes {}".format(
                    style, name.replace("_", " "), " and ".join(taken).replace("_", " ")
                ))
            if name == "colour_map":
                colour_map(value)
            elif not all(0 <= one <= 1 for one in np.atleast_1d(value)):
                raise InputError(f"{name} goes from 0 to 1, not {value}")
            elif name == "levels" and min(value) == 0:
                raise InputError("a contour needs a level above 0: it would run along the border")
        return cls(style, given)

    @property
    def colour_map(self):
        """The name of the colour map; None for a style without colours."""
        if "colour_map" not in _parameters(self.style):
            return None
        return self.settings.get("colour_map", DEFAULT)


def overlay(photograph, heatmap, look=None):
    """Show a heatmap on its photograph.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32 in [0, 1]; in [-1, 1] with a signed colour map. What is negative is taken
        for 0 otherwise.
    look : Look or None
        None for our own style.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8: the photograph itself where the map is flat, as a map that is zero or
        negative everywhere is.

    Raises
    ------
    InputError
        The map is not of the photograph's size, or holds NaN or infinity.
    """
    look = look or Look()
    if heatmap.shape != photograph.shape[:2]:
        raise InputError("the map is {}x{}, the photograph {}x{}; they must agree".format(
            *(heatmap.shape + photograph.shape[:2])
        ))
    if not np.isfinite(heatmap).all():
        raise InputError("the map holds NaN or infinity, so there is nothing to show")
    heat = _clip(heatmap, look.colour_map or DEFAULT)
    if heat.min() == heat.max():
        if look.style not in _KEEPING:
            return photograph.copy()
        heat = np.zeros_like(heat)
    return STYLES[look.style](photograph, heat, **look.settings)


def _parameters(style):
    return list(inspect.signature(STYLES[style]).parameters)[2:]


def _clip(heatmap, name):
    return colour_map(name).clip(heatmap)


def _hot(heatmap, threshold):
    return ((heatmap >= threshold) & (heatmap > 0))[:, :, np.newaxis]


def _mix(photograph, heatmap, opacity, name):
    weight = np.float32(opacity)
    return _picture(photograph * (1 - weight) + colours(heatmap, name) * weight)


def _picture(values):
    return np.uint8(np.rint(np.clip(values, 0, 255)))
