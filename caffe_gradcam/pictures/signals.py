"""What figures show of pictures without colours, and of signals: a curve with the heat under it."""

from typing import List, Sequence, Tuple

import cv2
import numpy as np

from caffe_gradcam.model.bands import as_colors

Rectangle = Tuple[int, int, int, int]

# Of the picture of a curve, in pixels.
_HEIGHT, _LEAST_WIDTH, _MOST_WIDTH, _MARGIN = 240, 640, 4000, 12
_PAPER = 255
# Blue first: dark grey, then colours that stand apart on every colormap.
_INKS = ((40, 40, 40), (160, 80, 0), (0, 100, 0), (120, 0, 120))


def is_signal(image: np.ndarray) -> bool:
    """Whether an image is a line of samples."""
    return 1 in image.shape[:2] and max(image.shape[:2]) > 1


def shown(image: np.ndarray, heatmap: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """An image and its heatmap as they are drawn.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x C of any type; H x W x 3 uint8 is shown as it is.
    heatmap : numpy.ndarray
        H x W.

    Returns
    -------
    image : numpy.ndarray
        h x w x 3 uint8, blue first.
    heatmap : numpy.ndarray
        h x w.
    """
    if is_signal(image):
        line = image.reshape(-1, image.shape[2])
        picture = curve(line)
        return picture, _stretched(heatmap.reshape(1, -1), picture)
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return image, heatmap
    return as_colors(image), heatmap


def shown_boxes(image: np.ndarray, boxes: Sequence[Rectangle]) -> List[Rectangle]:
    """Boxes on an image, as they lie on what :func:`shown` gives."""
    if not is_signal(image):
        return list(boxes)
    samples = max(image.shape[:2])
    factor = _width(samples) / float(samples)
    along = [(x, width) if image.shape[0] == 1 else (y, height)
             for x, y, width, height in boxes]
    return [(int(round(start * factor)), 0, max(1, int(round(length * factor))), _HEIGHT)
            for start, length in along]


def curve(line: np.ndarray) -> np.ndarray:
    """A picture of samples as curves, one for each channel.

    Parameters
    ----------
    line : numpy.ndarray
        Samples x channels.

    Returns
    -------
    numpy.ndarray
        h x w x 3 uint8, blue first; each sample is as wide as all others.
    """
    width = _width(len(line))
    picture = np.full((_HEIGHT, width, 3), _PAPER, np.uint8)
    values = line.astype(np.float64)
    low, high = values.min(), values.max()
    across = (np.arange(len(line)) + 0.5) * width / len(line)
    for channel in reversed(range(values.shape[1])):
        unit = (values[:, channel] - low) / ((high - low) or 1)
        down = _HEIGHT - _MARGIN - unit * (_HEIGHT - 2 * _MARGIN)
        points = np.int32(np.round(np.stack([across, down], axis=1)))[:, np.newaxis]
        cv2.polylines(picture, [points], False, _INKS[channel % len(_INKS)], 2, cv2.LINE_AA)
    return picture


def _width(samples: int) -> int:
    """Of a curve's picture: whole pixels for each sample, where there are not too many."""
    factor = max(1, -(-_LEAST_WIDTH // samples))
    return min(_MOST_WIDTH, samples * factor)


def _stretched(heat: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """A line of heat over a picture."""
    height, width = picture.shape[:2]
    line: np.ndarray = cv2.resize(np.float32(heat), (width, 1), interpolation=cv2.INTER_LINEAR)
    return np.repeat(line.reshape(1, -1), height, axis=0)
