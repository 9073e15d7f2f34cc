"""Sheets: what stands on a figure, before it is drawn."""

from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.pictures.render.colours import DEFAULT
from caffe_gradcam.pictures.render.lines import draw_boxes
from caffe_gradcam.pictures.render.styles import Look, overlay

# The panels of a figure are brought between these lengths of their longer side.
SMALLEST, LARGEST = 320, 800
# A grid's panels share this width, within these bounds.
_GRID_WIDTH, _GRID_SMALLEST, _GRID_LARGEST = 1600, 120, 300


class Panel(NamedTuple):
    """A picture on a sheet.

    Attributes
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray or None
        H x W float32, laid over the photograph; None for the photograph itself.
    caption : str
        One short line below.
    look : Look or None
    boxes : sequence
        Tuples that begin with x, y, width and height, in pixels of the photograph.
    """

    photograph: Any
    heatmap: Any = None
    caption: str = ""
    look: Optional[Look] = None
    boxes: Sequence = ()

    def picture(self, smallest, largest):
        """The finished picture, its longer side at most ``largest`` long, if small ``smallest``.

        Small photographs are enlarged by a whole factor, pixels staying sharp; large ones are
        reduced. The heatmap is laid on, and the boxes drawn, at that size.
        """
        import cv2

        height, width = self.photograph.shape[:2]
        size = fitted(height, width, smallest, largest)
        way = cv2.INTER_AREA if size[0] < height else cv2.INTER_NEAREST
        picture = cv2.resize(self.photograph, size[::-1], interpolation=way)
        if self.heatmap is not None:
            way = cv2.INTER_AREA if size[0] < height else cv2.INTER_LINEAR
            heat = cv2.resize(np.float32(self.heatmap), size[::-1], interpolation=way)
            picture = overlay(picture, heat, self.look)
        if self.boxes:
            y, x = size[0] / float(height), size[1] / float(width)
            scaled = [(b[0] * x, b[1] * y, b[2] * x, b[3] * y) for b in self.boxes]
            picture = draw_boxes(picture, scaled)
        return picture


class Sheet(NamedTuple):
    """Panels in rows and columns, with text around them.

    Attributes
    ----------
    panels : list of lists of (Panel or None)
        Rows of equal length; None leaves a place empty.
    title, note : str
        Two lines below.
    rows, columns : sequence of (str or tuple of str)
        Captions, one per row and per column. The lines of a row's stand below each other. Of a
        column's pair the first is a heading shared with the neighbours that have the same.
    bar : str or None
        The colour map whose scale stands on the right.
    sides : (int, int)
        Bounds of a panel's longer side, in pixels.
    """

    panels: Any
    title: str = ""
    note: str = ""
    rows: Sequence = ()
    columns: Sequence = ()
    bar: Optional[str] = None
    sides: Tuple[int, int] = (SMALLEST, LARGEST)


def fitted(height, width, smallest, largest):
    """Height and width of a panel: see :meth:`Panel.picture`."""
    longest = max(height, width)
    if longest > largest:
        return tuple(max(1, length * largest // longest) for length in (height, width))
    factor = min(-(-smallest // longest), largest // longest)
    return height * factor, width * factor


def side_by_side(photograph, heatmap, title="", note="", look=None, boxes=()):
    """The photograph beside its overlay.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32.
    title, note : str
        What is explained, and how.
    look : Look or None
    boxes : sequence
        Drawn on the overlay; see :class:`Panel`.

    Returns
    -------
    Sheet
    """
    pair = [Panel(photograph), Panel(photograph, heatmap, look=look, boxes=boxes)]
    return Sheet([pair], title, note, bar=_scale(look))


def grid(panels, rows=(), columns=(), title="", note="", look=None):
    """A table of panels, such as classes x methods x layers.

    Parameters
    ----------
    panels : list of lists of (Panel or None)
        As in :class:`Sheet`; of any sizes, in columns and rows that line up.
    rows, columns : sequence of (str or tuple of str)
        See :class:`Sheet`: ``columns=[("conv5", "grad-cam"), ("conv5", "layer-cam"), ...]``.
    title, note : str
    look : Look or None
        For the panels that have none; its colour map's scale stands on the right.

    Returns
    -------
    Sheet
    """
    panels = [
        [one and (one if one.look else one._replace(look=look)) for one in row] for row in panels
    ]
    share = _GRID_WIDTH // max(len(row) for row in panels)
    largest = min(max(share, _GRID_SMALLEST), _GRID_LARGEST)
    return Sheet(panels, title, note, rows, columns, _scale(look), (largest, largest))


def crop_and_whole(photograph, rectangle, crop_heatmap, captions=("", ""), title="", note="",
                   heatmap=None, look=None):
    """The whole photograph with a rectangle, beside what the rectangle shows when asked alone.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    rectangle : (int, int, int, int)
        x, y, width and height of the crop, in pixels of the photograph, inside it.
    crop_heatmap : numpy.ndarray
        height x width float32: of the crop.
    captions : (str, str)
        What the net says of the whole, and of the crop.
    title, note : str
    heatmap : numpy.ndarray or None
        H x W float32, of the whole; None leaves the whole photograph bare.
    look : Look or None

    Returns
    -------
    Sheet
    """
    x, y, width, height = rectangle
    crop = photograph[y:y + height, x:x + width]
    pair = [
        Panel(photograph, heatmap, look=look, boxes=[rectangle]),
        Panel(crop, crop_heatmap, look=look),
    ]
    return Sheet([pair], title, note, columns=captions, bar=_scale(look))


def _scale(look):
    return DEFAULT if look is None else look.colour_map
