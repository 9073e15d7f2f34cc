"""Every blob, gradient and raw map against the same engine on the CPU."""

from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from gpu_checks import product
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting

FORWARD, BACKWARD = 1e-5, 1e-4
# Below the target, a rectifier whose input is 0 apart from rounding may be open on one device and
# closed on the other; a single such cell among 40,000 makes a difference of 5e-3. Two of torch's
# convolutions for CPUs differ as much at the input of ResNet-50, GoogLeNet and VGG-16.
RECTIFIED = 3e-2
TITLE = "Parity with the CPU, fp32, relative L2 distance"
COLUMNS = ["net", "blobs", "worst blob", "its error", "gradient at the layer",
           "raw map", "gradients at all blobs under 1e-4", "worst of these"]


@dataclass(frozen=True, eq=False)
class Answer:
    """What an engine computes for a batch, and the classes at which the gradients begin."""

    values: Dict[str, np.ndarray]
    gradients: Dict[str, np.ndarray]
    cams: np.ndarray
    classes: List[int]


def net(setting: Setting, report: Report, name: str) -> None:
    """All blobs of a net, the gradient at its layer, the raw Grad-CAM, and all gradients."""
    model = product.load(setting, name)
    blobs, inputs = product.blobs_of(model), product.inputs(model, 1 if setting.is_dry else 2)
    with product.engine(model, "cpu") as engine:
        reference = answer(model, engine, blobs, inputs)
    with product.engine(model, setting.device) as engine:
        tested = answer(model, engine, blobs, inputs, reference.classes)
    errors = {blob: product.relative_error(tested.values[blob], reference.values[blob])
              for blob in blobs}
    worst, layer = max(errors, key=lambda blob: errors[blob]), model.layers[0]
    gradient = product.relative_error(tested.gradients[layer], reference.gradients[layer])
    cam = product.relative_error(tested.cams, reference.cams)
    everywhere = _gradients_everywhere(setting, model, inputs, reference.classes)
    lowest = max(everywhere, key=lambda blob: everywhere[blob])
    close = sum(error < BACKWARD for error in everywhere.values())
    report.row(TITLE, COLUMNS, [
        name, len(blobs), worst, errors[worst], gradient, cam,
        f"{close} of {len(everywhere)}", everywhere[lowest]])
    judge(name, {"blob " + worst: errors[worst]}, FORWARD)
    judge(name, {"the gradient at " + layer: gradient, "the raw map": cam}, BACKWARD)
    judge(name, {"the gradient at " + lowest: everywhere[lowest]}, RECTIFIED)


def _gradients_everywhere(setting: Setting, model: product.LoadedModel,
                          inputs: Dict[str, np.ndarray], classes: List[int]) -> Dict[str, float]:
    """The error of the gradient at every blob of maps, and at the input."""
    targets = product.spatial_blobs(model) + list(model.inputs)
    gradients = []
    for device in ("cpu", setting.device):
        with product.engine(model, device, targets=targets) as engine:
            scores = engine.forward(inputs, [model.score])[model.score]
            gradients.append(engine.backward(
                model.score, product.one_hot(scores, classes), targets))
    return {target: product.relative_error(gradients[1][target], gradients[0][target])
            for target in targets}


def answer(model: product.LoadedModel, engine: product.Engine, blobs: List[str],
           inputs: Dict[str, np.ndarray], classes: Optional[List[int]] = None) -> Answer:
    """Run a batch forward, and back from some classes: by default the best one of each row."""
    layer = model.layers[0]
    values = engine.forward(inputs, blobs)
    classes = classes or product.best_classes(values[model.score])
    seed = product.one_hot(values[model.score], classes)
    gradients = engine.backward(model.score, seed, model.layers)
    return Answer(values, gradients, product.grad_cam(values[layer], gradients[layer]), classes)


def judge(name: str, errors: Dict[str, float], limit: float) -> None:
    """Raise Failed where an error is not below its limit; NaN never is."""
    for what, error in errors.items():
        if not error < limit:
            raise Failed(f"{name}: {what} is off by {error:.2g}; the limit is {limit:.0e}")
