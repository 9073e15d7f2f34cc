"""The public model: one that explains images, and keeps what it opened until it is closed."""

import base64
import dataclasses
import html
import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np

from caffe_gradcam.asking.asker import default_questions
from caffe_gradcam.asking.grammar import questions_of
from caffe_gradcam.asking.questions import Question, Top
from caffe_gradcam.engines.opening import resolve_engine
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.box_questions import BoxQuestion
from caffe_gradcam.explaining.describing import Describing, check_settings, names
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.explanation import Explanation, Result
from caffe_gradcam.explaining.methods import usual_method
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import choices
from caffe_gradcam.model.arrays import Image, as_images, numbers_of
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import ImageError, Outcome, QuestionError
from prototxt_tools.layers.plugins import import_plugins

if TYPE_CHECKING:
    from typing import NoReturn

    import torch

_HIGHEST, _RUNNING = Top(1), Running()
_KEYWORDS = ("images", "classes", "method", "layers", "color", "engine", "device", "precision",
             "gradient", "placement", "fuse", "samples", "batch_statistics", "trust",
             "allow_missing", "ignore_unknown_fields", "timeout", "verbose", "plugins", "batch")
_DETECT_KEYWORDS = ("images", "min_score", "edge", "explaining", "running", "color")
_BOXES = Explaining((usual_method(of_boxes=True),))
# Images that go through a detector together.
_TOGETHER = 8


# The columns of a frame: attributes of explanations.
_FRAME = ("question", "class_index", "class_name", "score", "probability", "method", "layer",
          "input", "status", "positive_mass", "negative_mass", "cam")


class Explanations(List[Explanation]):
    """A list that a notebook shows as pictures."""

    def to_frame(self) -> Any:
        """A pandas frame with a row for each explanation: its values, and the map as ``cam``.

        Raises
        ------
        QuestionError
            pandas is missing.
        """
        try:
            import pandas
        except ImportError:
            raise QuestionError("to_frame needs pandas; run: pip install pandas",
                                "pandas") from None
        return pandas.DataFrame({name: [getattr(explanation, name) for explanation in self]
                                 for name in _FRAME})

    def _repr_html_(self) -> str:
        return "".join(
            '<img alt="{}" src="data:image/png;base64,{}">'.format(
                html.escape(explanation.question),
                base64.b64encode(explanation._repr_png_() or b"").decode("ascii"))
            for explanation in self)


