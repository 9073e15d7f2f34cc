"""What a run computes with: model, engine and questions, as values that any process can take."""

import dataclasses
import hashlib

from caffe_gradcam.asking.grammar import Asking
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.model.model import LoadedModel
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
        ``classes``: texts as ``caffe_gradcam.asking.grammar.parse`` reads them, asked of items
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
    return LoadedModel.load(spec["model"], spec["weights"], **spec["overrides"])


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
        "score": model.score, "targets": list(model.layers), "engine": engine["kind"],
        "precision": engine.get("precision", "fp32"), "asking": spec["asking"],
        "explainer": spec["explainer"], "boxes": threshold,
    }


def asking_of(spec):
    """The spec's Asking."""
    return Asking(**{name: tuple(value) if isinstance(value, list) else value
                     for name, value in spec["asking"].items()})


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
    values = dataclasses.asdict(preprocessing)
    mean = values["mean"]
    if mean is not None:
        values["mean"] = [float(one) for one in mean.ravel()] if mean.size <= 4 else (
            "sha256:" + hashlib.sha256(mean.tobytes()).hexdigest())
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()}
