"""Maps of a layer's blob from what it holds and the gradients that reach it.

Throughout, ``activations`` and ``gradients`` are N x C x h x w float32: what the layer's blob
holds, and the derivative of the question's value with respect to that; the result is N x h x w
float32. Below, A is the activation, g the gradient, S_k the sum of channel k of A. Maps keep their
sign: the ReLU that papers end with is applied when a map is drawn.
"""

import zlib
from typing import Callable, Iterator

import numpy as np

GradientsOf = Callable[[np.ndarray], np.ndarray]

# A channel whose sum is a smaller part of its absolute sum than this has cancelled to nothing.
_CANCELLED = 1e-6
_ODAM_BLUR = 0.5


def grad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""Grad-CAM: channels weighted by their mean gradient.

    .. math::
        \alpha_k = \frac{1}{Z} \sum_{ij} g^k_{ij}, \qquad L = \sum_k \alpha_k A^k

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, equations 1 and 2.

    Parameters
    ----------
    gradients : numpy.ndarray
        As for all methods; or the mean of each channel alone, N x C x 1 x 1.
    """
    # Means in double precision: they often cancel to a small part of the gradients.
    return _weighted(gradients.mean(axis=(2, 3), dtype=np.float64), activations)


def grad_cam_plus_plus(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""Grad-CAM++ in closed form.

    .. math::
        w_k = \sum_{ij} \frac{\mathrm{relu}(g^k_{ij})}{2 + S_k\, g^k_{ij}}

    Chattopadhay et al., "Grad-CAM++", WACV 2018, equations 18 and 19, of which a factor of
    :math:`g^2` is cancelled: no small number is needed to divide. Sums that are negative, which a
    blob after its ReLU never has, count as 0.
    """
    sums = np.maximum(_sums(activations), 0)[:, :, np.newaxis, np.newaxis]
    positive = np.maximum(gradients, 0).astype(np.float64)
    return _weighted((positive / (2 + sums * positive)).sum(axis=(2, 3)), activations)


def smooth_grad_cam_plus_plus(activations: np.ndarray, inputs: np.ndarray,
                              noisy_gradients: GradientsOf, samples: int) -> np.ndarray:
    r"""Smooth Grad-CAM++: derivatives averaged over noisy copies of the image.

    .. math::
        w_k = \sum_{ij} \frac{\overline{g^2}}{2 \overline{g^2} + S_k \overline{g^3}}
              \,\mathrm{relu}(\overline{g})

    Omeiza et al., "Smooth Grad-CAM++", 2019, equations 6 and 8. The noise has 0.15 of the
    spread of the net's input, as in SmoothGrad; a cell whose denominator is not positive
    counts as 0.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W, what the net reads.
    noisy_gradients : callable
        Inputs -> gradients at the layer.
    samples : int
        Noisy copies.
    """
    powers = np.zeros((3,) + activations.shape)
    for copy in noisy(inputs, samples):
        gradients = noisy_gradients(copy).astype(np.float64)
        for index in range(3):
            powers[index] += gradients ** (index + 1) / samples
    first, second, third = powers
    denominators = 2 * second + _sums(activations)[:, :, np.newaxis, np.newaxis] * third
    shares = np.zeros_like(second)
    np.divide(second, denominators, out=shares, where=denominators > 0)
    return _weighted((shares * np.maximum(first, 0)).sum(axis=(2, 3)), activations)


def xgrad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""XGrad-CAM: gradients weighted by how much of its channel each cell holds.

    .. math::
        w_k = \frac{1}{S_k} \sum_{ij} g^k_{ij} A^k_{ij}, \qquad L = \sum_k w_k A^k

    Fu et al., "Axiom-based Grad-CAM", BMVC 2020, equation 8. A channel whose values cancel to
    (nearly) nothing, as they may before a ReLU, counts as 0.
    """
    sums = _sums(activations)
    weights = np.zeros_like(sums)
    holds = np.abs(sums) > _CANCELLED * _sums(np.abs(activations))
    np.divide(_sums(np.multiply(gradients, activations, dtype=np.float64)), sums, out=weights,
              where=holds)
    return _weighted(weights, activations)


def hires_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""HiResCAM: each cell by its own gradient, :math:`L = \sum_k g^k \odot A^k`.

    Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020, equation 4.
    """
    cams: np.ndarray = np.einsum("nkij,nkij->nij", gradients, activations)
    return cams


