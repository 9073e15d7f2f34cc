"""Maps from running the net, or its head, again on changed values.

``net`` and ``head`` are callables: they take pairs (index of a photograph, value), the value being
an input of the net (C x H x W), or of the target blob (C x h x w), and give the question's value
for each, float64, in order. They run the pairs in batches that fit.
"""

import numpy as np


def score_cam(activations, inputs, net):
    r"""Score-CAM: channels weighted by the score of the picture seen through them.

    .. math::
        H^k = \mathrm{minmax}(\mathrm{up}(A^k)), \qquad
        \alpha = \mathrm{softmax}_k\, y(x \odot H^k), \qquad L = \sum_k \alpha_k A^k

    Wang et al., "Score-CAM", CVPRW 2020, algorithm 1. The score of the baseline picture, which
    the paper subtracts, is one number for all channels, and a softmax does not see it. Flat
    channels mask nothing and have no weight.

    Parameters
    ----------
    activations : numpy.ndarray
        N x C x h x w float32.
    inputs : numpy.ndarray
        N x C x H x W, what the net reads: 0 is the mean picture.
    net : callable

    Returns
    -------
    numpy.ndarray
        N x h x w float32.
    """
    lively = [_lively(one) for one in activations]
    values = net((image, _masked(inputs[image], activations[image, channel]))
                 for image, channels in enumerate(lively) for channel in channels)
    return _weighed(activations, lively, values, _softmax)


def ss_cam(activations, inputs, net, samples):
    r"""SS-CAM: Score-CAM with the masks blurred by noise, several times.

    .. math::
        \alpha = \mathrm{softmax}_k\, \frac{1}{N} \sum_i y(x \odot \mathrm{minmax}(A^k + \delta_i))

    Wang et al., "SS-CAM: Smoothed Score-CAM", 2020, equation 5 (noise on the activations). The
    noise has 0.15 of each channel's range, since a fixed size would drown some nets and be nothing
    to others.

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
    lively = [_lively(one) for one in activations]
    values = net((image, _masked(inputs[image], _unit(activations[image, channel]) + one))
                 for image, channels in enumerate(lively) for channel in channels for one in noise)
    return _weighed(activations, lively, values.reshape(-1, samples).mean(axis=1), _softmax)


def ablation_cam(activations, values, head):
    r"""Ablation-CAM: channels weighted by what the score loses without them.

    .. math::
        w_k = y - y_{A^k = 0}, \qquad L = \sum_k w_k A^k

    Desai and Ramaswamy, "Ablation-CAM", WACV 2020, equation 3, without the division by y, which is
    one number for all channels and turns the map over where y is negative. Only the head is run.

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
    lively = [[channel for channel, one in enumerate(blob) if one.any()] for blob in activations]
    left = head((image, _without(activations[image], channel))
                for image, channels in enumerate(lively) for channel in channels)
    lost = np.repeat(values, [len(channels) for channels in lively]) - left
    return _weighed(activations, lively, lost, lambda weights: weights)


def occlusion(inputs, values, net, parts=8):
    """Occlusion: what the score loses where a square of the picture is covered by the mean colour.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section
    4.2. Squares of an eighth of the picture's height and width, half of it apart; a pixel's value
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
    left = net((image, _covered(one, square)) for image, one in enumerate(inputs)
               for square in squares)
    lost = values[:, np.newaxis] - left.reshape(len(inputs), -1)
    sums, counts = np.zeros((len(inputs),) + size), np.zeros(size)
    for index, square in enumerate(squares):
        sums[(slice(None),) + square] += lost[:, index, np.newaxis, np.newaxis]
        counts[square] += 1
    return np.float32(sums / counts)


def rise(inputs, net, samples, cells=7):
    r"""RISE: the mean of random masks, weighted by the score of the picture seen through them.

    .. math::
        L = \frac{1}{N p} \sum_i (y(x \odot M_i) - \overline{y})\, M_i

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation", BMVC 2018, equation 6; each
    of 7 x 7 cells is seen with p = 1/2, enlarged and shifted at random. The mean score is
    subtracted, so that 0 says: seeing this place makes no difference.

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
    def masks():
        return _random_masks(inputs.shape[2:], samples, cells)

    values = net((image, inputs[image] * mask) for image in range(len(inputs)) for mask in masks())
    values = values.reshape(len(inputs), samples)
    weights = values - values.mean(axis=1, keepdims=True)
    maps = np.zeros((len(inputs),) + inputs.shape[2:])
    for weight, mask in zip(weights.T, masks()):
        maps += weight[:, np.newaxis, np.newaxis] * mask
    return np.float32(maps / (0.5 * samples))


def _lively(blob):
    """The channels of a C x h x w blob that are not the same everywhere."""
    return [channel for channel, one in enumerate(blob) if one.max() > one.min()]


def _unit(channel):
    """A channel brought to [0, 1]."""
    lowest, highest = channel.min(), channel.max()
    return (channel - lowest) / (highest - lowest)


def _masked(pixels, channel):
    """A picture seen through a channel."""
    import cv2

    size = pixels.shape[1:]
    mask = cv2.resize(np.ascontiguousarray(channel), size[::-1], interpolation=cv2.INTER_LINEAR)
    # A peak between two pixels may be lost in enlarging, so the range is taken afterwards.
    return pixels * (_unit(mask) if mask.max() > mask.min() else mask)


def _without(blob, channel):
    rest = blob.copy()
    rest[channel] = 0
    return rest


def _covered(pixels, square):
    rest = pixels.copy()
    rest[(slice(None),) + square] = 0
    return rest


def _steps(length, parts):
    """Start and length of windows that cover an axis, each half over the next."""
    size = max(1, -(-length // parts))
    starts = list(range(0, max(1, length - size), max(1, size // 2))) + [length - size]
    return [(start, size) for start in dict.fromkeys(starts)]


def _random_masks(size, samples, cells):
    """Masks of a size, the same ones each time."""
    import cv2

    random = np.random.RandomState(0)
    steps = [-(-length // cells) for length in size]
    larger = tuple((cells + 1) * step for step in steps)
    for _ in range(samples):
        seen = np.float32(random.rand(cells + 1, cells + 1) < 0.5)
        whole = cv2.resize(seen, larger[::-1], interpolation=cv2.INTER_LINEAR)
        top, left = (random.randint(step) for step in steps)
        yield whole[top:top + size[0], left:left + size[1]]


def _softmax(values):
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _weighed(activations, chosen, values, weigh):
    """The sum of chosen channels of each image; their weights are made of all its values."""
    maps, position = np.zeros((len(activations),) + activations.shape[2:], np.float32), 0
    for image, channels in enumerate(chosen):
        if channels:
            weights = weigh(values[position:position + len(channels)])
            maps[image] = np.tensordot(weights, activations[image, channels], 1)
            position += len(channels)
    return maps
