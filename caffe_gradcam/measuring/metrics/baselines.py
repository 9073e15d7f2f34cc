"""Maps that know nothing of the net, for the others to be held against."""

import numpy as np


def random_map(shape, cells, rng):
    """Noise as coarse as a target blob, laid over the picture.

    Noise of single pixels would be no fair rival: it spoils any picture at once. No place is more
    likely to be hot than another; noise that ended with the picture would have its peaks at the
    edge, where nothing beyond takes part in the interpolation.

    Parameters
    ----------
    shape, cells : (int, int)
        Of the map, and of the noise.
    rng : numpy.random.RandomState

    Returns
    -------
    numpy.ndarray
        h x w float32 in [0, 1].
    """
    import cv2

    (height, width), (rows, columns) = shape, cells
    noise = np.float32(rng.random_sample((rows + 3, columns + 3)))
    # The picture lies at a random place of the noise, a cell and more away from its edge.
    y, x = 1 + rng.random_sample(2)
    at_y = np.float32(y + np.arange(height) * rows / float(height))
    at_x = np.float32(x + np.arange(width) * columns / float(width))
    across, down = np.float32(np.meshgrid(at_x, at_y))  # NumPy 1.11 widens them
    return cv2.remap(noise, across, down, cv2.INTER_LINEAR)


def centre_map(shape):
    """A Gaussian in the middle, whose deviation is a quarter of each side.

    Parameters
    ----------
    shape : (int, int)

    Returns
    -------
    numpy.ndarray
        h x w float32 in (0, 1].
    """
    rows, columns = (
        np.exp(-0.5 * ((np.arange(side) + 0.5 - side / 2.0) / (side / 4.0)) ** 2)
        for side in shape
    )
    return np.float32(np.outer(rows, columns))
