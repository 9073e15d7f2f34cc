"""Maps from running the net, or its head, again on changed values.

``net`` and ``head`` are callables: they take pairs (index of an image, value), the value being an
input of the net (C x H x W), or of the layer's blob (C x h x w), and give the question's value for
each, float64, in order. They run the pairs in batches that fit.
"""

from typing import Callable, Iterable, Iterator, List, Sequence, Tuple

import numpy as np

Runs = Callable[[Iterable[Tuple[int, np.ndarray]]], np.ndarray]
Similarities = Callable[[Iterable[np.ndarray]], np.ndarray]
Square = Tuple[slice, slice]


def score_cam(activations: np.ndarray, inputs: np.ndarray, net: Runs) -> np.ndarray:
    r"""Score-CAM: channels weighted by the score of the image seen through them.

    .. math::
        H^k = \mathrm{minmax}(\mathrm{up}(A^k)), \qquad
        \alpha = \mathrm{softmax}_k\, y(x \odot H^k), \qquad L = \sum_k \alpha_k A^k

    Wang et al., "Score-CAM", CVPRW 2020, algorithm 1. The score of the baseline image, which
    the paper subtracts, is one number for all channels, and a softmax does not see it. Flat
    channels mask nothing and have no weight.

    Parameters
    ----------
    activations : numpy.ndarray
        N x C x h x w float32.
    inputs : numpy.ndarray
        N x C x H x W, what the net reads: 0 is the mean image.
    net : callable

    Returns
    -------
    numpy.ndarray
        N x h x w float32.
    """
    lively = [_lively(blob) for blob in activations]
    values = net((image, _masked(inputs[image], activations[image, channel]))
                 for image, channels in enumerate(lively) for channel in channels)
    return _weighed(activations, lively, values, _softmax)


def ss_cam(activations: np.ndarray, inputs: np.ndarray, net: Runs, samples: int) -> np.ndarray:
    r"""SS-CAM: Score-CAM with the masks blurred by noise, several times.

    .. math::
        \alpha = \mathrm{softmax}_k\, \frac{1}{N} \sum_i y(x \odot \mathrm{minmax}(A^k + \delta_i))

    Wang et al., "SS-CAM: Smoothed Score-CAM", 2020, equation 5 (noise on the activations). The
    noise has 0.15 of each channel's range, since a fixed size would drown some nets and mean
    nothing to others.

    Parameters
    ----------
    activations, inputs, net
        As for :func:`score_cam`.
    samples : int
        Noisy masks of each channel.

    Returns
    -------
    numpy.ndarray
        N x h x w float32.
    """
    random = np.random.RandomState(0)
    noise = 0.15 * random.standard_normal((samples,) + activations.shape[2:]).astype(np.float32)
    lively = [_lively(blob) for blob in activations]
    values = net((image, _masked(inputs[image], _unit(activations[image, channel]) + copy))
                 for image, channels in enumerate(lively) for channel in channels for copy in noise)
    return _weighed(activations, lively, values.reshape(-1, samples).mean(axis=1), _softmax)


def ablation_cam(activations: np.ndarray, values: np.ndarray, head: Runs) -> np.ndarray:
    r"""Ablation-CAM: channels weighted by what the score loses without them.

    .. math::
        w_k = y - y_{A^k = 0}, \qquad L = \sum_k w_k A^k

    Desai and Ramaswamy, "Ablation-CAM", WACV 2020, equation 3, without the division by y, which is
    one number for all channels and inverts the map where y is negative. Only the head is run.

    Parameters
    ----------
    activations : numpy.ndarray
        N x C x h x w float32.
    values : numpy.ndarray
        N, the question's value.
    head : callable

    Returns
    -------
    numpy.ndarray
        N x h x w float32.
    """
    lively = [[channel for channel, cells in enumerate(blob) if cells.any()]
              for blob in activations]
    remaining = head((image, _without(activations[image], channel))
                     for image, channels in enumerate(lively) for channel in channels)
    lost = np.repeat(values, [len(channels) for channels in lively]) - remaining
    return _weighed(activations, lively, lost, lambda weights: weights)


def occlusion(inputs: np.ndarray, values: np.ndarray, net: Runs, parts: int = 8) -> np.ndarray:
    """Occlusion: what the score loses where a square of the image is covered by the mean colour.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section
    4.2. Squares of an eighth of the image's height and width, half of that apart; a pixel's value
    is the mean over the squares that cover it.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W: 0 is the mean colour.
    values : numpy.ndarray
        N, the question's value.
    net : callable
    parts : int
        Squares side by side.

    Returns
    -------
    numpy.ndarray
        N x H x W float32.
    """
    size = inputs.shape[2:]
    squares = [(slice(top, top + height), slice(left, left + width))
               for top, height in _steps(size[0], parts) for left, width in _steps(size[1], parts)]
    remaining = net((image, _covered(pixels, square)) for image, pixels in enumerate(inputs)
                    for square in squares)
    lost = values[:, np.newaxis] - remaining.reshape(len(inputs), -1)
    sums, counts = np.zeros((len(inputs),) + size), np.zeros(size)
    for index, square in enumerate(squares):
        rows, columns = square
        sums[:, rows, columns] += lost[:, index, np.newaxis, np.newaxis]
        counts[square] += 1
    means: np.ndarray = sums / counts
    return means.astype(np.float32)


