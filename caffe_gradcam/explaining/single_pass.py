"""Maps of what a forward and a backward pass give at a layer, for nets that are explained with no
more than these: those that take clips or write captions."""

from typing import Iterable, Tuple

import numpy as np

from caffe_gradcam.explaining.methods import BOX_METHODS, METHODS, checked_maps
from caffe_gradcam.explaining.settings import Explaining
from prototxt_tools.errors import QuestionError

_NEEDS = frozenset(("activations", "gradients"))


def usable_methods() -> Tuple[str, ...]:
    """The names of the methods that need no more, those of plugins among them."""
    return tuple(name for name, method in METHODS.items() if _NEEDS.issuperset(method.needs))


def check_methods(names: Iterable[str], subject: str) -> None:
    """Raise a QuestionError for a method that needs more.

    Parameters
    ----------
    names : iterable of str
    subject : str
        What is explained, in the plural: "clips".
    """
    for name in names:
        if name in BOX_METHODS or not _NEEDS.issuperset(METHODS[name].needs):
            raise QuestionError(f"{subject} are explained by methods that need gradients only, "
                                f"such as grad-cam, not by {name}", name)


def maps(name: str, activations: np.ndarray, gradients: np.ndarray, explaining: Explaining
         ) -> np.ndarray:
    """The maps of a method.

    Parameters
    ----------
    name : str
        Of ``METHODS``.
    activations, gradients : numpy.ndarray
        N x C x h x w.
    explaining : Explaining
        Whether negative gradients count.

    Returns
    -------
    numpy.ndarray
        N x h x w float32; NaN or infinity where the arithmetic overflows.
    """
    if explaining.gradient == "positive":
        gradients = np.maximum(gradients, 0)
    method, evidence = METHODS[name], {"activations": activations, "gradients": gradients}
    with np.errstate(over="ignore", invalid="ignore"):
        cams = method.function(**{need: evidence[need] for need in method.needs})
    count, _, height, width = activations.shape
    return checked_maps(name, cams, (count, height, width))
