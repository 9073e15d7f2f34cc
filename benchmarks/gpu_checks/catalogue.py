"""All checks, the most telling first, with limits for a card of the size of an H100."""

import dataclasses
import importlib.util
from typing import Callable, List, Optional, Tuple

from gpu_checks.setting import LEARNED, Check, Setting

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
# Those that a dry run on the CPU measures.
DRY_PRECISIONS = ("fp32", "bf16")
# The machine of a dry run may be busy with other work.
PATIENCE = 4
Reason = Callable[[Setting], Optional[str]]
PARITY_NETS = ("resnet50", "googlenet", "vgg16", "caffenet")


def checks(is_dry: bool) -> List[Check]:
    """The checks of a run.

    Parameters
    ----------
    is_dry : bool
        Whether to run on the CPU with tiny sizes.
    """
    of_torch = _parity() + _rest_of_the_engine(is_dry) + _batch_rules() + _speed(is_dry)
    all_checks = [dataclasses.replace(check, reason_to_skip=_first_reason(
        _without_torch, check.reason_to_skip)) for check in of_torch] + _caffe(is_dry)
    return [dataclasses.replace(check, limit=PATIENCE * check.limit)
            for check in all_checks] if is_dry else all_checks


def _first_reason(*reasons: Optional[Reason]) -> Reason:
    """The first reason that there is to skip a check."""
    def reason(setting: Setting) -> Optional[str]:
        sentences = [find(setting) for find in reasons if find is not None]
        return next((sentence for sentence in sentences if sentence), None)
    return reason


def prepare(selected: List[Check]) -> List[Check]:
    """The check that writes the nets that others need; an empty list if they need none."""
    names = list(dict.fromkeys(name for check in selected for name in check.nets))
    if not names:
        return []
    # The largest first, since each is written by a single core.
    names.sort(key=["vgg16", "caffenet", "resnet50", "googlenet", "squeezenet"].index)
    return [Check("prepare", "gpu_checks.nets:prepare", 60, True, {"names": names})]


def _parity() -> List[Check]:
    function = "gpu_checks.parity:net"
    return [
        Check("parity-squeezenet", function, 30, arguments={"name": "learned"},
              reason_to_skip=_without_weights),
        Check("parity-digits", function, 30, arguments={"name": "digits"}),
    ] + [Check("parity-" + name, function, 40, arguments={"name": name}, nets=(name,))
         for name in PARITY_NETS]


def _rest_of_the_engine(is_dry: bool) -> List[Check]:
    compared = ("googlenet",) if is_dry else PARITY_NETS
    checks = [
        Check("layers", "gpu_checks.layers:layers", 40),
        Check("methods", "gpu_checks.methods:methods", 40, nets=("googlenet",)),
        Check("questions", "gpu_checks.methods:questions", 30),
    ]
    for name in PRECISIONS[1:]:
        checks.append(Check(
            "precision-" + name, "gpu_checks.precision:precision", 40,
            arguments={"name": name, "nets": ["digits", "learned"] + list(compared)},
            nets=compared, reason_to_skip=None if name in DRY_PRECISIONS else _without_card))
    return checks


def _batch_rules() -> List[Check]:
    module = "gpu_checks.batch_rules"
    return [
        Check("killed", module + ":killed", 60),
        Check("doctor", "gpu_checks.doctor:doctor", 40),
        Check("device", module + ":wrong_device", 20),
        Check("memory", module + ":out_of_memory", 25, True, nets=("resnet50",)),
    ]


def _speed(is_dry: bool) -> List[Check]:
    module, precisions = "gpu_checks.speed", list(DRY_PRECISIONS if is_dry else PRECISIONS)

    def net(name: str, limit: float, count: int = len(precisions)) -> Check:
        return Check("speed-" + name, module + ":net", limit, True,
                     {"name": name, "precisions": precisions[:count]}, (name,))

    runs: List[Tuple[str, str, int, int]] = [("googlenet", "fp32", 2, 16)] if is_dry else [
        ("resnet50", "fp32", 64, 8000), ("resnet50", "bf16", 256, 16384)]
    fewer = 1 if is_dry else len(precisions)
    few = ("fp32",) if is_dry else ("fp32", "bf16")
    return [
        net("resnet50", 32),
        Check("goal", "gpu_checks.goal:goal", 30, True, {
            "name": "googlenet" if is_dry else "resnet50", "precisions": few},
            ("googlenet" if is_dry else "resnet50",)),
        Check("decoding", "gpu_checks.decoding:decoding", 25, True, {
            "name": "googlenet" if is_dry else "resnet50"},
            ("googlenet" if is_dry else "resnet50",), _without_torchvision),
        Check("pipeline", "gpu_checks.pipeline:pipeline", 50, True, {"runs": runs},
              tuple(run[0] for run in runs)),
        Check("profile", module + ":profile", 25, True, {"precisions": few}, ("resnet50",)),
        net("vgg16", 36, fewer), net("squeezenet", 22, fewer), net("googlenet", 28, fewer),
        Check("layout", module + ":layout", 15, True, {"precisions": few}, ("resnet50",)),
        Check("library", module + ":library", 20, True, {"nets": ["resnet50"]}, ("resnet50",),
              _without_library),
    ]


def _caffe(is_dry: bool) -> List[Check]:
    module, names = "gpu_checks.caffe", ["googlenet"] if is_dry else ["resnet50", "googlenet"]
    return [Check("caffe-layers", module + ":layers", 90, reason_to_skip=_without_caffe)] + [
        Check("caffe-parity-" + name, module + ":net", 60, arguments={"name": name},
              nets=(name,), reason_to_skip=_without_caffe) for name in names
    ] + [Check("caffe-speed-" + name, module + ":speed", 60, True, {"name": name}, (name,),
               _without_caffe) for name in names]


def _without_weights(setting: Setting) -> Optional[str]:
    if setting.learned:
        return None
    return "there are no learned weights: --models names no folder that holds " + LEARNED


def _without_card(setting: Setting) -> Optional[str]:
    return "the CPU does not compute in this precision" if setting.device == "cpu" else None


def _without_library(setting: Setting) -> Optional[str]:
    if importlib.util.find_spec("pytorch_grad_cam"):
        return None
    return "pytorch-grad-cam is not installed"


def _without_torchvision(setting: Setting) -> Optional[str]:
    return None if importlib.util.find_spec("torchvision") else "torchvision is not installed"


def _without_torch(setting: Setting) -> Optional[str]:
    return None if importlib.util.find_spec("torch") else "torch is not installed"


def _without_caffe(setting: Setting) -> Optional[str]:
    if setting.caffe_python:
        return None
    if setting.caffe is None:
        return "pycaffe is not installed, and --caffe names no folder that holds it"
    return f"{setting.caffe} holds neither the package caffe nor a bundle of it"
