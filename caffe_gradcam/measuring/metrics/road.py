"""ROAD: pixels are removed so that nobody sees from the hole's outline what was there.

Rong, Leemann, Borisov, Kasneci and Kasneci, "A Consistent and Efficient Evaluation Strategy for
Attribution Methods", ICML 2022. The authors solve a sparse system of equations; here it is solved
by conjugate gradients on the grid itself, so that OpenCV is enough.
"""

import numpy as np

from caffe_gradcam.measuring.metrics.curves import first, hottest_first
from prototxt_tools.errors import InputError

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Of the picture's standard deviation; the authors add 0.01 to pictures of a deviation of about 1.
NOISE = 0.01
# What a neighbour counts in the mean that a removed pixel becomes (section 4.2).
_WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], np.float64) / 12
# What the equations are off by at most, in standard deviations: errors are below the noise then.
_TOLERANCE = 5e-4
_TINY = 1e-300


def road(blob, heat, fractions=FRACTIONS, noise=NOISE, seed=0):
    """Remove the hottest (MoRF), then the coldest pixels (LeRF) by noisy linear imputation.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    fractions : sequence of float
        Of the pixels to remove, each above 0 and below 1.
    noise : float
        In standard deviations of the picture.
    seed : int
        Of the noise, and of the order of pixels that are equally hot.

    Yields
    ------
    numpy.ndarray
        A blob for each fraction of the hottest, then for each of the coldest.
    """
    rng = np.random.RandomState(seed)
    hot = hottest_first(heat, seed)
    for order in (hot, hot[::-1]):
        for fraction in fractions:
            yield imputed(blob, first(order, fraction, heat.shape), noise, rng)


def gap(values):
    """Mean value without the coldest, less that without the hottest pixels.

    Parameters
    ----------
    values : array_like
        What a net gives the blobs of :func:`road`.

    Returns
    -------
    float
        Above 0 where the map knows better than chance.
    """
    most, least = np.split(np.asarray(values, np.float64), 2)
    return float((least - most).mean())


def imputed(blob, removed, noise=NOISE, rng=None):
    """Make each removed pixel the weighted mean of its eight neighbours, and add noise.

    Neighbours beside count twice as much as those across a corner; those beyond the edge of the
    picture count nothing (section 4.2 of the paper).

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    removed : numpy.ndarray
        h x w bool; at least one pixel stays.
    noise : float
        Standard deviation, in those of the blob.
    rng : numpy.random.RandomState, optional
        Where the noise comes from; not needed without noise.

    Returns
    -------
    numpy.ndarray
        C x h x w float32.

    Raises
    ------
    InputError
        Every pixel is removed.
    """
    if removed.all():
        raise InputError("ROAD cannot fill a picture of which nothing is left; remove less")
    deviation = float(blob.std())
    planes = np.ascontiguousarray(blob.transpose(1, 2, 0), np.float64)
    # The floor is far above rounding, so that a picture all of one colour has an end too.
    tolerance = max(_TOLERANCE * deviation, 1e-9 * np.abs(planes).max(), _TINY)
    filled = _solve(planes, removed, tolerance)
    if noise:
        filled[removed] += noise * deviation * rng.standard_normal((removed.sum(), len(blob)))
    return np.float32(filled).transpose(2, 0, 1)


def _solve(planes, removed, tolerance):
    """Conjugate gradients for the removed pixels of h x w x C planes, all channels at once."""
    hole = removed[:, :, np.newaxis]
    present = _sums(np.ones(hole.shape))
    x = _first_guess(planes, hole, tolerance)
    rest = hole * (_sums(x) - present * x)
    step, square = rest / present, (rest * rest / present).sum(axis=(0, 1))
    while np.abs(rest).max() > tolerance:
        change = hole * (present * step - _sums(step))
        length = square / np.maximum((step * change).sum(axis=(0, 1)), _TINY)
        x += length * step
        rest -= length * change
        previous, square = square, (rest * rest / present).sum(axis=(0, 1))
        step = rest / present + square / np.maximum(previous, _TINY) * step
    return x


def _first_guess(planes, hole, tolerance):
    """The solution for a picture of half the size, enlarged: right but for what is fine."""
    import cv2

    height, width = hole.shape[:2]
    known = np.float64(~hole)
    if min(height, width) < 4:
        mean = (planes * known).sum(axis=(0, 1)) / known.sum()
        return np.where(hole, mean, planes)
    half = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(known, half, interpolation=cv2.INTER_AREA)[:, :, np.newaxis]
    shrunk = cv2.resize(planes * known, half, interpolation=cv2.INTER_AREA)
    coarse = shrunk.reshape(share.shape[:2] + (-1,)) / np.maximum(share, _TINY)
    solved = _solve(coarse, share[:, :, 0] < _TINY, tolerance)
    guess = cv2.resize(solved, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hole, guess.reshape(planes.shape), planes)


def _sums(values):
    """Weighted sums of the neighbours, h x w x C; beyond the edge is nothing."""
    import cv2

    summed = cv2.filter2D(values, -1, _WEIGHTS, borderType=cv2.BORDER_CONSTANT)
    return summed.reshape(values.shape)
