"""Colour maps, overlays and figures: pure functions on arrays, blue first throughout."""

import unicodedata

import numpy as np

OPACITY = 0.65
# A figure's panels are brought between these lengths of their longer side.
SMALLEST, LARGEST = 320, 800
MARGIN = 16
TITLE, NOTE = (0.7, (32, 32, 32)), (0.5, (96, 96, 96))


def colours(heatmap, colour_map=None):
    """Paint a heatmap.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W float32 in [0, 1].
    colour_map : int or None
        One of OpenCV's ``COLORMAP_*``; None for ``COLORMAP_JET``: blue, green, yellow, red.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8, blue first.
    """
    import cv2

    levels = np.uint8(np.rint(heatmap * 255))
    return cv2.applyColorMap(levels, cv2.COLORMAP_JET if colour_map is None else colour_map)


def overlay(photograph, heatmap, opacity=OPACITY, colour_map=None):
    """Lay a heatmap over a photograph.

    The colour's weight grows with the square root of the heat, so that a photograph is left as it
    is where the heat is 0 and the weak parts of the map can still be seen.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32 in [0, 1].
    opacity : float
        The colour's weight where the heat is 1.
    colour_map : int or None
        See :func:`colours`.

    Returns
    -------
    numpy.ndarray
        H x W x 3 uint8.
    """
    weight = np.float32(opacity) * np.sqrt(heatmap)[:, :, np.newaxis]
    blend = photograph * (1 - weight) + colours(heatmap, colour_map) * weight
    return np.uint8(np.rint(blend))


def figure(photograph, heatmap, title, note):
    """Set the photograph beside its overlay, with two lines of text below.

    Small photographs are enlarged by a whole factor, pixels staying sharp; large ones are
    reduced. The text is ASCII: accents are dropped, other letters become question marks.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    heatmap : numpy.ndarray
        H x W float32 in [0, 1].
    title, note : str
        The caption: what is explained, and how.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8.
    """
    photograph, heatmap = _fit(photograph), _fit(heatmap)
    gap = np.full((photograph.shape[0], MARGIN // 2, 3), 255, np.uint8)
    pair = np.concatenate([photograph, gap, overlay(photograph, heatmap)], axis=1)
    width = max(pair.shape[1], 2 * SMALLEST) + 2 * MARGIN
    left = (width - pair.shape[1]) // 2
    strip = 4 * MARGIN
    canvas = np.full((MARGIN + pair.shape[0] + strip, width, 3), 255, np.uint8)
    canvas[MARGIN:-strip, left:left + pair.shape[1]] = pair
    _write(canvas, title, TITLE, canvas.shape[0] - strip + 2 * MARGIN - 4)
    _write(canvas, note, NOTE, canvas.shape[0] - MARGIN)
    return canvas


def to_ascii(text):
    """What OpenCV's fonts can write: accents dropped, anything else strange a question mark."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in plain)


def _fit(image):
    import cv2

    height, width = image.shape[:2]
    longest = max(height, width)
    if longest > LARGEST:
        size = [max(1, length * LARGEST // longest) for length in (width, height)]
        return cv2.resize(image, tuple(size), interpolation=cv2.INTER_AREA)
    factor = -(-SMALLEST // longest)
    return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)


def _write(canvas, text, style, baseline):
    """Write one line from the left margin, cut with dots where it would leave the canvas."""
    import cv2

    scale, colour = style
    font = cv2.FONT_HERSHEY_SIMPLEX
    room = canvas.shape[1] - 2 * MARGIN
    text = shown = to_ascii(text)
    while cv2.getTextSize(shown, font, scale, 1)[0][0] > room:
        text = text[:-1]
        shown = text.rstrip() + "..."
    cv2.putText(canvas, shown, (MARGIN, baseline), font, scale, colour, 1, cv2.LINE_AA)
