"""Lines on pictures: contours of a heatmap and boxes, smooth and legible on any background."""

from typing import List, Sequence, Tuple

import numpy as np

Colour = Sequence[float]
Rectangle = Tuple[float, float, float, float]

ACCENT = (60, 220, 255)
_CASING = (40, 40, 40)
# Coordinates go to OpenCV as fixed-point numbers with so many binary digits.
_SHIFT = 4


def trace(picture: np.ndarray, heatmap: np.ndarray, level: float, colour: Colour) -> None:
    """Draw the lines where a heatmap crosses a level into a picture.

    ``cv2.findContours`` finds the border pixels of the region that reaches the level; each is then
    moved along the slope to where the level is crossed, by one pixel at most.

    Parameters
    ----------
    picture : numpy.ndarray
        H x W x 3 uint8, changed in place.
    heatmap : numpy.ndarray
        H x W float32.
    level : float
        Above 0.
    colour : sequence of int
        Blue first.
    """
    import cv2

    above = (heatmap >= level).astype(np.uint8)
    # OpenCV 3 returns the picture, the contours and the hierarchy, later ones only the last two.
    contours = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[-2]
    lines = [_settle(points[:, 0], heatmap, level) for points in contours]
    width = thickness(picture)
    for ink, wide in ((_CASING, width + 1 + (width > 1)), (colour, width)):
        cv2.polylines(picture, lines, True, ink, wide, cv2.LINE_AA, _SHIFT)


def draw_boxes(picture: np.ndarray, boxes: Sequence[Rectangle],
               colour: Colour = ACCENT) -> np.ndarray:
    """Draw boxes on a copy of a picture.

    Parameters
    ----------
    picture : numpy.ndarray
        H x W x 3 uint8.
    boxes : sequence of (float, float, float, float)
        x, y, width and height, in pixels. The outer edge of the line is that of the box.
    colour : sequence of int
        Blue first.

    Returns
    -------
    numpy.ndarray
    """
    picture = picture.copy()
    height, width = picture.shape[:2]
    line = thickness(picture)
    for box in boxes:
        left, top, right, bottom = _edges(box, height, width)
        _rim(picture[top:bottom, left:right], line + 2, _CASING)
        _rim(picture[top + 1:max(bottom - 1, 0), left + 1:max(right - 1, 0)], line, colour)
    return picture


def thickness(picture: np.ndarray) -> int:
    """The thickness of a line in pixels: thin, but not lost in a large picture."""
    return max(1, int(round(min(picture.shape[:2]) / 180.0)))


def _rim(region: np.ndarray, wide: int, ink: Colour) -> None:
    region[:wide] = region[-wide:] = ink
    region[:, :wide] = region[:, -wide:] = ink


def _edges(box: Rectangle, height: int, width: int) -> List[int]:
    """Left, top, right and bottom in whole pixels, within the picture."""
    x, y, w, h = box
    edges = np.rint([x, y, x + w, y + h]).astype(int)
    return np.clip(edges, 0, [width, height, width, height]).tolist()


def _settle(points: np.ndarray, heatmap: np.ndarray, level: float) -> np.ndarray:
    """Fixed-point coordinates (n x 2 int32) where the level is crossed, from pixels (n x 2)."""
    x, y = points[:, 0], points[:, 1]
    height, width = heatmap.shape
    x0, x1 = np.maximum(x - 1, 0), np.minimum(x + 1, width - 1)
    y0, y1 = np.maximum(y - 1, 0), np.minimum(y + 1, height - 1)
    slope = np.stack([
        (heatmap[y, x1] - heatmap[y, x0]) / np.maximum(x1 - x0, 1),
        (heatmap[y1, x] - heatmap[y0, x]) / np.maximum(y1 - y0, 1),
    ], axis=1)
    steepness = np.maximum((slope ** 2).sum(axis=1), 1e-12)
    move = np.clip(((level - heatmap[y, x]) / steepness)[:, np.newaxis] * slope, -1, 1)
    return np.rint((points + move) * (1 << _SHIFT)).astype(np.int32)
