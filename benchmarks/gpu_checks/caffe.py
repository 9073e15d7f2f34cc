"""Real Caffe: on the card against itself on the CPU, against torch on the card, and its speed."""

import importlib.util
import os
import subprocess
import sys
from typing import Any, Dict, List, Sequence

import numpy as np
from layer_cases import CASES, NO_BACKWARD

from gpu_checks import product
from gpu_checks.caffe_worker import Answer, Task, load, save
from gpu_checks.layer_nets import layer_net, layer_weights
from gpu_checks.parity import BACKWARD, FORWARD, judge
from gpu_checks.report import Clock, Failed, OutOfTime, Report
from gpu_checks.setting import Setting
from prototxt_tools import weights

TITLE = "Real Caffe, relative L2 distance"
COLUMNS = ["net", "compared", "blobs", "worst blob", "its error", "gradient at the layer",
           "raw map"]
SPEED_TITLE = "Real Caffe, images per second, arrays in and arrays out"
SPEED_COLUMNS = ["net", "batch", "forward", "explain", "explain / forward, time"]
# Seconds that a time is measured at most.
CELL = 0.8


def ask(setting: Setting, tasks: Sequence[Task]) -> List[Answer]:
    """Run tasks in a process of real Caffe.

    Raises
    ------
    Failed
        It ended without an answer, which Caffe does where it meets an error.
    """
    questions, answers = (os.path.join(setting.folder, name)
                          for name in ("caffe-tasks.npz", "caffe-answers.npz"))
    save(questions, list(tasks))
    result = subprocess.run([_python(setting), "-m", "gpu_checks.caffe_worker", questions, answers],
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    words = result.stderr.decode("utf-8", "replace")
    sys.stderr.write(words)
    if result.returncode:
        lines = [line for line in words.splitlines()
                 if line.startswith("F") or "Error" in line] or ["no message"]
        raise Failed(f"the process of Caffe ended with status {result.returncode}: {lines[-1]}")
    found: List[Answer] = load(answers, Answer)
    os.remove(questions)
    os.remove(answers)
    return found


def _python(setting: Setting) -> str:
    assert setting.caffe_python is not None  # The catalogue skips these checks without it.
    return setting.caffe_python


def layers(setting: Setting, report: Report) -> None:
    """Every layer type of stock Caffe forward and back, on the card and on the CPU."""
    types = set(_types(setting)) - {"Silence"}  # It has no top to compare.
    cases = {name: case for name, case in CASES.items() if case[0] in types}
    first = {case[0]: name for name, case in reversed(list(cases.items()))}
    names = list(first.values()) if setting.is_dry else list(cases)
    tasks: List[Task] = []
    for device in ("cpu", setting.device):
        for name in names:
            path = os.path.join(setting.folder, f"{len(tasks)}.caffemodel")
            tasks.append(_layer_task(name, path, device))
    answers = ask(setting, tasks)
    worst = {"forward": (0.0, ""), "gradient": (0.0, "")}
    for name, reference, tested in zip(names, answers, answers[len(names):]):
        for way, expected, values, limit in (
                ("forward", reference.values, tested.values, FORWARD),
                ("gradient", reference.gradients, tested.gradients, BACKWARD)):
            error = _largest_error(name, expected, values)
            worst[way] = max(worst[way], (error, name))
            judge(name, {f"the {way}": error}, limit)
    report.number("types", len(first))
    report.number("cases", len(names))
    for way, (error, name) in worst.items():
        report.number(f"worst {way}, of {name}", error)


def _types(setting: Setting) -> List[str]:
    """The layer types of this Caffe."""
    result = subprocess.run(
        [_python(setting), "-c", "import caffe; print(*caffe.layer_type_list())"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)
    if result.returncode:
        raise Failed("pycaffe cannot be imported: " + "".join(result.stderr.splitlines()[-1:]))
    return result.stdout.split()


def _layer_task(name: str, path: str, device: str) -> Task:
    net = layer_net(name, CASES[name], all_targets=False)
    weights.save(path, layer_weights(net))
    random = np.random.RandomState(7)
    shapes = product.shapes_of(net.text)
    seeds = {} if CASES[name][0] in NO_BACKWARD else {
        score: np.asarray(random.standard_normal(shapes[score]), np.float32)
        for score in net.scores}
    return Task(net.text, path, net.scores, net.targets, net.scores,
                net.inputs, seeds, device)


def _largest_error(name: str, expected: Dict[str, np.ndarray],
                   values: Dict[str, np.ndarray]) -> float:
    if expected.keys() != values.keys():
        raise Failed(f"{name}: the CPU gives {sorted(expected)} and the card {sorted(values)}")
    return max((product.relative_error(values[key], value) for key, value in expected.items()),
               default=0.0)


def net(setting: Setting, report: Report, name: str) -> None:
    """All blobs of a net, the gradient at its layer and the raw map: card, CPU, and torch."""
    model = product.load(setting, name)
    blobs, inputs = product.blobs_of(model), product.inputs(model, 1 if setting.is_dry else 2)
    classes = list(range(1, 1 + len(next(iter(inputs.values())))))
    seed = product.one_hot(np.zeros((len(classes),) + tuple(model.shapes[model.score][1:]),
                                    np.float32), classes)
    task = Task(model.prototxt, str(model.weights), (model.score,), tuple(model.layers),
                tuple(blobs), inputs, {model.score: seed}, "cpu")
    reference, tested = ask(setting, [task, _on(task, setting.device)])
    is_card = setting.device != "cpu"
    _compare(report, model, [name, "Caffe on the card and on the CPU" if is_card
                             else "Caffe, twice on the CPU"], tested, reference)
    if importlib.util.find_spec("torch"):
        _compare(report, model, [name, "Caffe and torch on the card" if is_card
                                 else "Caffe and torch on the CPU"],
                 tested, _by_torch(setting, model, task))


def _on(task: Task, device: str, **changes: Any) -> Task:
    return Task(**dict(vars(task), device=device, **changes))


def _by_torch(setting: Setting, model: product.LoadedModel, task: Task) -> Answer:
    with product.engine(model, setting.device) as engine:
        values = engine.forward(task.inputs, list(task.blobs))
        gradients = engine.backward(model.score, task.seeds[model.score], list(task.targets))
    return Answer(values, {f"{model.score} to {target}": gradient
                           for target, gradient in gradients.items()})


def _compare(report: Report, model: product.LoadedModel, cells: List[str], tested: Answer,
             reference: Answer) -> None:
    layer = model.layers[0]
    errors = {blob: product.relative_error(tested.values[blob], reference.values[blob])
              for blob in reference.values}
    worst = max(errors, key=lambda blob: errors[blob])
    key = f"{model.score} to {layer}"
    gradient = product.relative_error(tested.gradients[key], reference.gradients[key])
    cam = product.relative_error(*(product.grad_cam(answer.values[layer], answer.gradients[key])
                                   for answer in (tested, reference)))
    report.row(TITLE, COLUMNS, cells + [len(errors), worst, errors[worst], gradient, cam])
    name = ": ".join(cells)
    judge(name, {"blob " + worst: errors[worst]}, FORWARD)
    judge(name, {"the gradient at " + layer: gradient, "the raw map": cam}, BACKWARD)


def speed(setting: Setting, report: Report, name: str) -> None:
    """Forward and explain for each size of the batch."""
    model, clock = product.load(setting, name), Clock(setting.seconds)
    for batch in [1, 2] if setting.is_dry else [1, 8, 64]:
        if clock.left < 0:
            raise OutOfTime(f"the batch of {batch} is missing")
        inputs = product.inputs(model, batch)
        seed = product.one_hot(np.zeros((batch,) + tuple(model.shapes[model.score][1:]),
                                        np.float32), [1] * batch)
        answer, = ask(setting, [Task(
            model.prototxt, str(model.weights), (model.score,), tuple(model.layers[:1]), (),
            inputs, {model.score: seed}, setting.device, 1e-3 if setting.is_dry else CELL)])
        report.row(SPEED_TITLE, SPEED_COLUMNS, [
            name, batch, batch / answer.forward, batch / answer.explain,
            answer.explain / answer.forward])