def odam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""ODAM: each cell by its own gradient, smoothed over its neighbours.

    .. math::
        L = \sum_k \Phi(g^k) \odot A^k

    Zhao and Chan, "ODAM: Gradient-based Instance-specific Visual Explanations for Object
    Detection", ICLR 2023. The smoothing is theirs, its width is not: here a Gaussian with a
    standard deviation of half a cell, so that neighbouring boxes stay apart.
    """
    import cv2

    smooth = np.stack([[cv2.GaussianBlur(np.ascontiguousarray(plane), (3, 3), _ODAM_BLUR)
                        for plane in blob] for blob in gradients])
    cams: np.ndarray = np.einsum("nkij,nkij->nij", smooth, activations)
    return cams


def element_wise(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""Grad-CAM element-wise: :math:`L = \sum_k \mathrm{relu}(g^k \odot A^k)`.

    Pillai and Pirsiavash, "Explainable Models with Consistent Interpretations", AAAI 2021,
    section 3.
    """
    cams: np.ndarray = np.maximum(gradients * activations, 0).sum(axis=1)
    return cams


def layer_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    r"""LayerCAM: each cell by its own gradient where that is positive.

    .. math::
        L = \sum_k \mathrm{relu}(g^k) \odot A^k

    Jiang et al., "LayerCAM", IEEE TIP 2021, equations 5 and 6.
    """
    cams: np.ndarray = np.einsum("nkij,nkij->nij", np.maximum(gradients, 0), activations)
    return cams


def eigen_cam(activations: np.ndarray) -> np.ndarray:
    """EigenCAM: the first principal component of the activations, whatever the class.

    Muhammad and Yeasin, "Eigen-CAM", IJCNN 2020, equation 3, of the centred activations.
    Decompositions leave the sign open: here it is the one with which the map follows the sum of
    the channels.
    """
    return np.stack([_principal_component(blob) for blob in activations])


def eigen_grad_cam(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Eigen-Grad-CAM: EigenCAM of the product of gradients and activations."""
    return eigen_cam(gradients * activations)


def cam(class_maps: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """CAM: what the scores are the mean of, for heads that pool and weigh linearly.

    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2.

    Parameters
    ----------
    class_maps : numpy.ndarray
        N x K x h x w: for each class the map whose mean, but for a constant, is its score.
    seeds : numpy.ndarray
        N x K: the derivative of the question's value with respect to the scores.
    """
    cams: np.ndarray = np.einsum("nk,nkij->nij", seeds, class_maps)
    return cams


def random_map(activations: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Numbers between 0 and 1 that know nothing: any method has to do better.

    The same image gives the same map: ``inputs`` (N x C x H x W, what the net reads) seed it.
    """
    # Activations would not do: their last bits depend on batch and engine.
    seeds = [zlib.crc32(image.tobytes()) & 0xffffffff for image in inputs]
    maps = [np.random.RandomState(seed).rand(*activations.shape[2:]) for seed in seeds]
    return np.stack(maps).astype(np.float32)


def noisy(inputs: np.ndarray, samples: int, spread: float = 0.15) -> Iterator[np.ndarray]:
    """Copies of a batch with Gaussian noise of a part of each one's range; always the same ones.

    Smilkov et al., "SmoothGrad", 2017, section 3.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W.
    samples : int
    spread : float
        Standard deviation over the difference between largest and smallest value.

    Yields
    ------
    numpy.ndarray
        N x C x H x W float32.
    """
    random = np.random.RandomState(0)
    ranges = inputs.max(axis=(1, 2, 3)) - inputs.min(axis=(1, 2, 3))
    for _ in range(samples):
        noise = random.standard_normal(inputs.shape[1:]).astype(np.float32)
        yield inputs + np.float32(spread) * ranges[:, np.newaxis, np.newaxis, np.newaxis] * noise


def _sums(blob: np.ndarray) -> np.ndarray:
    sums: np.ndarray = blob.sum(axis=(2, 3), dtype=np.float64)
    return sums


def _weighted(weights: np.ndarray, activations: np.ndarray) -> np.ndarray:
    """The sum of a blob's channels, each by its weight."""
    images, channels, height, width = activations.shape
    flat = activations.reshape(images, channels, -1)
    cams: np.ndarray = np.matmul(weights.astype(np.float32)[:, np.newaxis], flat)
    return cams.reshape(images, height, width)


def _principal_component(blob: np.ndarray) -> np.ndarray:
    """The cells of a C x h x w blob along the direction in which their channels differ most."""
    cells = blob.reshape(len(blob), -1).T.astype(np.float64)
    centred = cells - cells.mean(axis=0)
    if len(centred) < len(blob):
        # Products of cells have the same eigenvalues as those of channels, and are fewer here.
        values, vectors = np.linalg.eigh(np.dot(centred, centred.T))
        projected = vectors[:, -1] * np.sqrt(max(values[-1], 0))
    else:
        projected = np.dot(centred, np.linalg.eigh(np.dot(centred.T, centred))[1][:, -1])
    sums = centred.sum(axis=1)
    if np.dot(projected, sums) < 0:
        projected = -projected
    component: np.ndarray = projected.reshape(blob.shape[1:])
    return component.astype(np.float32)
