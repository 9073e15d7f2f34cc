"""The nets that the checks run, with weights that are the same on every machine."""

import os
import pathlib
import re
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Dict, List, NamedTuple, Tuple

import definitions
import nets as measured

from gpu_checks.report import Report
from gpu_checks.setting import Setting
from prototxt_tools import weights

# A dry run divides the number of channels and outputs of each layer by this.
SHRINK = 16


class CheckedNet(NamedTuple):
    """A net of benchmarks/nets.py: its key there, and its last layers with maps, the last first."""

    key: str
    layers: Tuple[str, ...]


NETS = {
    "caffenet": CheckedNet("CaffeNet", ("conv5", "conv4", "conv3")),
    "googlenet": CheckedNet("GoogLeNet", (
        "inception_5b/output", "inception_5a/output", "inception_4e/output")),
    "resnet50": CheckedNet("ResNet-50", ("res5c", "res5b", "res5a")),
    "vgg16": CheckedNet("VGG-16", ("conv5_3", "conv5_2", "conv5_1")),
    "squeezenet": CheckedNet("SqueezeNet v1.1", ("fire9/concat", "fire8/concat", "fire7/concat")),
}


def score_of(name: str) -> str:
    """The score blob of a net."""
    return measured.NETS[NETS[name].key][1]


def text_of(name: str, is_dry: bool) -> str:
    """The definition of a net, with few channels in a dry run."""
    text = measured.NETS[NETS[name].key][0]
    return re.sub(r"num_output: (\d+)", _fewer, text) if is_dry else text


def _fewer(match: Any) -> str:
    return f"num_output: {max(1, int(match.group(1)) // SHRINK)}"


def prepare(setting: Setting, report: Report, names: List[str]) -> None:
    """Write a model folder for each net, on all cores."""
    jobs = [(name, setting.nets, setting.is_dry) for name in names]
    cores = min(len(jobs), len(os.sched_getaffinity(0)))
    if setting.is_dry:
        times = list(map(_write, jobs))
    else:
        with ProcessPoolExecutor(cores) as pool:
            times = list(pool.map(_write, jobs))
    for name, seconds in zip(names, times):
        report.number(name + ", s", round(seconds, 2))


def _write(job: Tuple[str, str, bool]) -> float:
    name, nets, is_dry = job
    started = time.monotonic()
    folder, text = pathlib.Path(nets) / name, text_of(name, is_dry)
    folder.mkdir(parents=True)
    values: Dict[str, Any] = definitions.random_weights(text)
    (folder / "deploy.prototxt").write_text(text)
    weights.save(str(folder / "weights.caffemodel"), values)
    return time.monotonic() - started
