"""All methods, layers, classes and rules, on the device and on the CPU."""

from typing import Dict, List

import numpy as np

from gpu_checks import product
from gpu_checks.parity import BACKWARD, judge
from gpu_checks.report import Report
from gpu_checks.setting import Setting

# Gradients at the input have passed every rectifier (see ``parity.RECTIFIED``), and methods that
# run the net again take differences of nearly equal scores: rounding matters more there.
LOOSE = 1e-2
SAMPLES = 4
# Methods that need a net with a single product behind a global average, such as GoogLeNet.
POOLED = ("cam",)
# Of models/digits: its layer, and layers below it.
LAYERS = ("branches/concat", "conv3", "conv2")
TITLE = "Methods against the CPU, relative L2 distance of the raw maps"


def methods(setting: Setting, report: Report) -> None:
    """Every method once, on models/digits or, where that net does not suit it, on GoogLeNet."""
    groups = [("digits", [name for name in product.METHODS if name not in POOLED]),
              ("googlenet", list(POOLED))]
    for net, names in groups:
        model = product.load(setting, net)
        ready = product.prepared(model, 1 if setting.is_dry else 2)
        maps = []
        for device in ("cpu", setting.device):
            explaining = product.Explaining(tuple(names), samples=SAMPLES)
            with product.explainer(model, device, explaining=explaining) as explainer:
                outcomes = explainer.explain_prepared(ready, [1])
            maps.append({name: product.cams(outcomes, index)
                         for index, name in enumerate(names)})
        for name in names:
            error = product.relative_error(maps[1][name], maps[0][name])
            report.row(TITLE, ["method", "net", "error"], [name, net, error])
            judge(name, {"the map": error}, limit_of(name))
    report.number("methods", sum(len(names) for _, names in groups))


def limit_of(name: str) -> float:
    """How far a method's map may be from the CPU's."""
    method = product.METHODS[name]
    return LOOSE if method.at_input or method.cost in ("head", "net") else BACKWARD


def questions(setting: Setting, report: Report) -> None:
    """Several layers at once, several classes one after the other, and the guided rules."""
    model = product.load(setting, "digits")
    for title, function, targets, limit in (
            ("layers and classes", _of_classes, list(LAYERS), BACKWARD),
            ("rules", _of_rules, list(model.layers) + list(model.inputs), LOOSE)):
        gradients = []
        for device in ("cpu", setting.device):
            with product.engine(model, device, targets=targets) as engine:
                gradients.append(function(engine, model, targets))
        report.number("gradients of " + title, len(gradients[0]))
        error, name = max((product.relative_error(gradients[1][name], value), name)
                          for name, value in gradients[0].items())
        report.number(f"the worst, {name}", error)
        judge(name, {"the gradient": error}, limit)


def _of_classes(engine: product.Engine, model: product.LoadedModel, targets: List[str]
                ) -> Dict[str, np.ndarray]:
    """The gradients of the first class and of the last, at all targets."""
    scores = engine.forward(product.inputs(model, 2), [model.score])[model.score]
    gradients = {}
    for class_index in (0, scores.shape[1] - 1):
        seed = product.one_hot(scores, [class_index, scores.shape[1] // 2])
        for target, gradient in engine.backward(model.score, seed, targets).items():
            gradients[f"class {class_index} at {target}"] = gradient
    return gradients


def _of_rules(engine: product.Engine, model: product.LoadedModel, targets: List[str]
              ) -> Dict[str, np.ndarray]:
    """The gradients by each rule, at the layer and at the input."""
    scores = engine.forward(product.inputs(model, 2), [model.score])[model.score]
    seed = product.one_hot(scores, [3, 4])
    return {f"{rule} at {blob}": gradient
            for rule in ("gradient", "guided", "deconvnet")
            for blob, gradient in engine.backward(model.score, seed, targets, rule=rule).items()}
