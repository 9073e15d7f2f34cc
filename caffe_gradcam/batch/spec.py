"""What a run computes with: model, engine and questions, as values that any process can take."""

import hashlib

from caffe_gradcam.asking.questions import Against, At, Like, Probability, Top, parse
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.model import images
from caffe_gradcam.model.model import Model
from prototxt_tools.errors import InputError

_EXPLAINER = {"methods": ["grad-cam"], "samples": None, "gradient": "post",
              "placement": "centres", "fuse": None}


def make(model, weights=None, overrides=None, engine="auto", asking=None, explainer=None,
         **options):
    """A spec: a dict of plain values.

    Parameters
    ----------
    model, weights, overrides
        As for ``Model.load``.
    engine : str
    asking : dict
        ``classes``: texts as ``caffe_gradcam.asking.questions.parse`` reads them, asked of items
        that ask nothing of their own; ``like`` and ``cosine``: the path of an image, and how to
        compare; for nets with a map of scores ``at``: x, y, width, height, or ``mask``: a path;
        ``probability`` and ``counterfactual``: True to ask so. Nothing: the best class.
    explainer : dict
        Arguments of ``Explainer.open``: ``methods``, ``samples``, ``gradient``, ``placement``,
        ``fuse``.
    **options
        Of ``engines.open_engine``: ``precision``, ``trust``, ``allow_missing``, ``verbose``.
    """
    return {
        "model": str(model), "weights": None if weights is None else str(weights),
        "overrides": dict(overrides or {}),
        "asking": {name: value for name, value in (asking or {}).items() if value},
        "explainer": dict(_EXPLAINER, **explainer or {}),
        "engine": dict(options, kind=resolve_engine(engine)),
    }


def resolve_engine(engine):
    """The engine that "auto" is here."""
    import importlib.util

    if engine != "auto":
        return engine
    return "caffe" if importlib.util.find_spec("caffe") else "torch"


def load_model(spec):
    """The spec's Model."""
    return Model.load(spec["model"], spec["weights"], **spec["overrides"])


def open_explainer(spec, device):
    """The spec's Explainer, its engine in this very process."""
    options = dict(spec["engine"], **spec["explainer"])
    return Explainer.open(load_model(spec), options.pop("kind"), device=device, isolated=False,
                          **options)


def recipe(spec, model, threshold=None):
    """What the rows of an item depend on, for the manifest: JSON values."""
    engine = spec["engine"]
    return {
        "prototxt_sha256": _digest(model.path), "weights_sha256": _digest(model.weights),
        "model": model.name, "inputs": {name: _described(one)
                                        for name, one in model.inputs.items()},
        "score": model.score, "targets": list(model.targets), "engine": engine["kind"],
        "precision": engine.get("precision", "fp32"), "asking": spec["asking"],
        "explainer": spec["explainer"], "boxes": threshold,
    }


def sees_regions(model):
    """Whether a net gives a map of scores, so that it can be asked about a box as it is."""
    shape = model.shapes.get(model.score, ())
    return len(shape) == 4 and shape[2] * shape[3] > 1


class Asker:
    """Turns what is asked of an item into questions.

    Parameters
    ----------
    explainer : Explainer
        Runs the net on the image that others shall be like.
    asking : dict
        Of the spec.

    Raises
    ------
    InputError
        An unknown class, or an image that cannot be read.
    """

    def __init__(self, explainer, asking):
        self._model, self._asking = explainer.model, asking
        self._regions = sees_regions(self._model)
        self._mask = None
        if asking.get("mask"):
            self._mask = images.read(asking["mask"]).max(axis=2) > 127
        self._default = self._parsed(asking.get("classes") or [])
        if asking.get("like"):
            reference = explainer.score_blob(images.read(asking["like"]))
            self._default.append(Like(reference, bool(asking.get("cosine"))))
        self._default = self._default or [Top(1)]

    def __call__(self, asks, box):
        """The questions, from texts of the item's own and its box; raises InputError."""
        asked = self._parsed(asks) or self._default
        region = tuple(box) if box and self._regions else self._region()
        if region is not None:
            asked = [At(one, region) for one in asked]
        if self._asking.get("probability"):
            asked = [Probability(one) for one in asked]
        return [Against(one) for one in asked] if self._asking.get("counterfactual") else asked

    def _parsed(self, texts):
        return [parse(text, self._model.find_class) for text in texts]

    def _region(self):
        at = self._asking.get("at")
        return tuple(at) if at else self._mask


def _digest(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def _described(preprocessing):
    values = preprocessing._asdict()
    mean = values["mean"]
    if mean is not None:
        values["mean"] = [float(one) for one in mean.ravel()] if mean.size <= 4 else (
            "sha256:" + hashlib.sha256(mean.tobytes()).hexdigest())
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()}