def rise(inputs: np.ndarray, net: Runs, samples: int, cells: int = 7) -> np.ndarray:
    r"""RISE: the mean of random masks, weighted by the score of the image seen through them.

    .. math::
        L = \frac{1}{N p} \sum_i (y(x \odot M_i) - \overline{y})\, M_i

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation", BMVC 2018, equation 6; each
    of 7 x 7 cells is seen with p = 1/2, enlarged and shifted at random. The mean score is
    subtracted, so that 0 means: seeing this position makes no difference.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W: 0 is the mean colour.
    net : callable
    samples : int
        Masks.
    cells : int
        Along each side.

    Returns
    -------
    numpy.ndarray
        N x H x W float32.
    """
    def masks() -> Iterator[np.ndarray]:
        return _random_masks(inputs.shape[2:], samples, cells)

    values = net((image, inputs[image] * mask) for image in range(len(inputs)) for mask in masks())
    values = values.reshape(len(inputs), samples)
    weights = values - values.mean(axis=1, keepdims=True)
    return _weighted_mean(masks(), weights.T)


def d_rise(inputs: np.ndarray, similarities: Similarities, samples: int,
           cells: int = 16) -> np.ndarray:
    r"""D-RISE: the mean of random masks, weighted by how much of a box is found through them.

    .. math::
        L = \frac{1}{N p} \sum_i (s_i - \overline{s})\, M_i, \qquad
        s_i = \max_j \mathrm{IoU}(L_t, L_j) \cos(P_t, P_j)\, O_j

    Petsiuk et al., "Black-box Explanation of Object Detectors via Saliency Maps", CVPR 2021,
    section 3, with 16 x 16 cells as there; for the mean that is subtracted see :func:`rise`.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W, one image, repeated for each of N boxes in it.
    similarities : callable
        Images (C x H x W) -> samples x N: the similarity of each box in each of them.
    samples : int
        Masks.
    cells : int
        Along each side.

    Returns
    -------
    numpy.ndarray
        N x H x W float32.
    """
    size = inputs.shape[2:]
    values = similarities(inputs[0] * mask for mask in _random_masks(size, samples, cells))
    weights = values - values.mean(axis=0)
    return _weighted_mean(_random_masks(size, samples, cells), weights)


def _lively(blob: np.ndarray) -> List[int]:
    """The channels of a C x h x w blob that are not the same everywhere."""
    return [channel for channel, cells in enumerate(blob) if cells.max() > cells.min()]


def _unit(channel: np.ndarray) -> np.ndarray:
    """A channel brought to [0, 1]."""
    lowest, highest = channel.min(), channel.max()
    unit: np.ndarray = (channel - lowest) / (highest - lowest)
    return unit


def _masked(pixels: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """An image seen through a channel."""
    import cv2

    size = pixels.shape[1:]
    mask = cv2.resize(np.ascontiguousarray(channel), size[::-1], interpolation=cv2.INTER_LINEAR)
    # A peak between two pixels may be lost in enlarging, so the range is taken afterwards.
    masked: np.ndarray = pixels * (_unit(mask) if mask.max() > mask.min() else mask)
    return masked


def _without(blob: np.ndarray, channel: int) -> np.ndarray:
    rest: np.ndarray = blob.copy()
    rest[channel] = 0
    return rest


def _covered(pixels: np.ndarray, square: Square) -> np.ndarray:
    rest: np.ndarray = pixels.copy()
    rows, columns = square
    rest[:, rows, columns] = 0
    return rest


def _steps(length: int, parts: int) -> List[Tuple[int, int]]:
    """Start and length of windows that cover an axis, each half over the next."""
    size = max(1, -(-length // parts))
    starts = list(range(0, max(1, length - size), max(1, size // 2))) + [length - size]
    return [(start, size) for start in dict.fromkeys(starts)]


def _weighted_mean(masks: Iterator[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The mean of masks that show half of an image, each times its weights: N x H x W float32.

    ``weights`` is samples x N.
    """
    total = sum(weight[:, np.newaxis, np.newaxis] * mask for weight, mask in zip(weights, masks))
    means: np.ndarray = np.asarray(total / (0.5 * len(weights)))
    return means.astype(np.float32)


def _random_masks(size: Sequence[int], samples: int, cells: int) -> Iterator[np.ndarray]:
    """Masks of a size, the same ones each time."""
    import cv2

    random = np.random.RandomState(0)
    steps = [-(-length // cells) for length in size]
    larger = tuple((cells + 1) * step for step in steps)
    for _ in range(samples):
        visible = np.float32(random.rand(cells + 1, cells + 1) < 0.5)
        whole = cv2.resize(visible, larger[::-1], interpolation=cv2.INTER_LINEAR)
        top, left = (random.randint(step) for step in steps)
        yield whole[top:top + size[0], left:left + size[1]]


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    weights: np.ndarray = powers / powers.sum()
    return weights


def _weighed(activations: np.ndarray, chosen: Sequence[Sequence[int]], values: np.ndarray,
             weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The sum of chosen channels of each image; their weights are made of all its values."""
    maps, position = np.zeros((len(activations),) + activations.shape[2:], np.float32), 0
    for image, channels in enumerate(chosen):
        if channels:
            weights = weigh(values[position:position + len(channels)])
            maps[image] = np.tensordot(weights, activations[image, channels], 1)
            position += len(channels)
    return maps
