"""Sheets as arrays of pixels."""

from typing import Optional, Sequence

import numpy as np

from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.layout import FRAME, arrange
from caffe_gradcam.pictures.render.lines import Rectangle
from caffe_gradcam.pictures.render.sheets import Sheet, side_by_side
from caffe_gradcam.pictures.render.styles import Look


def draw(sheet: Sheet) -> np.ndarray:
    """Draw a sheet.

    Letters that no font of this machine has become question marks. Text that does not fit is cut
    and ends in dots.

    Parameters
    ----------
    sheet : Sheet

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first, on white.
    """
    layout = arrange(sheet, _width)
    canvas = np.full(layout.size + (3,), 255, np.uint8)
    for picture in layout.pictures:
        height, width = picture.pixels.shape[:2]
        x, y = picture.x, picture.y
        canvas[y - 1:y + height + 1, x - 1:x + width + 1] = FRAME
        canvas[y:y + height, x:x + width] = picture.pixels
    for words in layout.words:
        line = text.cut(text.drawable(words.text), words.room, words.style, _width)
        text.write(canvas, line, (words.x, words.y), words.style)
    return canvas


def figure(image: np.ndarray, heatmap: np.ndarray, title: str = "", note: str = "",
           look: Optional[Look] = None, boxes: Sequence[Rectangle] = ()) -> np.ndarray:
    """The image beside its overlay, with a colour scale and two lines of text below.

    Parameters are those of :func:`side_by_side`.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first.
    """
    return draw(side_by_side(image, heatmap, title, note, look, boxes))


def _width(line: str, style: text.Style) -> float:
    return text.width(text.drawable(line), style)
