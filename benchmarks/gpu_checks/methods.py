"""All methods, and what can be asked of a net: on the device and on the CPU."""

from typing import Any, Dict, List

import numpy as np

from gpu_checks import product
from gpu_checks.parity import BACKWARD, judge
from gpu_checks.report import Failed, Report
from gpu_checks.setting import Setting

# Maps of the input pass every rectifier on their way down (see ``parity.RECTIFIED``), and those of
# reruns are differences of nearly equal scores: rounding weighs more there than at the target.
LOOSE = 1e-2
SAMPLES = 4
# Methods that need a net with one product behind a global average, as GoogLeNet has.
POOLED = ("cam",)
# Of models/digits: the target, and blobs below it.
TARGETS = ("branches/concat", "conv3", "conv2")
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
            with product.explainer(model, device, methods=names, samples=SAMPLES) as explainer:
                maps.append(by_name(explainer.explain_prepared(ready, [1])))
        for name in names:
            error = product.relative_error(maps[1][name], maps[0][name])
            report.row(TITLE, ["method", "net", "error"], [name, net, error])
            judge(name, {"the map": error}, limit_of(name))
    report.number("methods", sum(len(names) for _, names in groups))


def limit_of(name: str) -> float:
    """How far a method's map may be from the CPU's."""
    method = product.METHODS[name]
    return LOOSE if method.at_input or method.cost in ("head", "net") else BACKWARD


def by_name(results: List[Any]) -> Dict[str, np.ndarray]:
    """Method -> its maps of all photographs."""
    for result in results:
        if isinstance(result, Exception):
            raise Failed(str(result))
    names = [explanation.method for explanation in results[0].explanations]
    return {name: np.stack([result.explanations[index].cam for result in results])
            for index, name in enumerate(names)}


def questions(setting: Setting, report: Report) -> None:
    """Several targets at once, several classes one after the other, and the guided rules."""
    model = product.load(setting, "digits")
    for title, function, targets, limit in (
            ("targets and classes", _of_targets, list(TARGETS), BACKWARD),
            ("rules", _of_rules, model.targets + list(model.inputs), LOOSE)):
        gradients = []
        for device in ("cpu", setting.device):
            with product.engine(model, device, targets=targets) as engine:
                gradients.append(function(engine, model, targets))
        report.number("gradients of " + title, len(gradients[0]))
        error, name = max((product.relative_error(gradients[1][name], value), name)
                          for name, value in gradients[0].items())
        report.number("the worst, {}".format(name), error)
        judge(name, {"the gradient": error}, limit)


def _of_targets(engine: Any, model: Any, targets: List[str]) -> Dict[str, np.ndarray]:
    """The gradients of two classes, one and the other, at all targets."""
    scores = engine.forward(product.inputs(model, 2), [model.score])[model.score]
    gradients = {}
    for class_index in (0, scores.shape[1] - 1):
        seed = product.one_hot(scores, [class_index, scores.shape[1] // 2])
        for target, gradient in engine.backward(model.score, seed, targets).items():
            gradients["class {} at {}".format(class_index, target)] = gradient
    return gradients


def _of_rules(engine: Any, model: Any, targets: List[str]) -> Dict[str, np.ndarray]:
    """The gradients by each rule, at the target and at the input."""
    scores = engine.forward(product.inputs(model, 2), [model.score])[model.score]
    seed = product.one_hot(scores, [3, 4])
    return {"{} at {}".format(rule, blob): gradient
            for rule in ("gradient", "guided", "deconvnet")
            for blob, gradient in engine.backward(model.score, seed, targets, rule=rule).items()}
