"""What a model can do besides explaining images: describe them in words, and explain clips."""

from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.asking.grammar import questions_of
from caffe_gradcam.asking.questions import Question, Top
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.captions import Caption, Captioner
from caffe_gradcam.explaining.clips import ClipExplainer, ClipResult
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import choices, clip_files
from caffe_gradcam.model.arrays import as_images
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ModelError, QuestionError

if TYPE_CHECKING:
    import os
    from typing import NoReturn

_HIGHEST = Top(1)
_CAPTION_KEYWORDS = ("image", "sentence", "beam", "method", "layers", "color", "engine", "device",
                     "gradient", "placement")
_CLIP_KEYWORDS = ("clip", "classes", "method", "layers", "engine", "device")


class Describing(LoadedModel):
    """A model that writes captions, or explains clips; see ``Model``."""

    def caption(
        self,
        image: Any,
        sentence: Optional[str] = None,
        beam: int = 1,
        method: Union[str, Iterable[str]] = "grad-cam",
        layers: Union[None, str, Iterable[str]] = None,
        *,
        color: str = "BGR",
        engine: str = "auto",
        device: str = "cpu",
        gradient: str = "post",
        placement: str = "centres",
        **unknown: "NoReturn"
    ) -> Caption:
        """Describe an image in words, and show where the net looks for each.

        Both engines are closed when it returns.

        Parameters
        ----------
        image
            One image, in any of the forms that :meth:`explain` takes.
        sentence : str, optional
            Explain this sentence instead of the net's own.
        beam : int
            How many sentences are followed at a time to find the net's own; 1 takes the likeliest
            word at each step.
        method, layers, color, engine, device, gradient, placement
            As for :meth:`explain`; the methods may need gradients only.

        Returns
        -------
        Caption
            Its words have explanations, each with its image; ``caption.text`` is the sentence.

        Raises
        ------
        ModelError
            The model has no language net, or its nets do not fit each other.
        QuestionError
            The net does not know a word, the sentence is too long, or a method needs more.
        ImageError, WeightsError, EngineError
            As for :meth:`explain`.
        """
        choices.check_keywords("Model.caption", unknown, _CAPTION_KEYWORDS)
        if isinstance(beam, bool) or not isinstance(beam, (int, np.integer)) or beam < 1:
            raise QuestionError(f"beam must be a whole number of at least 1, not {beam!r}", "beam")
        explaining = Explaining(names(method, "method"), names(layers or (), "layers"),
                                gradient=gradient, placement=placement)
        pixels = list(as_images([image], color, tuple(self.inputs),
                                self.preprocessing.value_range))[0]
        if isinstance(pixels, dict):
            pixels = pixels[self.input]
        with Captioner(self, explaining, Running(engine, device)) as captioner:
            caption = captioner.caption(pixels, int(beam), sentence)
        return caption.with_image(np.array(pixels))

    def explain_clip(
        self,
        clip: "Union[str, os.PathLike[str], Sequence[np.ndarray]]",
        classes: "Union[int, str, Question, Iterable[Union[int, str, Question]]]" = _HIGHEST,
        method: Union[str, Iterable[str]] = "grad-cam",
        layers: Union[None, str, Iterable[str]] = None,
        *,
        engine: str = "auto",
        device: str = "cpu",
        **unknown: "NoReturn"
    ) -> ClipResult:
        """What the net looked at in the frames of a clip.

        Parameters
        ----------
        clip : str, os.PathLike or sequence of numpy.ndarray
            A video, an animated GIF, a TIFF of several pages or a folder of frames; or as many
            frames as the net takes, H x W x 3 uint8 each, blue first.
        classes, method, layers, engine, device
            As for :meth:`explain`; the methods may need gradients only.

        Returns
        -------
        ClipResult
            ``explanation.heatmaps()`` gives a heatmap for each frame.

        Raises
        ------
        ModelError
            The net takes no clips.
        ImageError
            The clip cannot be read, or ends early.
        QuestionError, WeightsError, EngineError
            As for :meth:`explain`.
        """
        choices.check_keywords("Model.explain_clip", unknown, _CLIP_KEYWORDS)
        if not self.clips:
            raise ModelError(f"{self.path}: the net takes single images, not clips", self.path)
        explaining = Explaining(names(method, "method"), names(layers or (), "layers"))
        frames: List[np.ndarray]
        if isinstance(clip, (list, tuple, np.ndarray)):
            frames = list(clip)
        else:
            frames = clip_files.read(str(clip), self.clips[self.input])
        with ClipExplainer(self, explaining, Running(engine, device)) as explainer:
            return explainer.explain(frames, questions_of(classes, self))


def names(names: Union[str, Iterable[str]], keyword: str) -> Tuple[str, ...]:
    """One name or several."""
    several = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else names
    checked = tuple(several)
    for name in checked:
        if not isinstance(name, str):
            raise QuestionError(f"{keyword} must be a name or several, not {name!r}", keyword)
    return checked
