"""What is wrong with an installation, a model or its preprocessing, in plain words.

A check is a function that returns findings. ``examine`` runs those that apply: first the machine,
then the model's files, then the model at work.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.doctor.findings import Finding, error, exit_code, fine, warning
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError

__all__ = ["Finding", "examine", "examine_model", "exit_code"]


def examine(model: Optional[str] = None, images: Sequence[str] = (),
            weights: Optional[str] = None, device: str = "cpu",
            overrides: Optional[Dict[str, Any]] = None) -> List[Finding]:
    """Examine the machine and, if one is given, a model.

    Parameters
    ----------
    model : str, optional
        A model folder or a prototxt.
    images : sequence of str
        Files with images that the net should recognise.
    weights : str, optional
        A weights file, instead of the folder's.
    device : str
        "cpu", "cuda" or "cuda:N": where the engines are tried besides the CPU.
    overrides : dict, optional
        Keywords of ``Model.load``.
    """
    from caffe_gradcam.doctor import machine

    devices = ["cpu"] if device == "cpu" else ["cpu", device]
    findings, working = machine.examine(devices)
    if model is not None:
        findings += examine_model(model, images, weights, working, overrides)
    return findings


def examine_model(path: str, images: Sequence[str] = (), weights: Optional[str] = None,
                  working: Sequence[Tuple[str, str]] = (),
                  overrides: Optional[Dict[str, Any]] = None) -> List[Finding]:
    """Examine a model, on engines that are known to work.

    Parameters
    ----------
    path, images, weights, overrides
        As for :func:`examine`.
    working : sequence of (str, str)
        Engines with their devices; the first one runs everything, the others are compared with it.
    """
    from caffe_gradcam.doctor import net

    findings, model = net.examine(path, weights, overrides)
    readable, unreadable = _read(images)
    findings += unreadable
    has_error = any(finding.severity == "error" for finding in findings)
    if model is None or not working or has_error:
        return findings
    return findings + _at_work(model, readable, list(working))


def _at_work(model: LoadedModel, images: List[np.ndarray],
             working: List[Tuple[str, str]]) -> List[Finding]:
    """The model on the first engine that runs it, and the others compared with that one."""
    from caffe_gradcam.doctor import running

    findings: List[Finding] = []
    for position, (kind, device) in enumerate(working):
        try:
            with running.opened(model, kind, device) as engine:
                case = running.Case(model, engine, images or [running.made_up()], bool(images))
                return findings + _on_engine(case, working, position)
        except InputError as problem:
            last = position == len(working) - 1
            findings.append((error if last else warning)(
                "run", f"{kind} on {device}: {problem}",
                "prototxt-tools inspect shows the net" if last else "another engine is tried"))
    return findings


def _on_engine(case: Any, working: List[Tuple[str, str]], position: int) -> List[Finding]:
    from caffe_gradcam.doctor import preprocessing, running

    findings, is_sound = running.examine(case)
    findings.insert(0, fine("run", "{} on {} runs the net".format(*working[position])))
    if is_sound:
        findings += preprocessing.examine(case)
        findings += running.agreement(case, working[position + 1:], working[position])
    return findings


def _read(paths: Sequence[str]) -> Tuple[List[np.ndarray], List[Finding]]:
    """The images, and a finding for each file that cannot be read."""
    from caffe_gradcam.model import images

    readable, findings = [], []
    for path in paths:
        try:
            readable.append(images.read(path))
        except InputError as problem:
            findings.append(warning("image", str(problem), "leave it out"))
    return readable, findings
