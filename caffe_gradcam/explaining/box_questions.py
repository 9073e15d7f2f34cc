"""Which boxes of a detector are explained, and what is known of them before the net runs."""

import logging
from dataclasses import dataclass
from numbers import Real
from typing import Any, Dict, Sequence, Tuple

from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.explaining.detectors import ASPECTS, Detector, detector_of
from caffe_gradcam.explaining.methods import BOX_METHODS, METHODS
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import choices
from caffe_gradcam.model.folder import README
from caffe_gradcam.model.given import GIVEN
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import QuestionError

_logger = logging.getLogger(__name__)

_METHODS = dict(METHODS, **BOX_METHODS)
# What a method may need here: all of it is at hand for each box.
_NEEDS = {"activations", "gradients", "inputs", "similarities"}


@dataclass(frozen=True)
class BoxQuestion:
    """Which boxes are explained, and what of each.

    Attributes
    ----------
    min_score : float
        How sure the net has to be of a box, 0 to 1.
    aspect : str
        "confidence", or the edge whose position is explained: "left", "top", "right", "bottom".

    Raises
    ------
    QuestionError
        A score out of range, or no such aspect.
    """

    min_score: float = 0.5
    aspect: str = "confidence"

    def __post_init__(self) -> None:
        given: Any = self.min_score
        is_number = isinstance(given, Real) and not isinstance(given, bool)
        if not is_number or not 0 <= given <= 1:
            raise QuestionError(f"the least score of a box must be between 0 and 1, not {given!r}",
                                "min_score")
        choices.check([self.aspect], ASPECTS, "aspect of a box")


def box_question(asking: Asking) -> BoxQuestion:
    """Which boxes are asked about, and what of each.

    Raises
    ------
    QuestionError
        It is also asked about classes, or the score is out of range.
    """
    others = (asking.classes, asking.at, asking.mask, asking.step, asking.prior, asking.like,
              asking.counterfactual, asking.probability)
    if any(other or other == 0 and other is not False for other in others) or asking.is_caption:
        raise QuestionError("every box is explained for its own class; give no classes, regions "
                            "or priors with it", "--detections")
    least = 0.5 if asking.min_score is None else asking.min_score
    return BoxQuestion(least, asking.edge or "confidence")


def wired(model: LoadedModel, explaining: Explaining, question: BoxQuestion
          ) -> Tuple[Detector, Dict[str, Tuple[str, ...]]]:
    """What finds a net's boxes, and the layers at which those of each head are explained.

    Raises
    ------
    QuestionError
        The net lists no boxes, a method does not explain boxes, a layer is unknown, or the model
        merges ten crops.
    ModelError
        The boxes cannot be found.
    """
    _check_methods(explaining)
    if any(preprocessing.crops > 1 for preprocessing in model.inputs.values()):
        raise QuestionError("boxes are found in one crop, not in ten; use one crop", "crops")
    detector = detector_of(model.graph, model.shapes, model.input)
    heads = detector.heads_of(question.aspect)
    if not heads:
        raise QuestionError("the net moves no boxes, so their edges cannot be explained",
                            question.aspect)
    return detector, _sources_of(model, heads, explaining)


def _sources_of(model: LoadedModel, heads: Sequence[str], explaining: Explaining
                ) -> Dict[str, Tuple[str, ...]]:
    """Head -> the layers at which its boxes are explained.

    Those that are named, here or by the model's readme.md, where the head depends on them;
    otherwise the last layer with spatial extent before the head.

    Raises
    ------
    QuestionError
        A layer is unknown, or has no spatial extent.
    """
    sources: Dict[str, Tuple[str, ...]] = {}
    named = model.layers if model.origins["layers"] in (README, GIVEN) else ()
    if explaining.layers:
        named = model.with_layers(explaining.layers).layers
    for head in heads:
        reached = model.graph.ancestors([head])
        usable = tuple(layer for layer in named
                       if reached.intersection(model.graph.final_readers(layer)))
        sources[head] = usable or (model.graph.targets(head, model.shapes)[0].blob,)
        if named and not usable:
            _logger.warning(f"{head} does not depend on {', '.join(named)}; boxes that are read "
                            f"from it are explained at {sources[head][0]}")
    return sources


def _check_methods(explaining: Explaining) -> None:
    """Raise a QuestionError for a method that does not explain boxes, or for fused maps."""
    for name in explaining.methods:
        if not set(_METHODS[name].needs) <= _NEEDS:
            usable = ", ".join(other for other, method in _METHODS.items()
                               if set(method.needs) <= _NEEDS)
            raise QuestionError(f"method {name} does not explain boxes; use one of {usable}", name)
    if explaining.fuse is not None:
        raise QuestionError("--fuse: the maps of boxes are not fused; name one layer", "--fuse")
