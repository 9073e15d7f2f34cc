"""What a Caffe net looked at: Grad-CAM and other maps, on real Caffe or on torch.

Examples
--------
>>> from caffe_gradcam import Model
>>> with Model.load("models/digits") as model:
...     explanation = model.explain("models/digits/scenes/3-5.png")[0]
>>> explanation.class_name, explanation.cam.shape
('three', (24, 24))
"""

from typing import TYPE_CHECKING

from prototxt_tools import __version__
from prototxt_tools.errors import (
    EngineError,
    EngineFailed,
    EngineMissing,
    FetchError,
    ImageError,
    InputError,
    ModelError,
    Outcome,
    OutOfMemory,
    PrototxtError,
    QuestionError,
    WeightsError,
)
from prototxt_tools.lazy import export

if TYPE_CHECKING:
    from caffe_gradcam.asking.asker import Asking
    from caffe_gradcam.asking.questions import (
        Against,
        At,
        AtIndex,
        Class,
        Like,
        Probability,
        Question,
        Sum,
        Top,
        Weighted,
    )
    from caffe_gradcam.batch.row_batches import explain_batch
    from caffe_gradcam.engines.running import Running
    from caffe_gradcam.engines.torch.registry import layer
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.explaining.explanation import Explanation, Result
    from caffe_gradcam.explaining.methods import METHODS, Method
    from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
    from caffe_gradcam.explaining.session import Explanations, Model
    from caffe_gradcam.explaining.settings import Explaining

__all__ = [
    "Against",
    "Asking",
    "At",
    "AtIndex",
    "Class",
    "EngineError",
    "EngineFailed",
    "EngineMissing",
    "Explainer",
    "Explaining",
    "Explanation",
    "Explanations",
    "FetchError",
    "ImageError",
    "InputError",
    "Like",
    "METHODS",
    "Method",
    "Model",
    "ModelChoice",
    "ModelError",
    "OutOfMemory",
    "Outcome",
    "Probability",
    "PrototxtError",
    "Question",
    "QuestionError",
    "Recipe",
    "Result",
    "Running",
    "Sum",
    "Top",
    "WeightsError",
    "Weighted",
    "__version__",
    "explain_batch",
    "layer",
]

# These load NumPy, protobuf or torch, so they are imported when they are first used.
_QUESTIONS = ("Against", "At", "AtIndex", "Class", "Like", "Probability", "Question", "Sum", "Top",
              "Weighted")
export(__name__, dict(
    dict.fromkeys(_QUESTIONS, "caffe_gradcam.asking.questions"),
    Asking="caffe_gradcam.asking.asker",
    Explainer="caffe_gradcam.explaining.explainer",
    Explaining="caffe_gradcam.explaining.settings",
    Explanation="caffe_gradcam.explaining.explanation",
    Explanations="caffe_gradcam.explaining.session",
    METHODS="caffe_gradcam.explaining.methods",
    Method="caffe_gradcam.explaining.methods",
    Model="caffe_gradcam.explaining.session",
    ModelChoice="caffe_gradcam.explaining.recipe",
    Recipe="caffe_gradcam.explaining.recipe",
    Result="caffe_gradcam.explaining.explanation",
    Running="caffe_gradcam.engines.running",
    explain_batch="caffe_gradcam.batch.row_batches",
    layer="caffe_gradcam.engines.torch.registry",
))
