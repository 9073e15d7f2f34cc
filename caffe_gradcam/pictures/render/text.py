"""Text in pictures: ASCII with OpenCV's fonts, all other letters with Pillow's."""

import unicodedata
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np

from caffe_gradcam.pictures.render import fonts


@dataclass(frozen=True)
class Style:
    """How text looks: OpenCV's font scale (1 is 22 pixels of capital height), blue first."""

    scale: float
    colour: Tuple[int, int, int]
    weight: int = 1


TITLE = Style(0.65, (32, 32, 32), 2)
HEADING = Style(0.48, (32, 32, 32), 2)
CAPTION = Style(0.45, (48, 48, 48))
NOTE = Style(0.45, (112, 112, 112))
TICK = Style(0.38, (112, 112, 112))
# Text is drawn this many times larger and reduced: OpenCV 3 and 4 have fonts of thin lines only.
_FINER = 4
# The height of OpenCV's capitals at scale 1, in pixels.
_CAPITAL = 22


def to_ascii(text: str) -> str:
    """The text as OpenCV's fonts can write it: without accents, other letters as question marks."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in plain)


def drawable(text: str) -> str:
    """The text as it can be drawn here; without Pillow, or a font that has them, letters beyond
    ASCII become question marks."""
    if _is_ascii(text) or not fonts.is_installed():
        return to_ascii(text)
    return fonts.drawable(text)


def _is_ascii(text: str) -> bool:
    return all(" " <= letter <= "~" for letter in text)


def cut(text: str, room: float, style: Style, width_of: "Callable[[str, Style], float]") -> str:
    """A text shortened to what fits, with dots at the end where something is left out.

    Parameters
    ----------
    text : str
    room : float
    style : Style
    width_of : callable
        The width of a text: ``width_of(text, style)``, in the unit of ``room``.

    Returns
    -------
    str
        Empty if not even the dots fit.
    """
    if width_of(text, style) <= room:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if width_of(text[:middle].rstrip() + "...", style) <= room:
            fits = middle
        else:
            too_long = middle
    shown = text[:fits].rstrip() + "..."
    return shown if width_of(shown, style) <= room else ""


def width(text: str, style: Style) -> float:
    """The width of a text in pixels, as :func:`drawable` gives it."""
    if not _is_ascii(text):
        return fonts.width(text, style.scale * _CAPITAL, style.weight > 1)
    return _size(text, style)[0] / float(_FINER)


def write(picture: np.ndarray, text: str, origin: Tuple[int, int], style: Style) -> None:
    """Write one line, as :func:`drawable` gives it, into a picture.

    Parameters
    ----------
    picture : numpy.ndarray
        H x W x 3 uint8, changed in place; whatever lies outside it is not drawn.
    text : str
    origin : (int, int)
        x of the left end and y of the base line.
    style : Style
    """
    if not text:
        return
    if _is_ascii(text):
        ink, (left, rise) = _ascii_ink(text, style)
    else:
        ink, (left, rise) = fonts.ink(text, style.scale * _CAPITAL, style.weight > 1)
    size = ink.shape
    x, y = origin[0] - left, origin[1] - rise
    x0, y0 = max(x, 0), max(y, 0)
    ground = picture[y0:max(y + size[0], 0), x0:max(x + size[1], 0)]
    ink = ink[y0 - y:, x0 - x:][:ground.shape[0], :ground.shape[1], np.newaxis]
    colour = np.array(style.colour, np.float32)
    ground[...] = np.rint(ground * (1 - ink) + colour * ink)


def _ascii_ink(text: str, style: Style) -> Tuple[np.ndarray, Tuple[int, int]]:
    """A line of ASCII letters as ``fonts.ink`` gives it."""
    import cv2

    across, up, down = _size(text, style)
    # Whole pixels on all sides, so that the reduced letters lie where the fine ones did.
    left, rise, fall = 2, up // _FINER + 3, down // _FINER + 3
    size = (rise + fall, across // _FINER + 2 * left + 2)
    fine = np.zeros((size[0] * _FINER, size[1] * _FINER), np.uint8)
    cv2.putText(
        fine, text, (left * _FINER, rise * _FINER), cv2.FONT_HERSHEY_SIMPLEX,
        style.scale * _FINER, 255, _stroke(style), cv2.LINE_AA,
    )
    ink = cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)
    return ink / np.float32(255), (left, rise)


def _size(text: str, style: Style) -> Tuple[int, int, int]:
    """Width, height above the base line and depth below it, in fine pixels."""
    import cv2

    font = cv2.FONT_HERSHEY_SIMPLEX
    (across, up), down = cv2.getTextSize(text, font, style.scale * _FINER, _stroke(style))
    return across, up, down


def _stroke(style: Style) -> int:
    """The thickness to ask for; OpenCV 5 has a real font and takes the thickness as its weight."""
    import cv2

    if hasattr(cv2, "FontFace"):
        return style.weight
    return int(round(style.scale * _FINER * (1.2 + 0.9 * style.weight)))
