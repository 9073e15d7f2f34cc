"""What a batch came to, logged to tools that follow experiments."""

import itertools
import os
import tempfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Tuple

import numpy as np

from caffe_gradcam.pictures import render
from caffe_gradcam.report import page, thumbnails
from caffe_gradcam.report.entries import ImageEntry
from caffe_gradcam.report.summary import Summary
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.report.output import Output

_SIDE = 320
_PARAMETERS = ("model", "prototxt_sha256", "weights_sha256", "engine", "precision")


def log_tensorboard(output: "Output", folder: str, step: int = 0, most: int = 64) -> None:
    """Log a batch for TensorBoard: accuracy and counts as scalars, overlays as images.

    Parameters
    ----------
    output : Output
    folder : str
        Of the logs.
    step : int
        The step of the training that the batch belongs to.
    most : int
        Images that are logged.

    Raises
    ------
    InputError
        torch or TensorBoard is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("logging for TensorBoard needs torch and tensorboard; run: pip install "
                         "torch tensorboard", "tensorboard") from None
    with SummaryWriter(folder) as writer:
        for name, value in numbers(output).items():
            writer.add_scalar(name, value, step)
        for entry, picture in itertools.islice(overlays(output), most):
            # TensorBoard groups images by what stands before the slash.
            writer.add_image(f"overlays/{entry.id}", picture[:, :, ::-1].copy(), step,
                             dataformats="HWC")


def log_mlflow(output: "Output", step: Optional[int] = None) -> None:
    """Log a batch to MLflow's active run: accuracy and counts as metrics, the model's hashes as
    parameters, and the report as an artifact.

    Parameters
    ----------
    output : Output
    step : int, optional
        The step of the training that the batch belongs to.

    Raises
    ------
    InputError
        MLflow is missing.
    """
    try:
        import mlflow
    except ImportError:
        raise InputError("logging to MLflow needs MLflow; run: pip install mlflow",
                         "mlflow") from None
    mlflow.log_metrics(numbers(output), step=step)
    depends = output.manifest.get("rows_depend_on")
    values: Dict[str, Any] = depends if isinstance(depends, dict) else {}
    mlflow.log_params({name: values[name] for name in _PARAMETERS if values.get(name)})
    with tempfile.TemporaryDirectory(prefix="caffe-gradcam-") as folder:
        side = page.side_for(min(output.size(), page.MOST_ON_PAGE))
        page.write(os.path.join(folder, "report.html"), output.report, output.entries(side))
        mlflow.log_artifacts(folder, "caffe-gradcam")


def numbers(output: "Output") -> Dict[str, float]:
    """Counts, and the accuracy where true classes are known."""
    summary = Summary.of(output.entries())
    values = {f"images/{status}": float(count) for status, count in summary.statuses.items()}
    accuracy = summary.accuracy
    if accuracy.total:
        low, high = accuracy.interval
        values.update({"accuracy": accuracy.value, "accuracy_low": low, "accuracy_high": high})
    return values


def overlays(output: "Output") -> Iterator[Tuple[ImageEntry, np.ndarray]]:
    """The images that have a picture and a map, with the overlay of the first map: h x w x 3
    uint8, blue first."""
    import cv2

    for entry in output.entries(_SIDE):
        heat = next((shown.heat for shown in entry.maps if shown.heat is not None), None)
        if entry.picture is None or heat is None:
            continue
        image = thumbnails.from_jpeg(entry.picture)
        heatmap = cv2.resize(heat.astype(np.float32) / 255, image.shape[1::-1],
                             interpolation=cv2.INTER_LINEAR)
        yield entry, render.overlay(image, heatmap)
