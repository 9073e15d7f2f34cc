"""The process of real Caffe: it answers the questions in one .npz with another.

Its Python, which may be that of scripts/bundle-cuda, needs NumPy, protobuf and pycaffe alone.
"""

import dataclasses
import json
import statistics
import sys
import time
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

MOST, LEAST, WARM = 50, 3, 2


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A net to run in Caffe.

    Attributes
    ----------
    text, weights : str
        The definition, and the path of the caffemodel.
    scores, targets : tuple of str
        Where gradients begin and end.
    blobs : tuple of str
        The blobs to return.
    inputs : dict
        Blob -> array.
    seeds : dict
        Score -> its gradient; empty for no backward pass.
    device : str
        "cpu" or "cuda".
    seconds : float
        How long to measure the time of a pass; 0 for not at all.
    """

    text: str
    weights: str
    scores: Tuple[str, ...]
    targets: Tuple[str, ...]
    blobs: Tuple[str, ...]
    inputs: Dict[str, np.ndarray]
    seeds: Dict[str, np.ndarray]
    device: str
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """What Caffe computed for a task.

    Attributes
    ----------
    values : dict
        Blob -> array.
    gradients : dict
        "SCORE to TARGET" -> array, for each target that a gradient reaches.
    forward, explain : float
        Median seconds of a forward pass, and of one with a backward pass and a map; NaN where
        they were not measured.
    """

    values: Dict[str, np.ndarray]
    gradients: Dict[str, np.ndarray]
    forward: float = float("nan")
    explain: float = float("nan")


ARRAYS = {Task: ("inputs", "seeds"), Answer: ("values", "gradients")}


def save(path: str, items: List[Any]) -> None:
    """Write tasks or answers into a .npz."""
    arrays: Dict[str, np.ndarray] = {}
    plain = []
    for index, item in enumerate(items):
        fields = dict(vars(item))
        for field in ARRAYS[type(item)]:
            values = fields.pop(field)
            fields[field] = list(values)
            arrays.update({f"{index}/{field}/{number}": values[name]
                           for number, name in enumerate(values)})
        plain.append(fields)
    np.savez(path, items=np.array(json.dumps(plain)), **arrays)


def load(path: str, kind: Any) -> List[Any]:
    """Tasks or answers that ``save`` has written."""
    items = []
    with np.load(path) as file:
        for index, fields in enumerate(json.loads(str(file["items"]))):
            for field in ARRAYS[kind]:
                fields[field] = {name: file[f"{index}/{field}/{number}"]
                                 for number, name in enumerate(fields[field])}
            items.append(kind(**fields))
    return items


def run(task: Task) -> Answer:
    """Run a task in this process."""
    from caffe_gradcam.engines import NetToRun, Running, open_engine

    net = NetToRun(task.text, task.weights, tuple(task.scores), tuple(task.targets))
    with open_engine(net, Running(engine="caffe", device=task.device, isolated=False)) as engine:
        values = engine.forward(task.inputs, list(task.blobs))
        gradients: Dict[str, np.ndarray] = {}
        for score, seed in task.seeds.items():
            for target in task.targets:
                gradients.update(_gradient(engine, score, seed, target))
        if not task.seconds:
            return Answer(values, gradients)
        score, target = task.scores[0], task.targets[0]

        def forward() -> None:
            engine.forward(task.inputs, [score])

        def explain() -> None:
            activation = engine.forward(task.inputs, [score, target])[target]
            gradient = engine.backward(score, task.seeds[score], [target])[target]
            np.einsum("nk,nkhw->nhw", gradient.mean(axis=(2, 3)), activation)

        return Answer(values, gradients, _median(forward, task.seconds),
                      _median(explain, task.seconds))


def _gradient(engine: Any, score: str, seed: np.ndarray, target: str) -> Dict[str, np.ndarray]:
    from prototxt_tools.errors import EngineError

    try:
        return {f"{score} to {target}": engine.backward(score, seed, [target])[target]}
    except EngineError as error:
        if "no gradient" not in str(error):
            raise
        return {}


def _median(call: Callable[[], None], seconds: float) -> float:
    for _ in range(WARM):
        call()
    times: List[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST or (time.perf_counter() < end and len(times) < MOST):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """``python -m gpu_checks.caffe_worker TASKS.npz ANSWERS.npz``."""
    save(sys.argv[2], [run(task) for task in load(sys.argv[1], Task)])


if __name__ == "__main__":
    main()