class Model(Describing):
    """A model that explains images, for notebooks and scripts.

    The engine that :meth:`explain` opens stays open for the next call. Several threads may share
    a model: their batches go through the net one after the other. A model can be pickled, without
    its engine; and after a fork, parent and child each use an engine of their own.

    Examples
    --------
    >>> model = Model.load("models/digits")
    >>> explanation = model.explain("models/digits/scenes/3-5.png")[0]
    >>> explanation.class_name
    'three'
    """

    def explain(
        self,
        images: Any,
        classes: "Union[int, str, Question, Iterable[Union[int, str, Question]]]" = _HIGHEST,
        method: Union[str, Iterable[str]] = "grad-cam",
        layers: Union[None, str, Iterable[str]] = None,
        *,
        color: str = "BGR",
        engine: str = "auto",
        device: str = "cpu",
        precision: str = "fp32",
        gradient: str = "post",
        placement: str = "centres",
        fuse: Optional[str] = None,
        samples: Optional[int] = None,
        batch_statistics: bool = False,
        trust: bool = False,
        allow_missing: bool = False,
        ignore_unknown_fields: bool = False,
        timeout: Optional[float] = None,
        verbose: bool = False,
        plugins: Iterable[str] = (),
        batch: int = 8,
        **unknown: "NoReturn"
    ) -> Explanations:
        """What the net looked at in some images.

        The engine stays open for the next call with the same ``method``, ``layers`` and other
        keywords from ``engine`` on; it is closed by :meth:`close`, or when they change. A model
        that was closed opens an engine again when it has to.

        Parameters
        ----------
        images : one image or several
            Paths, encoded bytes, PIL images, uint8 arrays, torch tensors, rows with an
            ``image``, or an iterable of them; for nets with several inputs dicts
            {input: image or array}. See ``caffe_gradcam.model.arrays.as_images``.
        classes : int, str, Question, or an iterable or array of these
            Numbers, names, and what else ``caffe_gradcam.asking.grammar.parse`` reads:
            ``"top:3"``, ``"tabby versus tiger cat"``; or questions such as ``Top(3)``. Without
            it, the class with the highest score, or each output of a net that gives no classes.
        method : str or iterable of str
            Names of ``METHODS``.
        layers : str or iterable of str, optional
            Layers or blobs whose maps are drawn; without it, the model's own.
        color : str
            "BGR" or "RGB": the order of the channels in arrays and tensors.
        engine, device, precision, trust, allow_missing, ignore_unknown_fields
        timeout, verbose, plugins
            On what it runs: see ``caffe_gradcam.engines.running.Running``.
        gradient, placement, fuse, samples, batch_statistics
            How it is explained: see ``caffe_gradcam.explaining.settings.Explaining``.
        batch : int
            Images that go through the net together.

        Returns
        -------
        list of Explanation
            By image, within an image by class, method and layer; each with its image.

        Raises
        ------
        QuestionError
            An unknown class, method, layer or keyword.
        ImageError
            An image cannot be read, or does not fit the net.
        ModelError, WeightsError, EngineError
            See ``caffe_gradcam.engines.opening.open_engine``.
        """
        choices.check_keywords("Model.explain", unknown, _KEYWORDS)
        if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
            raise QuestionError(f"batch must be a whole number of at least 1, not {batch!r}",
                                "batch")
        running = Running(
            engine, device, precision, trust=trust, allow_missing=allow_missing,
            ignore_unknown_fields=ignore_unknown_fields, timeout=timeout, verbose=verbose,
            plugins=names(plugins, "plugins"))
        import_plugins(running.plugins)  # They may register the method.
        explaining = Explaining(names(method, "method"), names(layers or (), "layers"), fuse,
                                gradient, placement, samples, batch_statistics)
        questions = (default_questions(self) if classes is _HIGHEST
                     else questions_of(classes, self))
        explanations = Explanations()
        session = self._session()
        for part in _batches(as_images(
                images, color, (*self.inputs, *self.arrays), self.preprocessing.value_range,
                numbers_of(self)), batch):
            _check_inputs(part, self)
            outcomes = session.explain(self, (explaining, running), part, questions)
            for image, outcome in zip(part, outcomes):
                explanations += _with_image(outcome.unwrap().explanations, image)
        return explanations

    def detect(
        self,
        images: Any,
        min_score: float = 0.5,
        edge: Optional[str] = None,
        *,
        explaining: Explaining = _BOXES,
        running: Running = _RUNNING,
        color: str = "BGR",
        **unknown: "NoReturn"
    ) -> List[Explanations]:
        """The boxes that a detector finds in some images, each with its heatmap.

        The engine is closed when it returns.

        Parameters
        ----------
        images, color
            As for :meth:`explain`.
        min_score : float
            How sure the net has to be of a box, 0 to 1.
        edge : str, optional
            The edge whose position is explained, "left", "top", "right" or "bottom", instead of
            how sure the net is.
        explaining : Explaining
            Its methods are those that need no more than gradients at a layer, or "d-rise"; without
            layers, each box is explained at the layer that it was read from.
        running : Running

        Returns
        -------
        list of list of Explanation
            For each image its boxes, the surest first: ``explanation.box`` is x, y, width and
            height in pixels, ``explanation.probability`` the score, ``explanation.class_name`` the
            class.

        Raises
        ------
        QuestionError
            The net lists no boxes, a method does not explain them, or an unknown layer or keyword.
        ModelError, ImageError, WeightsError, EngineError
            As for :meth:`explain`.
        """
        choices.check_keywords("Model.detect", unknown, _DETECT_KEYWORDS)
        check_settings(explaining, running)
        question = BoxQuestion(min_score, edge or "confidence")
        import_plugins(running.plugins)
        of_images: List[Explanations] = []
        with DetectionExplainer.open(self, explaining, question, running) as explainer:
            for part in _batches(as_images(
                    images, color, (*self.inputs, *self.arrays), self.preprocessing.value_range,
                    numbers_of(self)), _TOGETHER):
                for image, outcome in zip(part, explainer.explain(part)):
                    of_images.append(Explanations(_with_image(outcome.unwrap(), image)))
        return of_images

    def to_torch(self, output: Optional[str] = None) -> "torch.nn.Module":
        """The net as a ``torch.nn.Module`` in evaluation mode, for libraries that explain these.

        Its children have the names of the layers (``_`` for a dot) and are torch's own modules
        where these compute the same; its method ``blobs`` gives every blob by name.

        Parameters
        ----------
        output : str, optional
            The blob that ``forward`` gives; without it, the scores before any Softmax.

        Raises
        ------
        EngineMissing
            torch is not installed.
        EngineError
            There is a layer type that the torch engine does not have.
        QuestionError
            The net has no such blob.
        """
        resolve_engine("torch")
        from caffe_gradcam.engines.torch.module import to_torch

        return to_torch(self.prototxt, self.weights, [output or self.score], path=self.path)

    def close(self) -> None:
        """Close the engine that is open in this process, if there is one.

        The next :meth:`explain` opens another.
        """
        self._session().close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __getstate__(self) -> Dict[str, Any]:
        """Without what is open."""
        return {name: value for name, value in super().__getstate__().items()
                if name != "_sessions"}

    def _session(self) -> "_Session":
        """The session of this process: one that was inherited by a fork is never touched."""
        sessions: Dict[int, _Session] = self.__dict__.setdefault("_sessions", {})
        return sessions.setdefault(os.getpid(), _Session())


