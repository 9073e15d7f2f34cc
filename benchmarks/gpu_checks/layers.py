"""Every layer type of the torch engine, alone, against the same layer on the CPU."""

import os
from typing import Any, Dict, Tuple

import numpy as np
from layer_cases import CASES, NO_BACKWARD, OTHER_CASES

from caffe_gradcam.engines import NetToRun, Running, open_engine
from caffe_gradcam.engines.torch import LAYERS, families  # noqa: F401  (families registers)
from gpu_checks.layer_nets import Case, LayerNet, layer_net, layer_weights
from gpu_checks.parity import BACKWARD, FORWARD, judge
from gpu_checks.product import relative_error
from gpu_checks.report import Clock, Failed, OutOfTime, Report
from gpu_checks.setting import Setting
from prototxt_tools import weights
from prototxt_tools.errors import EngineError
from prototxt_tools.net.net import Net

# These compute boxes in NumPy, outside the device whichever it is.
ON_THE_HOST = {"DetectionOutput", "PriorBox", "PriorBoxClustered", "Proposal",
               "YoloDetectionOutput", "Yolov3DetectionOutput"}


def layers(setting: Setting, report: Report) -> None:
    """Each case forward and back: first one of each type, then the others while there is time."""
    cases: Dict[str, Any] = {**OTHER_CASES, **CASES}
    first = {case[0]: name for name, case in reversed(list(cases.items()))}
    missing = sorted(set(LAYERS) - set(first) - ON_THE_HOST)
    if missing:
        raise Failed(f"there is no case of layer type {', '.join(missing)}")
    names = list(first.values())
    names += [] if setting.is_dry else [name for name in cases if name not in names]
    worst: Dict[str, Tuple[float, str]] = {"forward": (0.0, ""), "gradient": (0.0, "")}
    clock = Clock(setting.seconds)
    for index, name in enumerate(names):
        if clock.left < 0:
            raise OutOfTime(f"{len(names) - index} of {len(names)} cases were not run")
        forward, backward = errors(setting, name, cases[name])
        for way, error in (("forward", forward), ("gradient", backward)):
            worst[way] = max(worst[way], (error, name))
        judge(name, {"the top": forward}, FORWARD)
        judge(name, {"the gradient": backward}, BACKWARD)
    report.number("types", len(first))
    report.number("cases", len(names))
    for way, (error, name) in worst.items():
        report.number(f"worst {way}, of {name}", error)


def errors(setting: Setting, name: str, case: Case) -> Tuple[float, float]:
    """The largest relative error of a case's tops, and of its gradients."""
    kind = case[0]
    if kind == "Silence":
        return _silence(setting), 0.0
    net = layer_net(name, case)
    path = os.path.join(setting.folder, "layer.caffemodel")
    weights.save(path, layer_weights(net))
    skips = kind in NO_BACKWARD
    reference = _run(net, path, "cpu", skips)
    tested = _run(net, path, setting.device, skips)
    worst = [0.0, 0.0]
    for way in (0, 1):
        if reference[way].keys() != tested[way].keys():
            raise Failed(f"{name}: gradients reach {sorted(reference[way])} on the CPU and "
                         f"{sorted(tested[way])} on {setting.device}")
        for key, value in reference[way].items():
            worst[way] = max(worst[way], relative_error(tested[way][key], value))
    return worst[0], worst[1]


def _run(net: LayerNet, path: str, device: str, skips_backward: bool) -> Tuple[
        Dict[str, np.ndarray], Dict[str, np.ndarray]]:
    """Tops; and, by (top, bottom), the gradients that get there."""
    reached = {}
    random = np.random.RandomState(7)
    with open_engine(NetToRun(net.text, path, net.scores, net.targets),
                     Running(engine="torch", device=device)) as engine:
        values = engine.forward(net.inputs, net.scores)
        for score in [] if skips_backward else net.scores:
            seed = np.asarray(random.standard_normal(values[score].shape), np.float32)
            for target in net.targets:
                try:
                    gradient = engine.backward(score, seed, [target])[target]
                except EngineError as error:
                    if "no gradient" not in str(error):
                        raise
                else:
                    reached[f"{score} to {target}"] = gradient
    return values, reached


def _silence(setting: Setting) -> float:
    """The engine leaves out a layer without a top, so its function is called."""
    import torch

    message = Net.parse('layer { name: "it" type: "Silence" bottom: "b" }').layers[0].message
    tops = LAYERS["Silence"](message, [torch.ones(2, 3, device=setting.device)], [])
    return float(len(tops))
