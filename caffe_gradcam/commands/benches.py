"""What evaluate measures the maps of: classes, boxes of a detector, clips, or words of captions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional, Tuple

from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.measuring.measurement import Settings
    from caffe_gradcam.model.model import LoadedModel


@dataclass(frozen=True)
class Kind:
    """One of them.

    Attributes
    ----------
    noun : str
        In the plural, for messages; empty for classes.
    metrics : tuple of str
        Those that have a meaning.
    usual : tuple of str
        Those that are measured where none is named.
    open : callable
        Recipe and model -> what explains them, with an ``engine`` and as a context.
    bench : callable
        That, settings and the recipe -> what measures its maps.
    has_boxes, has_objects : bool
        Whether people may have drawn boxes, or masks of objects.
    has_own_layers : bool
        Whether maps are compared at the layers of the model or of each box, instead of at layers of
        several resolutions.
    unit : str, optional
        What curves show, in words; without it, the probability of a class, or its score.
    """

    noun: str
    metrics: Tuple[str, ...]
    usual: Tuple[str, ...]
    open: "Callable[[Recipe, LoadedModel], Any]"
    bench: "Callable[[Any, Settings, Recipe], Any]"
    has_boxes: bool = True
    has_objects: bool = False
    has_own_layers: bool = False
    unit: Optional[str] = None


def kind_of(recipe: "Recipe", model: "LoadedModel") -> Kind:
    """What a recipe asks about, of a model."""
    if model.clips:
        return _clips()
    if recipe.asking.is_caption:
        return _captions()
    return _boxes() if recipe.asking.detections else _classes()


def _classes() -> Kind:
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.measuring.bench import Bench
    from caffe_gradcam.measuring.measurement import METRICS, USUAL

    return Kind("", METRICS, USUAL + ("objects", "removal"), recipes.open_explainer,
                lambda explainer, settings, recipe: Bench(explainer, settings), has_objects=True)


def _boxes() -> Kind:
    from caffe_gradcam.explaining.box_questions import box_question
    from caffe_gradcam.explaining.detections import DetectionExplainer
    from caffe_gradcam.measuring import box_bench

    return Kind("boxes", box_bench.METRICS, box_bench.METRICS,
                lambda recipe, model: DetectionExplainer.open(
                    model, recipe.explaining, box_question(recipe.asking), recipe.running),
                lambda explainer, settings, recipe: box_bench.BoxBench(explainer, settings),
                has_own_layers=True, unit="similarity of the box")


def _clips() -> Kind:
    from caffe_gradcam.explaining.clips import ClipExplainer
    from caffe_gradcam.measuring import clip_bench

    return Kind("clips", clip_bench.METRICS, clip_bench.USUAL,
                lambda recipe, model: ClipExplainer(model, recipe.explaining, recipe.running),
                lambda explainer, settings, recipe: clip_bench.ClipBench(explainer, settings),
                has_boxes=False)


def _captions() -> Kind:
    from caffe_gradcam.explaining.captions import Captioner
    from caffe_gradcam.measuring import caption_bench

    return Kind("captions", caption_bench.METRICS, caption_bench.USUAL,
                lambda recipe, model: Captioner(model, recipe.explaining, recipe.running),
                lambda explainer, settings, recipe: caption_bench.CaptionBench(
                    explainer, settings, recipe.asking.beam or 1),
                has_own_layers=True, unit="probability of the word")


def metrics_of(kind: Kind, text: Optional[str], boxes: Optional[str], objects: Optional[str]
               ) -> Tuple[str, ...]:
    """The metrics to measure.

    Parameters
    ----------
    kind : Kind
    text : str or None
        Of ``--metrics``.
    boxes, objects : str or None
        The files of ``--boxes`` and ``--objects``.

    Raises
    ------
    QuestionError
        One has no meaning here, or needs a file that is not given; or a file is given that nothing
        needs.
    """
    from caffe_gradcam.model import choices

    if objects and not kind.has_objects:
        raise QuestionError(f"--objects is for maps of classes in single images, not of "
                            f"{kind.noun}" + ("; use --boxes" if kind.has_boxes else ""),
                            "--objects")
    if boxes and not kind.has_boxes:
        raise QuestionError(f"--boxes is for single images, not for {kind.noun}", "--boxes")
    needed = {"objects": objects, "removal": objects}
    # A detector's own boxes are pointed at where nobody has drawn any.
    if kind.noun != "boxes":
        needed["pointing"] = boxes
    if text is None:
        return tuple(name for name in kind.usual if needed.get(name, True))
    names = tuple(name.strip() for name in text.split(","))
    choices.check(names, kind.metrics, f"metric of {kind.noun}" if kind.noun else "metric")
    if "pointing" in names and not needed.get("pointing", True):
        raise QuestionError("the metric pointing needs --boxes", "--metrics")
    if {"objects", "removal"} & set(names) and not objects:
        raise QuestionError("the metrics objects and removal need --objects", "--metrics")
    return names
