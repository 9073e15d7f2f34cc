"""Maps: pure functions on arrays, and the table of them."""

import inspect
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from caffe_gradcam.explaining.methods import gradients, pixels, reruns
from caffe_gradcam.model import choices
from prototxt_tools.errors import QuestionError

# What a method may need, and what it takes besides a forward pass: "nothing"; "gradients", a
# backward pass; "head", the layers behind the blob again; "net", the whole net again. What each
# need is stands in ``caffe_gradcam.explaining.evidence``.
NEEDS: Dict[str, str] = {
    "activations": "nothing",
    "inputs": "nothing",
    "seeds": "nothing",
    "values": "nothing",
    "class_maps": "nothing",
    "gradients": "gradients",
    "input_gradients": "gradients",
    "guided_gradients": "gradients",
    "deconvnet_gradients": "gradients",
    "bias_gradients": "gradients",
    "laid_over": "gradients",
    "head": "head",
    "net": "net",
    "similarities": "net",
    "noisy_gradients": "net",
    "pixel_gradients": "net",
}
COSTS = ("nothing", "gradients", "head", "net")


@dataclass(frozen=True)
class Method:
    """A way to make a map.

    Attributes
    ----------
    function : callable
        Takes what it needs by name, and gives N x h x w float32: a map for each row of a batch,
        at the resolution of the blob, or of the input if ``at_input``.
    needs : tuple of str
        Keys of ``NEEDS``.
    samples : int, optional
        How many noisy copies, masks or steps it takes by default; the function then also takes
        ``samples``.
    at_input : bool
        Whether it makes a map of the net's input instead of one of the layer's blob.
    takes_means : bool
        Whether of the gradients it takes nothing but the mean of each channel: it may be given
        these instead, N x C x 1 x 1.

    Raises
    ------
    QuestionError
        An unknown need, or one that the function does not take.
    """

    function: Callable[..., np.ndarray]
    needs: Tuple[str, ...]
    samples: Optional[int] = None
    at_input: bool = False
    takes_means: bool = False

    def __post_init__(self) -> None:
        for need in self.needs:
            if need not in NEEDS:
                raise QuestionError(
                    f"a method cannot need {need!r}; {choices.hint(need, list(NEEDS))}", need)
        arguments = dict.fromkeys(self.needs + (("samples",) if self.samples else ()))
        try:
            inspect.signature(self.function).bind(**arguments)
        except TypeError as error:
            name = getattr(self.function, "__name__", "the function")
            raise QuestionError(f"{name} does not take what the method needs: {error}") from None
        except ValueError:
            pass  # A compiled function may have no signature.

    @property
    def cost(self) -> str:
        """What it takes besides a forward pass: the largest of ``COSTS`` that a need causes."""
        return max((NEEDS[need] for need in self.needs), key=COSTS.index, default="nothing")


_BOTH = ("activations", "gradients")

METHODS: Dict[str, Method] = {
    "grad-cam": Method(gradients.grad_cam, _BOTH, takes_means=True),
    "grad-cam++": Method(gradients.grad_cam_plus_plus, _BOTH),
    "smooth-grad-cam++": Method(
        gradients.smooth_grad_cam_plus_plus, ("activations", "inputs", "noisy_gradients"), 25),
    "xgrad-cam": Method(gradients.xgrad_cam, _BOTH),
    "hirescam": Method(gradients.hires_cam, _BOTH),
    "odam": Method(gradients.odam, _BOTH),
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

# Methods that explain the boxes of a detector and nothing else; those of ``METHODS`` that need no
# more than gradients at a layer explain boxes too.
BOX_METHODS: Dict[str, Method] = {
    "d-rise": Method(reruns.d_rise, ("inputs", "similarities"), 1000, at_input=True),
}


def usual_method(of_boxes: bool = False) -> str:
    """What explains classes, or the boxes of a detector, where no method is named."""
    return "odam" if of_boxes else "grad-cam"


def checked_maps(name: str, maps: Any, shape: Tuple[int, int, int]) -> np.ndarray:
    """What a method returned, if it is a map for each row.

    Parameters
    ----------
    name : str
        The method's.
    maps : numpy.ndarray
    shape : (int, int, int)
        N, h, w: rows of the batch, and the resolution of the blob.

    Raises
    ------
    QuestionError
        Anything but an array of floats of this shape. NaN and infinity are found later, since
        they may concern only some of the images.
    """
    expected = f"it must return {'x'.join(map(str, shape))} floats (N x height x width)"
    if not isinstance(maps, np.ndarray):
        raise QuestionError(f"method {name} returned {type(maps).__name__}; {expected}", name)
    if maps.dtype.kind != "f" or maps.shape != tuple(shape):
        size = "x".join(map(str, maps.shape)) or "a single number"
        raise QuestionError(f"method {name} returned {size} {maps.dtype}; {expected}", name)
    return maps


def heatmap(cam: np.ndarray) -> np.ndarray:
    """The positive part of a map, divided by its maximum.

    The zero level never moves: what does not speak for the class is 0.

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
    QuestionError
        The map holds NaN or infinity.
    """
    if not np.isfinite(cam).all():
        raise QuestionError("the map holds NaN or infinity, so there is nothing to show")
    positive: np.ndarray = np.maximum(np.float32(cam), 0)
    largest = positive.max()
    return positive / largest if largest > 0 else positive
