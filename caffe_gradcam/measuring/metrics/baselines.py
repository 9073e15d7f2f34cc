"""Maps that do not depend on the net, to compare the others with."""

from typing import Tuple

import numpy as np


def random_map(
    shape: Tuple[int, int], cells: Tuple[int, int], rng: np.random.RandomState
) -> np.ndarray:
    """Noise as coarse as a target blob, laid over the input.

    Noise of single pixels would not be a fair baseline, since it destroys any image at once. Every
    position is equally likely to be hot; if the noise ended where the image does, its peaks would
    gather at the edge, where interpolation has no neighbours on the far side.

    Parameters
    ----------
    shape, cells : (int, int)
        Height and width of the map, and rows and columns of the noise.
    rng : numpy.random.RandomState

    Returns
    -------
    numpy.ndarray
        h x w float32 in [0, 1].
    """
    import cv2

    (height, width), (rows, columns) = shape, cells
    noise = rng.random_sample((rows + 3, columns + 3)).astype(np.float32)
    # The image lies at a random offset within the noise, at least one cell from its edge.
    y, x = 1 + rng.random_sample(2)
    at_y = y + np.arange(height) * rows / float(height)
    at_x = x + np.arange(width) * columns / float(width)
    across, down = np.meshgrid(at_x, at_y)
    return cv2.remap(
        noise, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)


def centre_map(shape: Tuple[int, int]) -> np.ndarray:
    """A Gaussian in the middle; its standard deviation is a quarter of each side.

    Parameters
    ----------
    shape : (int, int)
        Height and width.

    Returns
    -------
    numpy.ndarray
        h x w float32 in (0, 1].
    """
    rows, columns = (
        np.exp(-0.5 * ((np.arange(side) + 0.5 - side / 2.0) / (side / 4.0)) ** 2)
        for side in shape
    )
    return np.outer(rows, columns).astype(np.float32)
