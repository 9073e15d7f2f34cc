"""Sheets as pictures of pixels."""

import numpy as np

from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.layout import FRAME, arrange
from caffe_gradcam.pictures.render.sheets import side_by_side


def draw(sheet):
    """Draw a sheet.

    The text is ASCII: accents are dropped, other letters become question marks; it is cut with
    dots where it has no room.

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
    for x, y, pixels in layout.pictures:
        height, width = pixels.shape[:2]
        canvas[y - 1:y + height + 1, x - 1:x + width + 1] = FRAME
        canvas[y:y + height, x:x + width] = pixels
    for words in layout.words:
        shown = text.cut(text.to_ascii(words.text), words.room, words.style, _width)
        text.write(canvas, shown, (words.x, words.y), words.style)
    return canvas


def figure(photograph, heatmap, title="", note="", look=None, boxes=()):
    """Set the photograph beside its overlay, with a colour scale and two lines of text below.

    Parameters are those of :func:`side_by_side`.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first.
    """
    return draw(side_by_side(photograph, heatmap, title, note, look, boxes))


def _width(line, style):
    return text.width(text.to_ascii(line), style)
