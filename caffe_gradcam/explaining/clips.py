"""Clips: which parts of which frames a net looked at.

Time counts as one more spatial axis: a method sees the cells of all frames at once, so that
Grad-CAM's weight of a channel is the mean of its gradient over places and time.
"""

from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.asker import Asker, Asking
from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.engines.opening import open_engine
from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.explaining import single_pass
from caffe_gradcam.explaining.answering import Answer, Asked, ask
from caffe_gradcam.explaining.explanation import status_of
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.clips import DEPTH
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ModelError, QuestionError

_EXPLAINING, _RUNNING = Explaining(), Running()


@dataclass(frozen=True, eq=False)
class ClipExplanation:
    """Why a net gave a clip the score of a class.

    Attributes
    ----------
    question : str
    class_index : int or None
    class_name : str or None
    score : float
    probability : float or None
    method, layer : str
    cams : numpy.ndarray
        t x h x w float32, at the layer's resolution: signed, neither cut off nor normalised.
    geometries : sequence of Geometry
        For each frame the part that the net saw.
    input : str
        The input blob that takes the frames.
    """

    question: str
    class_index: Optional[int]
    class_name: Optional[str]
    score: float
    probability: Optional[float]
    method: str
    layer: str
    cams: np.ndarray
    geometries: Sequence[Geometry]
    input: str

    @property
    def status(self) -> str:
        """"ok", or "empty" where nothing speaks for the class, or all cells do alike."""
        return status_of(self.cams)

    def heatmaps(self) -> List[np.ndarray]:
        """A heatmap for each frame, H x W float32 in [0, 1].

        The highest value of the whole clip is 1. Between the steps of the layer, which may be
        fewer than the frames, values are interpolated.
        """
        positive = np.maximum(self.cams, 0) * (self.status == "ok")
        maps = [geometry.to_image(cam, None) for cam, geometry in zip(
            in_time(positive, len(self.geometries)), self.geometries)]
        largest = max(float(heat.max()) for heat in maps) or 1.0
        return [np.asarray(heat / largest, np.float32) for heat in maps]


@dataclass(frozen=True, eq=False)
class ClipResult:
    """What a net answers about a clip.

    Attributes
    ----------
    scores : numpy.ndarray
        One per class, float32.
    probabilities : numpy.ndarray or None
    explanations : list of ClipExplanation
        By question, then by method, then by layer.
    """

    scores: np.ndarray
    probabilities: Optional[np.ndarray]
    explanations: List[ClipExplanation]


class ClipExplainer:
    """A model that takes clips, on an engine.

    Parameters
    ----------
    model : LoadedModel
        Its only input is one of its ``clips``.
    explaining : Explaining
        Its methods may need activations and gradients only.
    running : Running

    Raises
    ------
    ModelError, WeightsError, EngineError
        The model takes no clips, or more than a clip, or cannot run.
    QuestionError
        A method needs more than gradients, or a layer is unknown.
    """

    def __init__(self, model: LoadedModel, explaining: Explaining = _EXPLAINING,
                 running: Running = _RUNNING) -> None:
        check(model, explaining)
        if explaining.layers:
            model = model.with_layers(explaining.layers)
        self.model, self.explaining = model, explaining
        self.clip = model.clips[model.input]
        self.engine = open_engine(NetToRun(
            model.prototxt, model.weights, (model.score,), model.layers,
            explaining.engine_gradient, model.path), running)
        self.description = self.engine.description

    def __enter__(self) -> "ClipExplainer":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    def explain(self, frames: Sequence[np.ndarray], questions: Sequence[Asked]) -> ClipResult:
        """Explain a clip.

        Parameters
        ----------
        frames : sequence of numpy.ndarray
            As many as the net takes, H x W x 3 uint8 each, blue first.
        questions : sequence of int or Question

        Raises
        ------
        ImageError
            Another number of frames, or frames that do not fit the net.
        QuestionError
            There is no such class, or a map is not finite.
        """
        views, geometries = self.clip.views(frames, self.model.preprocessing)
        return self.explain_views(views, geometries, questions)

    def explain_views(self, views: np.ndarray, geometries: Sequence[Geometry],
                      questions: Sequence[Asked]) -> ClipResult:
        """Explain a clip that is prepared.

        Parameters
        ----------
        views : numpy.ndarray
            T x C x h x w float32; see ``Clip.views``.
        geometries : sequence of Geometry
            For each frame the part that the net sees.
        questions : sequence of int or Question
        """
        model = self.model
        values = self.engine.forward(
            {model.input: self.clip.blob(views)}, [model.score, *model.layers])
        scores = model.layout.rows(values[model.score])
        if len(scores) > 1:
            raise ModelError(f"score {model.score} has {len(scores)} rows for one clip; name a "
                             "score behind the layer that joins the frames", model.score)
        answer = ask(model, scores, geometries[:1], None, questions)
        explanations = []
        for seed, value in zip(answer.seeds, answer.values):
            diff = model.layout.to_blob(seed.gradients(scores), values[model.score].shape)
            gradients = self.engine.backward(model.score, diff, model.layers)
            explanations += [
                self._drawn(answer, (seed, value), (name, layer, cams), geometries)
                for name, layer, cams in self._maps(values, gradients)]
        return ClipResult(answer.scores, answer.probabilities, explanations)

    def scores(self, views: np.ndarray) -> np.ndarray:
        """The scores of a clip that is prepared, T x C x h x w: 1 x K [x positions]."""
        model = self.model
        values = self.engine.forward({model.input: self.clip.blob(views)}, [model.score])
        return model.layout.rows(values[model.score])

    def _maps(self, values: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
              ) -> List[Tuple[str, str, np.ndarray]]:
        """Method, layer and t x h x w map."""
        maps = []
        for name in self.explaining.methods:
            for layer in self.model.layers:
                steps, activations = flattened(values[layer], self.clip.axis)
                slopes = flattened(gradients[layer], self.clip.axis)[1]
                cam = single_pass.maps(name, activations, slopes, self.explaining)[0]
                maps.append((name, layer, cam.reshape(steps, -1, cam.shape[-1])))
        return maps

    def _drawn(self, answer: Answer, asked: Tuple[Seed, float],
               drawn: Tuple[str, str, np.ndarray], geometries: Sequence[Geometry]
               ) -> ClipExplanation:
        (seed, value), (name, layer, cams) = asked, drawn
        if not np.isfinite(cams).all():
            raise QuestionError(f"the map of {seed.text} at {layer} by {name} holds NaN or "
                                "infinity", name)
        index = seed.class_index
        return ClipExplanation(
            seed.text, index, None if index is None else self.model.class_name(index), value,
            answer.probability(seed), name, layer, np.array(cams, np.float32), geometries,
            self.model.input)


