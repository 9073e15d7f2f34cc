"""From activations and gradients to maps: pure functions on arrays."""

import numpy as np

from prototxt_tools.errors import InputError


def grad_cam(activations, gradients):
    r"""Grad-CAM: channels weighted by their mean gradient.

    .. math::
        \alpha_k = \frac{1}{Z} \sum_{ij} \frac{\partial y}{\partial A^k_{ij}}, \qquad
        L = \sum_k \alpha_k A^k

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, equations 1 and 2, without the ReLU of equation 2: the map keeps
    its sign, and :func:`heatmap` takes the positive part when it is drawn.

    Parameters
    ----------
    activations, gradients : numpy.ndarray
        N x C x h x w float32: what the target blob holds, and the derivative of the score with
        respect to just that.

    Returns
    -------
    numpy.ndarray
        N x h x w float32, signed.
    """
    # Means in double precision: they often cancel to a small part of the gradients.
    weights = gradients.mean(axis=(2, 3), dtype=np.float64).astype(np.float32)
    images, channels, height, width = activations.shape
    cams = np.matmul(weights[:, np.newaxis], activations.reshape(images, channels, -1))
    return cams.reshape(images, height, width)


METHODS = {"grad-cam": grad_cam}


def heatmap(cam):
    """The positive part of a map, divided by its maximum.

    The zero level is never moved: what does not speak for the class is 0.

    Parameters
    ----------
    cam : numpy.ndarray
        h x w, signed, of any size.

    Returns
    -------
    numpy.ndarray
        h x w float32 in [0, 1]; all zeros when nothing is positive.

    Raises
    ------
    InputError
        The map holds NaN or infinity.
    """
    if not np.isfinite(cam).all():
        raise InputError("the map holds NaN or infinity, so there is nothing to show")
    positive = np.maximum(np.float32(cam), 0)
    largest = positive.max()
    return positive / largest if largest > 0 else positive
