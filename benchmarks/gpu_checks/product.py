"""What the checks use of caffe_gradcam."""

import os
import pathlib
import sys
from typing import Any, Dict, List, Sequence, Tuple

import definitions
import numpy as np

from caffe_gradcam.engines import Engine, NetToRun, Running, open_engine
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.memory import SmallerBatch
from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.explaining.methods.gradients import grad_cam
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring.metrics.similarity import rank_correlation
from caffe_gradcam.model import images
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared, prepare
from gpu_checks import nets
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting
from prototxt_tools import shapes
from prototxt_tools.errors import InputError, Outcome, OutOfMemory
from prototxt_tools.net.net import Net

__all__ = ["DIGITS", "METHODS", "Engine", "Explainer", "Explaining", "InputError", "LoadedModel",
           "OutOfMemory", "Outcome", "Prepared", "SmallerBatch", "grad_cam", "rank_correlation"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits"
_EXPLAINING = Explaining()


def load(setting: Setting, name: str) -> LoadedModel:
    """A model: "digits", "learned" (SqueezeNet v1.1 of --models) or a key of ``nets.NETS``."""
    if name == "digits":
        return LoadedModel.load(DIGITS)
    if name == "learned":
        assert setting.learned is not None  # The catalogue skips checks that need it.
        return LoadedModel.load(setting.learned)
    folder = os.path.join(setting.nets, name)
    if not os.path.exists(os.path.join(folder, "weights.caffemodel")):
        raise Failed(f"the check prepare has not written {name}")
    return LoadedModel.load(folder, score=nets.score_of(name), layers=nets.NETS[name].layers[:1],
                            mean="none")


def engine(model: LoadedModel, device: str, precision: str = "fp32",
           targets: Sequence[str] = ()) -> Engine:
    """An engine for a model, in this process."""
    return open_engine(
        NetToRun(model.prototxt, model.weights, (model.score,), tuple(targets) or model.layers),
        Running(engine="torch", device=device, precision=precision, isolated=False))


def explainer(model: LoadedModel, device: str, precision: str = "fp32",
              explaining: Explaining = _EXPLAINING) -> Explainer:
    """An Explainer for a model, its engine in this process."""
    return Explainer.open(model, explaining, Running(
        engine="torch", device=device, precision=precision, isolated=False))


def prepared(model: LoadedModel, count: int) -> List["Outcome[Prepared]"]:
    """Images as ``Explainer.explain_prepared`` takes them."""
    return [Outcome.of(prepare, image, model.inputs) for image in images_for(model, count)]


def images_for(model: LoadedModel, count: int) -> List[np.ndarray]:
    """The scenes of a model, repeated as needed; soft noise for a model that has none."""
    folder = pathlib.Path(model.path).parent / "scenes"
    paths = sorted(folder.glob("*.png")) if folder.is_dir() else []
    different = [images.read(str(path)) for path in paths] or [noise(seed) for seed in range(8)]
    return [different[index % len(different)] for index in range(count)]


def noise(seed: int, height: int = 375, width: int = 500) -> np.ndarray:
    """Soft coloured noise, as large as ImageNet's photographs."""
    import cv2

    coarse = np.random.RandomState(seed).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def inputs(model: LoadedModel, count: int) -> Dict[str, np.ndarray]:
    """What an engine's ``forward`` takes: images for digits, random numbers for other nets."""
    if pathlib.Path(model.path).parent == DIGITS:
        blobs = [outcome.unwrap().blobs for outcome in prepared(model, count)]
        return {name: np.concatenate([values[name] for values in blobs]) for name in model.inputs}
    return {name: definitions.random_input((count,) + tuple(model.shapes[name][1:]))
            for name in model.inputs}


def has_arithmetic(device: str, precision: str) -> bool:
    """Whether a device computes in a precision; otherwise the engine goes on in fp32."""
    import torch

    from caffe_gradcam.engines.torch.devices import usable_precision

    return usable_precision(torch.device(device), precision) == precision


def usable(setting: Setting, report: Report, precisions: Sequence[str]) -> List[str]:
    """The precisions in which the device computes; the report names the others."""
    missing = [name for name in precisions if not has_arithmetic(setting.device, name)]
    if missing:
        report.number("not measured, since this device has no arithmetic in it",
                      ", ".join(missing))
    return [name for name in precisions if name not in missing]


def cams(outcomes: Sequence["Outcome[Any]"], index: int = 0) -> np.ndarray:
    """The raw maps of an explanation of each image; Failed where an image has none."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise Failed(str(outcome.error))
    return np.stack([outcome.unwrap().explanations[index].cam for outcome in outcomes])


def blobs_of(model: LoadedModel) -> List[str]:
    """Every blob that the score depends on, in the order of the net, without the inputs."""
    layers = model.graph.net.layers
    indices = sorted(model.graph.ancestors([model.score]))
    names = [top for index in indices for top in layers[index].tops]
    return [name for name in dict.fromkeys(names) if name not in model.inputs]


def spatial_blobs(model: LoadedModel) -> List[str]:
    """The blobs of maps on whose final value the score depends."""
    readers = model.graph.ancestors([model.score])
    return [blob for blob in blobs_of(model) if len(model.shapes[blob]) == 4
            and blob != model.score and readers.intersection(model.graph.final_readers(blob))]


def shapes_of(text: str) -> Dict[str, Tuple[int, ...]]:
    """Blob -> its shape, of a net's definition."""
    return dict(shapes.infer(Net.parse(text)))


def one_hot(scores: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """The gradient to begin with: 1 at a class of each row."""
    seed = np.zeros_like(scores)
    for row, class_index in enumerate(classes):
        seed[row].reshape(scores.shape[1], -1)[class_index] = 1
    return seed


def best_classes(scores: np.ndarray) -> List[int]:
    """The class with the highest score in each row."""
    return [int(row.reshape(row.shape[0], -1).mean(axis=1).argmax()) for row in scores]


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    """Relative L2 distance; infinite where shapes differ or a value is not finite."""
    if value.shape != reference.shape or not np.isfinite(value).all():
        return float("inf")
    difference = np.linalg.norm((value.astype(np.float64) - reference).ravel())
    return float(difference / (np.linalg.norm(reference.astype(np.float64).ravel()) or 1.0))


def command(*words: Any) -> List[str]:
    """``caffe-gradcam`` as a command line."""
    return [sys.executable, "-m", "caffe_gradcam"] + [str(word) for word in words]