def check(model: LoadedModel, explaining: Explaining) -> None:
    """Raise an InputError where clips cannot be explained so.

    Raises
    ------
    ModelError
        The model takes no clips, or more than a clip.
    QuestionError
        A method needs more than gradients, maps are to be fused, or a layer is unknown.
    """
    if not model.clips or len(model.inputs) > 1 or model.arrays:
        raise ModelError(f"{model.path}: the net must take a clip and nothing else", model.path)
    single_pass.check_methods(explaining.methods, "clips")
    if explaining.fuse is not None:
        raise QuestionError("--fuse: the maps of clips are not fused; name one layer", "--fuse")
    if explaining.layers:
        model.with_layers(explaining.layers)


def asker_of(asking: Asking, model: LoadedModel) -> Asker:
    """What builds the questions about clips.

    Raises
    ------
    QuestionError
        An unknown class, or it is asked about something else than classes.
    """
    others = {"--detections": asking.detections, "--caption": asking.is_caption,
              "--like": asking.like is not None}
    for option, is_given in others.items():
        if is_given:
            raise QuestionError(f"{option}: a net that takes clips is asked about classes", option)
    return Asker(asking, model)


def flattened(blob: np.ndarray, axis: int) -> Tuple[int, np.ndarray]:
    """A layer's blob with the cells of all frames below each other.

    Parameters
    ----------
    blob : numpy.ndarray
        1 x C x t x h x w, or t x C x h x w.
    axis : int
        Of time.

    Returns
    -------
    steps : int
        t.
    flat : numpy.ndarray
        1 x C x (t * h) x w.

    Raises
    ------
    ModelError
        The blob has another number of axes.
    """
    if blob.ndim != (5 if axis == DEPTH else 4):
        size = " x ".join(map(str, blob.shape))
        raise ModelError(f"a layer of {size} has no axes of time and place; choose another layer")
    by_time = blob if axis == DEPTH else blob.transpose(1, 0, 2, 3)[np.newaxis]
    steps, height, width = by_time.shape[2:]
    return steps, np.ascontiguousarray(by_time).reshape(1, -1, steps * height, width)


def in_time(cams: np.ndarray, frames: int) -> np.ndarray:
    """Maps at each frame, from those at the steps of a layer: linear between their middles.

    Parameters
    ----------
    cams : numpy.ndarray
        t x h x w.
    frames : int

    Returns
    -------
    numpy.ndarray
        frames x h x w.
    """
    steps = len(cams)
    moments = np.clip((np.arange(frames) + 0.5) * steps / frames - 0.5, 0, steps - 1)
    before = np.minimum(moments.astype(int), max(0, steps - 2))
    after = np.minimum(before + 1, steps - 1)
    share = (moments - before)[:, np.newaxis, np.newaxis]
    between: np.ndarray = cams[before] * (1 - share) + cams[after] * share
    return between
