"""How images are explained: the values that an Explainer is opened with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, Optional, Tuple

import numpy as np

from caffe_gradcam.explaining.combine import FUSIONS
from caffe_gradcam.explaining.methods import BOX_METHODS, METHODS
from caffe_gradcam.model import choices
from prototxt_tools.errors import ModelError, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

GRADIENTS = ("post", "pre-relu", "positive")
PLACEMENTS = ("centres", "stretch")


@dataclass(frozen=True)
class Explaining:
    """How it is explained.

    Attributes
    ----------
    methods : tuple of str
        Names of ``METHODS``; one that comes twice counts once.
    layers : tuple of str
        Layers or blobs whose maps are drawn; none: the model's own.
    fuse : str, optional
        "mean", "max" or "product": one map of all layers.
    gradient : str
        "post": with respect to what the blob holds in the end; "pre-relu": to what it held
        before its in-place layers; "positive": as "post", but negative gradients count as 0.
    placement : str
        "centres": a cell's value stands at the centre of its receptive field; "stretch": maps are
        stretched over the input, as most tools do.
    samples : int, optional
        Noisy copies, masks or steps, for methods that take some; without it, each method's own
        number.
    batch_statistics : bool
        Where BatchNorm layers use the statistics of each batch (``use_global_stats: false``), let
        images go through the net together all the same, and influence each other; otherwise each
        one goes alone.

    Raises
    ------
    QuestionError
        An unknown method, fusion, gradient or placement, or fewer samples than one.
    """

    methods: Tuple[str, ...] = ("grad-cam",)
    layers: Tuple[str, ...] = ()
    fuse: Optional[str] = None
    gradient: str = "post"
    placement: str = "centres"
    samples: Optional[int] = None
    batch_statistics: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "methods", _names(self.methods))
        object.__setattr__(self, "layers", _names(self.layers))
        if not self.methods:
            raise QuestionError("no method is named; give at least one, such as grad-cam", "method")
        choices.check(self.methods, dict(METHODS, **BOX_METHODS), "method")
        choices.check([] if self.fuse is None else [self.fuse], FUSIONS, "fusion")
        choices.check([self.gradient], GRADIENTS, "gradient")
        choices.check([self.placement], PLACEMENTS, "placement")
        if self.samples is not None:
            object.__setattr__(self, "samples", _checked_samples(self.samples))

    @property
    def engine_gradient(self) -> str:
        """The gradient that the engine computes: "post" or "pre-relu"."""
        return "post" if self.gradient == "positive" else self.gradient


def refuse_box_methods(explaining: Explaining) -> None:
    """Raise a QuestionError for a method that explains the boxes of a detector only."""
    for name in explaining.methods:
        if name not in METHODS:
            raise QuestionError(f"method {name} explains the boxes of a detector; ask for them "
                                "with --detections (in Python: Model.detect)", name)


def refuse_clips(model: "LoadedModel") -> None:
    """Raise a ModelError for a net whose images are the frames of clips."""
    if model.clips:
        raise ModelError(f"{model.path}: the net takes clips, which `caffe-gradcam explain`, "
                         "`caffe-gradcam batch` and Model.explain_clip explain", model.path)


def _names(names: Iterable[str]) -> Tuple[str, ...]:
    """Each name once; a single text is one name."""
    return tuple(dict.fromkeys([names] if isinstance(names, str) else names))


def _checked_samples(samples: int) -> int:
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)) or samples < 1:
        raise QuestionError(f"samples must be a whole number of at least 1, not {samples!r}",
                            "samples")
    return int(samples)
