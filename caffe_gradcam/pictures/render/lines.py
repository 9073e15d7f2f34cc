"""Lines on pictures: contours of a heatmap and boxes, smooth and legible on any ground."""

import numpy as np

ACCENT = (60, 220, 255)
_CASING = (40, 40, 40)
# Places go to OpenCV as fixed-point numbers with so many binary digits.
_SHIFT = 4


def trace(picture, heatmap, level, colour):
    """Draw the lines where a heatmap crosses a level into a picture.

    ``cv2.findContours`` finds the border pixels of what is at least the level; each is then moved
    along the slope to where the level is crossed, at most by one pixel.

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

    above = np.uint8(heatmap >= level)
    # OpenCV 3 gives the picture, the contours and the hierarchy, later ones only the last two.
    found = cv2.findContours(above, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[-2]
    lines = [_settle(points[:, 0], heatmap, level) for points in found]
    width = thickness(picture)
    for ink, wide in ((_CASING, width + 1 + (width > 1)), (colour, width)):
        cv2.polylines(picture, lines, True, ink, wide, cv2.LINE_AA, _SHIFT)


def draw_boxes(picture, boxes, colour=ACCENT):
    """Draw boxes on a copy of a picture.

    Parameters
    ----------
    picture : numpy.ndarray
        H x W x 3 uint8.
    boxes : sequence
        Of tuples that begin with x, y, width and height, in pixels; a ``boxes.Box`` is one. The
        line's outer edge is the box's.
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


def thickness(picture):
    """Of a line, in pixels: thin, but not lost in a large picture."""
    return max(1, int(round(min(picture.shape[:2]) / 180.0)))


def _rim(region, wide, ink):
    region[:wide] = region[-wide:] = ink
    region[:, :wide] = region[:, -wide:] = ink


def _edges(box, height, width):
    """Left, top, right, bottom in whole pixels, within the picture."""
    x, y, w, h = box[:4]
    edges = np.rint([x, y, x + w, y + h]).astype(int)
    return np.clip(edges, 0, [width, height, width, height]).tolist()


def _settle(points, heatmap, level):
    """Fixed-point places (n x 2 int32) where the level is crossed, from pixels (n x 2)."""
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
    return np.int32(np.rint((points + move) * (1 << _SHIFT)))
