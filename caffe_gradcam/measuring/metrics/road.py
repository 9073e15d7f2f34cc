"""ROAD: pixels are removed in a way that does not reveal the shape of what was removed.

Rong, Leemann, Borisov, Kasneci and Kasneci, "A Consistent and Efficient Evaluation Strategy for
Attribution Methods", ICML 2022. The authors solve a sparse system of equations; here it is solved
by conjugate gradients on the pixel grid, which needs nothing but OpenCV.
"""

from typing import Any, Iterator, Optional, Sequence

import numpy as np

from caffe_gradcam.measuring.metrics.curves import first, hottest_first
from prototxt_tools.errors import InputError

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
# Relative to the image's standard deviation; the authors add 0.01 to images whose deviation is
# about 1.
NOISE = 0.01
# The weight of each neighbour in the mean that replaces a removed pixel (section 4.2).
_WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], np.float64) / 12
# The largest residual of the equations, in standard deviations; it keeps errors below the noise.
TOLERANCE = 5e-4
_TINY = 1e-300


def road(
    blob: np.ndarray,
    heat: np.ndarray,
    fractions: Sequence[float] = FRACTIONS,
    noise: float = NOISE,
    seed: int = 0,
) -> Iterator[np.ndarray]:
    """Remove the hottest pixels (MoRF), then the coldest (LeRF), by noisy linear imputation.

    Parameters
    ----------
    blob, heat : numpy.ndarray
        C x h x w and h x w.
    fractions : sequence of float
        The fractions of pixels to remove, each above 0 and below 1.
    noise : float
        In standard deviations of the image.
    seed : int
        For the noise, and for the order of pixels that are equally hot.

    Yields
    ------
    numpy.ndarray
        A blob for each fraction of the hottest pixels, then for each of the coldest.
    """
    rng = np.random.RandomState(seed)
    hot = hottest_first(heat, seed)
    for order in (hot, hot[::-1]):
        for fraction in fractions:
            yield imputed(blob, first(order, fraction, heat.shape), noise, rng)


def gap(values: Any) -> float:
    """The mean value without the coldest pixels, minus that without the hottest.

    Parameters
    ----------
    values : array_like
        The values that a net gives to the blobs of :func:`road`.

    Returns
    -------
    float
        Above 0 where the map is better than chance.
    """
    most, least = np.split(np.asarray(values, np.float64), 2)
    return float((least - most).mean())


def imputed(
    blob: np.ndarray,
    removed: np.ndarray,
    noise: float = NOISE,
    rng: Optional[np.random.RandomState] = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Replace each removed pixel by the weighted mean of its eight neighbours, and add noise.

    Direct neighbours count twice as much as diagonal ones, and pixels beyond the edge of the image
    do not count (section 4.2 of the paper).

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    removed : numpy.ndarray
        h x w bool; at least one pixel remains.
    noise : float
        Its standard deviation, relative to that of the blob.
    rng : numpy.random.RandomState, optional
        The source of the noise; not needed where ``noise`` is 0.
    tolerance : float
        The largest residual of the equations, in standard deviations of the blob.

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
        raise InputError("ROAD cannot fill in an image of which every pixel is removed; "
                         "remove fewer pixels")
    deviation = float(blob.std())
    planes = np.ascontiguousarray(blob.transpose(1, 2, 0), np.float64)
    # The floor is well above rounding errors, so that the iteration also ends for an image of a
    # single colour.
    residual = max(tolerance * deviation, 1e-9 * np.abs(planes).max(), _TINY)
    filled = _solve(planes, removed, residual)
    if noise:
        source = rng or np.random.RandomState(0)
        filled[removed] += noise * deviation * source.standard_normal((removed.sum(), len(blob)))
    return filled.astype(np.float32).transpose(2, 0, 1)


def _solve(planes: np.ndarray, removed: np.ndarray, tolerance: float) -> np.ndarray:
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


def _first_guess(planes: np.ndarray, hole: np.ndarray, tolerance: float) -> np.ndarray:
    """The solution at half the size, enlarged; only fine detail remains to be found."""
    import cv2

    height, width = hole.shape[:2]
    kept = (~hole).astype(np.float64)
    if min(height, width) < 4:
        mean = (planes * kept).sum(axis=(0, 1)) / kept.sum()
        return np.where(hole, mean, planes)
    half = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(kept, half, interpolation=cv2.INTER_AREA)[:, :, np.newaxis]
    shrunk = cv2.resize(planes * kept, half, interpolation=cv2.INTER_AREA)
    coarse = shrunk.reshape(share.shape[:2] + (-1,)) / np.maximum(share, _TINY)
    solved = _solve(coarse, share[:, :, 0] < _TINY, tolerance)
    guess = cv2.resize(solved, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hole, guess.reshape(planes.shape), planes)


def _sums(values: np.ndarray) -> np.ndarray:
    """Weighted sums of the neighbours, h x w x C; pixels beyond the edge count as 0."""
    import cv2

    summed = cv2.filter2D(values, -1, _WEIGHTS, borderType=cv2.BORDER_CONSTANT)
    return summed.reshape(values.shape)
