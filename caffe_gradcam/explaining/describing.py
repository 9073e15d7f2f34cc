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
from caffe_gradcam.model.arrays import as_image
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.layers.plugins import import_plugins

if TYPE_CHECKING:
    import os
    from typing import NoReturn

_HIGHEST, _EXPLAINING, _RUNNING = Top(1), Explaining(), Running()
_CAPTION_KEYWORDS = ("image", "sentence", "beam", "explaining", "running", "color")
_CLIP_KEYWORDS = ("clip", "classes", "explaining", "running")


class Describing(LoadedModel):
    """A model that writes captions, or explains clips; see ``Model``."""

    def caption(
        self,
        image: Any,
        sentence: Optional[str] = None,
        beam: int = 1,
        *,
        explaining: Explaining = _EXPLAINING,
        running: Running = _RUNNING,
        color: str = "BGR",
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
        explaining : Explaining
            Its methods may need gradients only.
        running : Running
        color : str
            As for :meth:`explain`.

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
        if sentence is not None and (not isinstance(sentence, str) or beam != 1):
            raise QuestionError(f"sentence must be a text, and needs no beam; it is {sentence!r}",
                                "sentence")
        check_settings(explaining, running)
        import_plugins(running.plugins)
        pixels = as_image(image, color, tuple(self.inputs),
                          value_range=self.preprocessing.value_range)
        if isinstance(pixels, dict):
            pixels = pixels[self.input]
        with Captioner(self, explaining, running) as captioner:
            caption = captioner.caption(pixels, int(beam), sentence)
        return caption.with_image(np.array(pixels))

    def explain_clip(
        self,
        clip: "Union[str, os.PathLike[str], Sequence[np.ndarray]]",
        classes: "Union[int, str, Question, Iterable[Union[int, str, Question]]]" = _HIGHEST,
        *,
        explaining: Explaining = _EXPLAINING,
        running: Running = _RUNNING,
        **unknown: "NoReturn"
    ) -> ClipResult:
        """What the net looked at in the frames of a clip.

        Parameters
        ----------
        clip : str, os.PathLike or sequence of numpy.ndarray
            A video, an animated GIF, a TIFF of several pages or a folder of frames; or as many
            frames as the net takes, H x W x 3 uint8 each, blue first.
        classes
            As for :meth:`explain`.
        explaining : Explaining
            Its methods may need gradients only.
        running : Running

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
        check_settings(explaining, running)
        import_plugins(running.plugins)
        frames: List[np.ndarray]
        if isinstance(clip, (list, tuple, np.ndarray)):
            frames = list(clip)
        else:
            frames = clip_files.read(str(clip), self.clips[self.input])
        with ClipExplainer(self, explaining, running) as explainer:
            return explainer.explain(frames, questions_of(classes, self))


def check_settings(explaining: Explaining, running: Running) -> None:
    """Raise a QuestionError for settings of another type."""
    for keyword, value, expected in (("explaining", explaining, Explaining),
                                     ("running", running, Running)):
        if not isinstance(value, expected):
            raise QuestionError(f"{keyword} must be a caffe_gradcam.{expected.__name__}, not "
                                f"{value!r}", keyword)


def names(names: Union[str, Iterable[str]], keyword: str) -> Tuple[str, ...]:
    """One name or several."""
    several = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else names
    checked = tuple(several)
    for name in checked:
        if not isinstance(name, str):
            raise QuestionError(f"{keyword} must be a name or several, not {name!r}", keyword)
    return checked
