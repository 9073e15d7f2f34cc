"""Maps of the net's input, pixel by pixel.

Gradients at the input are N x C x H x W float32, results N x H x W float32. A gradient tells how
much the value changes with a pixel, in either direction, so most of these maps are absolute values:
the largest over the colours, as Simonyan et al. take it.
"""

import itertools
from typing import Iterable, Sequence

import numpy as np

from caffe_gradcam.explaining.methods.gradients import GradientsOf, noisy


def saliency(input_gradients: np.ndarray) -> np.ndarray:
    r"""Saliency: :math:`\max_c |\partial y / \partial x_c|`.

    Simonyan et al., "Deep Inside Convolutional Networks", 2013, section 3.1.
    """
    sizes: np.ndarray = np.abs(input_gradients).max(axis=1)
    return sizes


def guided_backprop(guided_gradients: np.ndarray) -> np.ndarray:
    """Guided backpropagation: saliency where every ReLU lets only positive gradients pass, and only
    where it was on.

    Springenberg et al., "Striving for Simplicity", 2014, section 3.4.
    """
    sizes: np.ndarray = np.abs(guided_gradients).max(axis=1)
    return sizes


def deconvnet(deconvnet_gradients: np.ndarray) -> np.ndarray:
    """Deconvnet: saliency where every ReLU lets only positive gradients pass, on or off.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, in the
    form of a backward pass that Springenberg et al. give.
    """
    sizes: np.ndarray = np.abs(deconvnet_gradients).max(axis=1)
    return sizes


def guided_grad_cam(guided_gradients: np.ndarray, laid_over: np.ndarray) -> np.ndarray:
    """Guided Grad-CAM: guided backpropagation where Grad-CAM is positive.

    Selvaraju et al., "Grad-CAM", ICCV 2017, section 3.1.

    Parameters
    ----------
    guided_gradients : numpy.ndarray
        N x C x H x W float32.
    laid_over : numpy.ndarray
        N x H x W, the Grad-CAM at the size of the input.
    """
    product: np.ndarray = guided_backprop(guided_gradients) * np.maximum(laid_over, 0)
    return product


def smooth_grad(inputs: np.ndarray, pixel_gradients: GradientsOf, samples: int) -> np.ndarray:
    """SmoothGrad: saliency of the mean gradient over noisy copies of the image.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 3.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W, what the net reads.
    pixel_gradients : callable
        Inputs -> gradients there.
    samples : int
        Noisy copies.
    """
    total: np.ndarray = sum(  # type: ignore[assignment]  # there is at least one sample
        pixel_gradients(copy) for copy in noisy(inputs, samples))
    return saliency(total / samples)


def integrated_gradients(inputs: np.ndarray, pixel_gradients: GradientsOf, samples: int
                         ) -> np.ndarray:
    r"""Integrated Gradients from the mean image: what each pixel adds to the value.

    .. math::
        L = \sum_c x_c \int_0^1 \frac{\partial y(t x)}{\partial x_c} dt

    Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1, by the
    midpoint rule. The map sums to the value of the image minus that of the mean image.

    Parameters
    ----------
    inputs : numpy.ndarray
        N x C x H x W, what the net reads: 0 is the mean image.
    pixel_gradients : callable
        Inputs -> gradients there.
    samples : int
        Steps.
    """
    total = np.zeros(inputs.shape)
    for step in range(samples):
        total += pixel_gradients(inputs * np.float32((step + 0.5) / samples))
    sums: np.ndarray = (inputs * total).sum(axis=1) / samples
    return sums.astype(np.float32)


def full_grad(inputs: np.ndarray, input_gradients: np.ndarray,
              bias_gradients: Iterable[np.ndarray]) -> np.ndarray:
    r"""FullGrad: the input's and all biases' parts in the value.

    .. math::
        L = \psi(|x \odot g|) + \sum_{l} \sum_{k} \psi(|b^l_k\, g^l_k|)

    with :math:`\psi` bringing a layer to [0, 1] and to the input's size. Srinivas and Fleuret,
    "Full-Gradient Representation for Neural Network Visualization", NeurIPS 2019, equation 4.

    Parameters
    ----------
    inputs, input_gradients : numpy.ndarray
        N x C x H x W float32.
    bias_gradients : iterable of numpy.ndarray
        For each layer with a bias and places, N x K x h x w: bias times gradient.
    """
    parts = itertools.chain([inputs * input_gradients], bias_gradients)
    total: np.ndarray = sum(  # type: ignore[assignment]  # the input is always a part
        _enlarged(np.abs(part), inputs.shape[2:]) for part in parts)
    return total


def _enlarged(blob: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A blob, each image brought to [0, 1], its channels summed, at a size."""
    import cv2

    maps = []
    for image in blob:
        lowest, highest = image.min(), image.max()
        unit = (image - lowest) / (highest - lowest if highest > lowest else 1)
        summed = unit.sum(axis=0, dtype=np.float64).astype(np.float32)
        maps.append(cv2.resize(summed, size[::-1], interpolation=cv2.INTER_LINEAR))
    return np.stack(maps)
