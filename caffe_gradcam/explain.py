"""Explainer: forward, one-hot, backward -> Explanation."""

from typing import Any, List, NamedTuple, Optional

import numpy as np

from caffe_gradcam import labels
from caffe_gradcam.methods import METHODS, heatmap
from caffe_gradcam.preprocess import Geometry, to_blob
from prototxt_tools.errors import InputError


class Top(NamedTuple):
    """The ``count`` classes with the highest scores, whatever they are."""

    count: int


BEST = (Top(1),)


class Explanation(NamedTuple):
    """Why a net gave a photograph the score of a class.

    Attributes
    ----------
    class_index : int
    label : str or None
    score : float
        Before any Softmax.
    probability : float or None
        None where the net makes no probabilities of its scores.
    method, target : str
        The method's name and the blob whose map this is.
    cam : numpy.ndarray
        h x w float32, at the target's resolution: signed, neither cut off nor normalised.
    geometry : Geometry
        What part of the photograph the map lies on.
    """

    class_index: int
    label: Optional[str]
    score: float
    probability: Optional[float]
    method: str
    target: str
    cam: Any
    geometry: Geometry

    @property
    def heatmap(self):
        """H x W float32 in [0, 1], at the photograph's size; made anew each time."""
        return heatmap(self.geometry.to_photograph(np.maximum(self.cam, 0)))

    @property
    def status(self):
        """"ok", or "empty" where nothing speaks for the class and the heatmap is all zeros."""
        return "ok" if self.cam.max() > 0 else "empty"


class Result(NamedTuple):
    """What a net says of one photograph.

    Attributes
    ----------
    scores : numpy.ndarray
        One per class, float32.
    probabilities : numpy.ndarray or None
        One per class, float32.
    explanations : list of Explanation
        By class, in the order asked for, and within a class by target.
    """

    scores: Any
    probabilities: Any
    explanations: List[Explanation]


