"""Maps: pure functions on arrays, and the table of them."""

from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np

from caffe_gradcam.explaining.methods import gradients, pixels, reruns
from prototxt_tools.errors import InputError


class Method(NamedTuple):
    """A way to make a map.

    Attributes
    ----------
    function : callable
        Takes what it needs by name.
    needs : tuple of str
        Attributes of ``caffe_gradcam.explaining.evidence.Evidence``.
    samples : int or None
        How many noisy copies, masks or steps it takes by default.
    at_input : bool
        Whether it makes a map of the net's input instead of one of the target blob.
    """

    function: Callable
    needs: Tuple[str, ...]
    samples: Optional[int] = None
    at_input: bool = False

    @property
    def cost(self):
        """What it takes besides a forward pass: "nothing", "gradients", "head" (which is run again)
        or "net" (the same)."""
        for cost, causes in _COSTS:
            if causes.intersection(self.needs):
                return cost
        return "nothing"


_COSTS = (
    ("net", {"net", "noisy_gradients", "pixel_gradients"}),
    ("head", {"head"}),
    ("gradients", {"gradients", "input_gradients", "guided_gradients", "deconvnet_gradients",
                   "bias_gradients", "laid_over"}),
)
_BOTH = ("activations", "gradients")

METHODS = {
    "grad-cam": Method(gradients.grad_cam, _BOTH),
    "grad-cam++": Method(gradients.grad_cam_plus_plus, _BOTH),
    "smooth-grad-cam++": Method(
        gradients.smooth_grad_cam_plus_plus, ("activations", "inputs", "noisy_gradients"), 25),
    "xgrad-cam": Method(gradients.xgrad_cam, _BOTH),
    "hirescam": Method(gradients.hires_cam, _BOTH),
    "element-wise": Method(gradients.element_wise, _BOTH),
    "layer-cam": Method(gradients.layer_cam, _BOTH),
    "eigen-cam": Method(gradients.eigen_cam, ("activations",)),
    "eigen-grad-cam": Method(gradients.eigen_grad_cam, _BOTH),
    "score-cam": Method(reruns.score_cam, ("activations", "inputs", "net")),
    "ss-cam": Method(reruns.ss_cam, ("activations", "inputs", "net"), 10),
    "ablation-cam": Method(reruns.ablation_cam, ("activations", "values", "head")),
    "cam": Method(gradients.cam, ("class_maps", "seeds")),
    "random": Method(gradients.random_map, ("activations", "inputs")),
    "fullgrad": Method(
        pixels.full_grad, ("inputs", "input_gradients", "bias_gradients"), at_input=True),
    "saliency": Method(pixels.saliency, ("input_gradients",), at_input=True),
    "guided-backprop": Method(pixels.guided_backprop, ("guided_gradients",), at_input=True),
    "deconvnet": Method(pixels.deconvnet, ("deconvnet_gradients",), at_input=True),
    "guided-grad-cam": Method(
        pixels.guided_grad_cam, ("guided_gradients", "laid_over"), at_input=True),
    "smoothgrad": Method(pixels.smooth_grad, ("inputs", "pixel_gradients"), 25, at_input=True),
    "integrated-gradients": Method(
        pixels.integrated_gradients, ("inputs", "pixel_gradients"), 32, at_input=True),
    "occlusion": Method(reruns.occlusion, ("inputs", "values", "net"), at_input=True),
    "rise": Method(reruns.rise, ("inputs", "net"), 1000, at_input=True),
}


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
