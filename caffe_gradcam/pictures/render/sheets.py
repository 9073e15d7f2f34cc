"""Sheets: what stands on a figure, before it is drawn."""

import dataclasses
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.pictures.render.colormaps import DEFAULT
from caffe_gradcam.pictures.render.lines import Rectangle, draw_boxes
from caffe_gradcam.pictures.render.styles import Look, overlay

Caption = Union[str, Sequence[str]]

# The panels of a figure are brought between these lengths of their longer side.
SMALLEST, LARGEST = 320, 800
# Images whose width is more than this times their height stand above their overlays.
_WIDE = 2
# A grid's panels share this width, within these bounds.
_GRID_WIDTH, _GRID_SMALLEST, _GRID_LARGEST = 1600, 120, 300


@dataclass(frozen=True, eq=False)
class Panel:
    """An image on a sheet.

    Attributes
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray or None
        H x W float32, laid over the image; None for the image itself.
    caption : str
        One short line below.
    look : Look or None
    boxes : sequence of (float, float, float, float)
        x, y, width and height, in pixels of the image.
    """

    image: np.ndarray
    heatmap: Optional[np.ndarray] = None
    caption: str = ""
    look: Optional[Look] = None
    boxes: Sequence[Rectangle] = ()

    def picture(self, smallest: int, largest: int) -> np.ndarray:
        """The finished picture: its longer side is at most ``largest`` pixels long.

        An image whose longer side is below ``smallest`` is enlarged by a whole factor, so that its
        pixels stay sharp; a large one is reduced. The heatmap and the boxes are drawn at that size.
        """
        import cv2

        height, width = self.image.shape[:2]
        size = fitted(height, width, smallest, largest)
        reduced = size[0] < height
        picture = cv2.resize(self.image, size[::-1],
                             interpolation=cv2.INTER_AREA if reduced else cv2.INTER_NEAREST)
        if self.heatmap is not None:
            heat = cv2.resize(np.asarray(self.heatmap, np.float32), size[::-1],
                              interpolation=cv2.INTER_AREA if reduced else cv2.INTER_LINEAR)
            picture = overlay(picture, heat, self.look)
        if self.boxes:
            down, across = size[0] / float(height), size[1] / float(width)
            picture = draw_boxes(picture, [(x * across, y * down, w * across, h * down)
                                           for x, y, w, h in self.boxes])
        return picture


@dataclass(frozen=True, eq=False)
class Sheet:
    """Panels in rows and columns, with text around them.

    Attributes
    ----------
    panels : sequence of sequences of (Panel or None)
        Rows of equal length; None leaves a cell empty.
    title, note : str
        Two lines below.
    rows, columns : sequence of (str or sequence of str)
        Captions, one per row and per column. The lines of a row's caption stand below each other.
        The first of a column's pair is a heading, shared with the neighbours that have the same.
    bar : str or None
        The colormap whose scale stands on the right.
    sides : (int, int)
        Bounds of a panel's longer side, in pixels.
    """

    panels: Sequence[Sequence[Optional[Panel]]]
    title: str = ""
    note: str = ""
    rows: Sequence[Caption] = ()
    columns: Sequence[Caption] = ()
    bar: Optional[str] = None
    sides: Tuple[int, int] = (SMALLEST, LARGEST)


def fitted(height: int, width: int, smallest: int, largest: int) -> Tuple[int, int]:
    """Height and width of a panel: see :meth:`Panel.picture`."""
    longest = max(height, width)
    if longest > largest:
        return max(1, height * largest // longest), max(1, width * largest // longest)
    factor = min(-(-smallest // longest), largest // longest)
    return height * factor, width * factor


def side_by_side(image: np.ndarray, heatmap: np.ndarray, title: str = "", note: str = "",
                 look: Optional[Look] = None, boxes: Sequence[Rectangle] = ()) -> Sheet:
    """The image beside its overlay, or above it where it is more than twice as wide as high.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32.
    title, note : str
        What is explained, and how.
    look : Look or None
    boxes : sequence of (float, float, float, float)
        Drawn on the overlay; see :class:`Panel`.

    Returns
    -------
    Sheet
    """
    pair = [Panel(image), Panel(image, heatmap, look=look, boxes=boxes)]
    height, width = image.shape[:2]
    rows = [[panel] for panel in pair] if width > _WIDE * height else [pair]
    return Sheet(rows, title, note, bar=_scale(look))


def grid(panels: Sequence[Sequence[Optional[Panel]]], rows: Sequence[Caption] = (),
         columns: Sequence[Caption] = (), title: str = "", note: str = "",
         look: Optional[Look] = None) -> Sheet:
    """A table of panels, such as classes x methods x layers.

    Parameters
    ----------
    panels : sequence of sequences of (Panel or None)
        As in :class:`Sheet`, of any sizes; columns and rows line up.
    rows, columns : sequence of (str or sequence of str)
        See :class:`Sheet`: ``columns=[("conv5", "grad-cam"), ("conv5", "layer-cam"), ...]``.
    title, note : str
    look : Look or None
        For the panels that have none; the scale of its colormap stands on the right.

    Returns
    -------
    Sheet
    """
    dressed = [[panel if panel is None or panel.look else dataclasses.replace(panel, look=look)
                for panel in row] for row in panels]
    share = _GRID_WIDTH // max(len(row) for row in dressed)
    largest = min(max(share, _GRID_SMALLEST), _GRID_LARGEST)
    return Sheet(dressed, title, note, rows, columns, _scale(look), (largest, largest))


def crop_and_whole(whole: Panel, crop: Panel, captions: Sequence[str] = ("", ""), title: str = "",
                   note: str = "") -> Sheet:
    """The whole image with the crop's rectangle, beside the crop, which was asked about alone.

    Parameters
    ----------
    whole : Panel
        The whole image; its only box is the crop. Without a heatmap it stays bare.
    crop : Panel
        The crop of the image, its heatmap, and the look of both.
    captions : (str, str)
        What the net sees in the whole image, and in the crop.
    title, note : str

    Returns
    -------
    Sheet
    """
    return Sheet([[whole, crop]], title, note, columns=captions, bar=_scale(crop.look))


def _scale(look: Optional[Look]) -> Optional[str]:
    return DEFAULT if look is None else look.scale