class Explainer:
    """A model on an engine.

    Parameters
    ----------
    model : caffe_gradcam.model.Model
    engine : caffe_gradcam.engines.base.Engine
        Opened with the model's score and targets.
    method : str
        A name of ``METHODS``.
    """

    def __init__(self, model, engine, method="grad-cam"):
        self.model = model
        self.engine = engine
        self.method = method

    @classmethod
    def open(cls, model, engine="auto", **options):
        """Open an engine for a model: ``with Explainer.open(model) as explainer``.

        Parameters
        ----------
        model : caffe_gradcam.model.Model
        engine : str
            "auto", "caffe" or "torch".
        **options
            ``device, gradient, verbose, timeout, allow_missing, trust, precision``: see
            ``caffe_gradcam.engines.open_engine``.
        """
        from caffe_gradcam.engines import open_engine

        return cls(
            model,
            open_engine(
                engine,
                prototxt=model.prototxt,
                weights=model.weights,
                scores=[model.score],
                targets=model.targets,
                **options
            ),
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.engine.close()

    def explain(self, photographs, classes=BEST):
        """Explain some photographs in one batch: one forward pass, and one backward pass for
        the first class of every photograph, one for the second, and so on.

        Parameters
        ----------
        photographs : list of numpy.ndarray
            H x W x 3 uint8 each, blue first, of any sizes.
        classes : sequence of int or Top
            What to explain of each photograph; a class that comes twice is explained once.

        Returns
        -------
        list of Result or InputError
            One per photograph, in order. An error stands for the photograph that cannot be
            explained, and says why; the others do not suffer from it.

        Raises
        ------
        InputError
            The engine failed on the batch.
        """
        outcomes = [_attempt(to_blob, one, self.model.preprocessing) for one in photographs]
        good = [index for index, one in enumerate(outcomes) if not isinstance(one, InputError)]
        if good:
            blobs = np.stack([outcomes[index][0] for index in good])
            geometries = [outcomes[index][1] for index in good]
            for index, outcome in zip(good, self._explain(blobs, geometries, classes)):
                outcomes[index] = outcome
        return outcomes

    def _explain(self, blobs, geometries, classes):
        kept = self.engine.forward(
            {self.model.input: blobs}, keep=[self.model.score] + self.model.targets
        )
        scores = score_vectors(kept[self.model.score])
        wanted = [_attempt(chosen, row, classes) for row in scores]
        asked = [[] if isinstance(row, InputError) else row for row in wanted]
        cams = self._cams(kept, asked)
        return [
            _attempt(self._result, *row) if not isinstance(row[0], InputError) else row[0]
            for row in zip(wanted, scores, geometries, cams)
        ]

    def _cams(self, kept, asked):
        """For each photograph, for each class asked of it, {target: h x w}."""
        cams = [[] for _ in asked]
        for rank in range(max(map(len, asked))):
            picked = [row[rank] if rank < len(row) else None for row in asked]
            gradients = self.engine.backward(
                self.model.score, one_hot(kept[self.model.score].shape, picked), self.model.targets
            )
            # Overflow shows as infinity or NaN in the map, and is reported there.
            with np.errstate(over="ignore", invalid="ignore"):
                maps = {
                    target: METHODS[self.method](kept[target], gradients[target])
                    for target in self.model.targets
                }
            for index, one in enumerate(picked):
                if one is not None:
                    cams[index].append({name: batch[index] for name, batch in maps.items()})
        return cams

    def _result(self, classes, scores, geometry, cams):
        probabilities = to_probabilities(scores, self.model.link)
        explanations = []
        for index, maps in zip(classes, cams):
            for target in self.model.targets:
                if not np.isfinite(maps[target]).all():
                    raise InputError(
                        "the map of class {} at {} holds NaN or infinity".format(index, target)
                    )
                explanations.append(
                    Explanation(
                        class_index=index,
                        label=self.model.label(index),
                        score=float(scores[index]),
                        probability=None if probabilities is None else float(probabilities[index]),
                        method=self.method,
                        target=target,
                        cam=np.array(maps[target], np.float32),
                        geometry=geometry,
                    )
                )
        return Result(scores, probabilities, explanations)


def score_vectors(blob):
    """One score per class of what a score blob holds: N x C, averaged over any places."""
    return _by_class(blob).mean(axis=2)


def one_hot(shape, classes):
    """The derivative of one score of each row with respect to a score blob.

    Parameters
    ----------
    shape : tuple
        Of the score blob: N x C, or N x C x h x w, where a score is the mean over places.
    classes : list of (int or None)
        One per row; None for a row of zeros.

    Returns
    -------
    numpy.ndarray
        float32 of that shape.
    """
    seed = np.zeros(shape, np.float32)
    rows = _by_class(seed)
    for row, index in zip(rows, classes):
        if index is not None:
            row[index] = 1.0 / rows.shape[2]
    return seed


def to_probabilities(scores, link):
    """What the net's own last layer makes of a vector of scores; None if it has none such."""
    if link == "softmax":
        powers = np.exp(scores - scores.max())
        return powers / powers.sum()
    if link == "sigmoid":
        return np.exp(-np.logaddexp(0, -scores))
    return None


def chosen(scores, classes):
    """The classes meant, in order, each once.

    Parameters
    ----------
    scores : numpy.ndarray
        One per class.
    classes : sequence of int or Top

    Returns
    -------
    list of int

    Raises
    ------
    InputError
        A class beyond the scores, or scores that are no numbers.
    """
    if not np.isfinite(scores).all():
        raise InputError("the scores hold NaN or infinity; are weights, mean and scale right?")
    meant = []
    for one in classes:
        meant += ranking(scores)[:one.count] if isinstance(one, Top) else [one]
    return [labels.check(index, len(scores)) for index in dict.fromkeys(meant)]


def ranking(scores):
    """All classes, the highest score first; the first of equals goes first."""
    return np.argsort(-scores, kind="mergesort").tolist()


def _by_class(blob):
    """A view of a score blob as N x classes x places."""
    return blob.reshape(blob.shape[0], blob.shape[1] if blob.ndim > 1 else 1, -1)


def _attempt(function, *arguments):
    """What a function gives, or the InputError that it raises."""
    try:
        return function(*arguments)
    except InputError as error:
        return error