class _Session:
    """An Explainer that stays open, for one call at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings: Optional[Tuple[Explaining, Running]] = None
        self._explainer: Optional[Explainer] = None

    def explain(self, model: Model, settings: Tuple[Explaining, Running], images: List[Image],
                questions: List[Question]) -> List[Outcome[Result]]:
        """Explain a batch with the open Explainer, or with a new one in its place."""
        with self._lock:
            if self._explainer is None or settings != self._settings:
                self._close()
                self._explainer = Explainer.open(model, *settings)
                self._settings = settings
            return self._explainer.explain(images, questions)

    def close(self) -> None:
        """Close the Explainer, after the batch that it is working on."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._explainer is not None:
            explainer, self._explainer = self._explainer, None
            explainer.close()


def _batches(images: Iterator[Image], size: int) -> Iterator[List[Image]]:
    """The images in lists of a size; the last one may be shorter."""
    while True:
        part = list(itertools.islice(images, size))
        if not part:
            return
        yield part


def _check_inputs(images: List[Image], model: LoadedModel) -> None:
    """Raise an ImageError for a single image where the net needs more."""
    needed = [*model.inputs, *(blob for blob, spec in model.arrays.items() if spec.default is None)]
    if len(needed) > 1 and not all(isinstance(image, dict) for image in images):
        expected = ", ".join(f"{name!r}: {'image' if name in model.inputs else 'array'}"
                             for name in needed)
        raise ImageError(f"the net has several inputs and needs an image for each: {{{expected}}}")


def _with_image(explanations: List[Explanation], image: Image) -> Iterator[Explanation]:
    """The explanations, each with a copy of the image that its input shows.

    The caller may use the array again, for the next frame of a camera for example.
    """
    copies: Dict[str, np.ndarray] = {}
    for explanation in explanations:
        blob = explanation.input
        if blob not in copies:
            copies[blob] = np.array(image[blob] if isinstance(image, dict) else image)
        yield dataclasses.replace(explanation, image=copies[blob])
