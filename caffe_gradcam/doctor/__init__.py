"""What is wrong with an installation, a model or its pictures, in plain words.

A check is a function that gives findings. ``examine`` runs those that make sense: the machine
first, then the model's files, then the model at work.
"""

from caffe_gradcam.doctor.findings import Finding, error, exit_code, fine, warning
from prototxt_tools.errors import InputError

__all__ = ["Finding", "examine", "examine_model", "exit_code"]


def examine(model=None, images=(), weights=None, device="cpu", overrides=None):
    """Look at the machine and, if one is given, at a model.

    Parameters
    ----------
    model : str, optional
        A model folder or a prototxt.
    images : sequence of str
        Pictures that the net should know.
    weights : str, optional
        Instead of the folder's.
    device : str
        "cpu", "cuda" or "cuda:N": where the engines are tried besides the CPU.
    overrides : dict, optional
        Field -> value, for ``Model.load``.

    Returns
    -------
    list of Finding
    """
    from caffe_gradcam.doctor import machine

    devices = ["cpu"] if device == "cpu" else ["cpu", device]
    findings, working = machine.examine(devices)
    if model is not None:
        findings += examine_model(model, images, weights, working, overrides)
    return findings


def examine_model(path, images=(), weights=None, working=(), overrides=None):
    """Look at a model, on engines that are known to work.

    Parameters
    ----------
    path, images, weights, overrides
        As for :func:`examine`.
    working : sequence of (str, str)
        Engine and device; the first is the one that runs everything, the others are compared.

    Returns
    -------
    list of Finding
    """
    from caffe_gradcam.doctor import net

    findings, model = net.examine(path, weights, overrides)
    photographs, unread = _read(images)
    findings += unread
    if model is None or not working or any(one.severity == "error" for one in findings):
        return findings
    return findings + _at_work(model, photographs, list(working))


def _at_work(model, photographs, working):
    """The model on the first engine that runs it, and on the others against that one."""
    from caffe_gradcam.doctor import running

    findings = []
    for position, (kind, device) in enumerate(working):
        try:
            with running.opened(model, kind, device) as engine:
                case = running.Case(model, engine, photographs or [running.made_up()],
                                    bool(photographs))
                return findings + _on_engine(case, working, position)
        except InputError as problem:
            last = position == len(working) - 1
            findings.append((error if last else warning)(
                "run", f"{kind} on {device}: {problem}",
                "prototxt-tools inspect shows the net" if last else "another engine is tried"))
    return findings


def _on_engine(case, working, position):
    from caffe_gradcam.doctor import pictures, running

    findings, is_sound = running.examine(case)
    findings.insert(0, fine("run", "{} on {} runs the net".format(*working[position])))
    if is_sound:
        findings += pictures.examine(case)
        findings += running.agreement(case, working[position + 1:], working[position])
    return findings


def _read(paths):
    """Pictures, and a finding for each that cannot be read."""
    from caffe_gradcam.model import images

    photographs, findings = [], []
    for path in paths:
        try:
            photographs.append(images.read(path))
        except InputError as problem:
            findings.append(warning("picture", str(problem), "leave it out"))
    return photographs, findings
