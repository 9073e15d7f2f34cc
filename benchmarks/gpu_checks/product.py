"""What the checks use of caffe_gradcam, in one place."""

import os
import pathlib
import sys
from typing import Any, Dict, List, Sequence

import definitions
import numpy as np

from caffe_gradcam import images
from caffe_gradcam.engines import OutOfMemory, open_engine
from caffe_gradcam.explain import Explainer
from caffe_gradcam.memory import SmallerBatch
from caffe_gradcam.methods import METHODS
from caffe_gradcam.methods.gradients import grad_cam
from caffe_gradcam.metrics.similarity import rank_correlation
from caffe_gradcam.model import Model
from caffe_gradcam.preprocess import prepare
from gpu_checks import nets
from gpu_checks.report import Failed, Skipped
from gpu_checks.setting import Setting
from prototxt_tools.errors import InputError

__all__ = ["DIGITS", "METHODS", "InputError", "OutOfMemory", "SmallerBatch", "grad_cam",
           "rank_correlation"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits"


def load(setting: Setting, name: str) -> Model:
    """A model: "digits", "learned" (SqueezeNet v1.1 of --models) or a key of ``nets.NETS``."""
    if name == "digits":
        return Model.load(str(DIGITS))
    if name == "learned":
        return Model.load(setting.learned)
    folder = os.path.join(setting.nets, name)
    if not os.path.exists(os.path.join(folder, "weights.caffemodel")):
        raise Failed("the check prepare has not written {}".format(name))
    return Model.load(folder, score=nets.score_of(name), target=list(nets.NETS[name].targets[:1]),
                      mean="none")


def engine(model: Model, device: str, precision: str = "fp32", kind: str = "torch",
           targets: Sequence[str] = ()) -> Any:
    """An engine for a model, in this process."""
    return open_engine(kind, prototxt=model.prototxt, weights=model.weights, scores=[model.score],
                       targets=list(targets) or model.targets, device=device, precision=precision,
                       isolated=False)


def explainer(model: Model, device: str, precision: str = "fp32", kind: str = "torch",
              **options: Any) -> Explainer:
    """An Explainer for a model, its engine in this process."""
    return Explainer.open(model, kind, device=device, precision=precision, isolated=False,
                          **options)


def photographs(model: Model, count: int) -> List[np.ndarray]:
    """The scenes that come with a model, over and over; soft noise for one that has none."""
    folder = pathlib.Path(model.path).parent / "scenes"
    paths = sorted(folder.glob("*.png")) if folder.is_dir() else []
    shown = [images.read(str(path)) for path in paths] or [noise(seed) for seed in range(8)]
    return [shown[index % len(shown)] for index in range(count)]


def noise(seed: int, height: int = 375, width: int = 500) -> np.ndarray:
    """Soft coloured noise, as large as ImageNet's photographs."""
    import cv2

    coarse = np.random.RandomState(seed).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def prepared(model: Model, count: int) -> List[Any]:
    """Photographs as ``Explainer.explain_prepared`` takes them."""
    return [prepare(photograph, model.inputs) for photograph in photographs(model, count)]


def inputs(model: Model, count: int) -> Dict[str, np.ndarray]:
    """What an engine's ``forward`` takes: photographs for digits, random numbers for the rest."""
    if pathlib.Path(model.path).parent == DIGITS:
        ready = prepared(model, count)
        return {name: np.concatenate([one.blobs[name] for one in ready]) for name in model.inputs}
    return {name: definitions.random_input((count,) + tuple(model.shapes[name][1:]))
            for name in model.inputs}


def blobs_of(model: Model) -> List[str]:
    """Every blob that the score depends on, in the order of the net, without the inputs."""
    layers = model.graph.net.layers
    indices = sorted(model.graph.ancestors([model.score]))
    names = [top for index in indices for top in layers[index].tops]
    return [name for name in dict.fromkeys(names) if name not in model.inputs]


def spatial_blobs(model: Model) -> List[str]:
    """The blobs with places on whose final value the score depends."""
    readers = model.graph.ancestors([model.score])
    return [blob for blob in blobs_of(model) if len(model.shapes[blob]) == 4
            and blob != model.score and readers.intersection(model.graph.final_readers(blob))]


def one_hot(scores: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """The gradient to begin with: of one class for each row."""
    seed = np.zeros_like(scores)
    for row, class_index in enumerate(classes):
        seed[row].reshape(scores.shape[1], -1)[class_index] = 1
    return seed


def best_classes(scores: np.ndarray) -> List[int]:
    """The class with the highest score in each row."""
    return [int(row.reshape(row.shape[0], -1).mean(axis=1).argmax()) for row in scores]


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    """Relative L2 distance; infinite where shapes differ or a number is none."""
    if value.shape != reference.shape or not np.isfinite(value).all():
        return float("inf")
    difference = np.linalg.norm((value.astype(np.float64) - reference).ravel())
    return float(difference / (np.linalg.norm(reference.astype(np.float64).ravel()) or 1.0))


def command(*words: Any) -> List[str]:
    """``caffe-gradcam`` as a command line."""
    return [sys.executable, "-m", "caffe_gradcam"] + [str(word) for word in words]


def require_caffe(setting: Setting, kind: str) -> None:
    """Skip a check of the Caffe engine where pycaffe does not run on its device."""
    from caffe_gradcam.doctor.machine import is_right, probe

    if kind != "caffe":
        return
    outcome = probe(["engine", "caffe", setting.device])
    if not is_right(outcome):
        raise Skipped("pycaffe does not run on {}: {}".format(
            setting.device, outcome.words or "it computes wrong"))
