"""Known answers: what a model says of one made-up image, kept in its readme.md.

They show whether a fetched model, its preprocessing and the engine are right, without any data set.
"""

import math
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.model.arrays import Image
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.zoo.entries import Entry
from prototxt_tools.errors import ModelError
from prototxt_tools.files import read_bytes, write_bytes

KEY = "answers"
_HEIGHT, _WIDTH = 240, 320
_MOST_SCORES = 5
# Engines and processors differ by some 1e-6 of the largest score; wrong preprocessing by far more.
_TOLERANCE = 1e-3
_DIGITS = 7


@dataclass(frozen=True)
class Answers:
    """What a model says of the image of :func:`image`.

    Attributes
    ----------
    layer : str
        Whose Grad-CAM map of the first class it is.
    scores : tuple of (int, float)
        Class and score of the best ones, the first class first.
    size : tuple of int
        Height and width of the map.
    map : tuple of float
        The sums over the map's four quarters: top left, top right, bottom left, bottom right.
    """

    layer: str
    scores: Tuple[Tuple[int, float], ...]
    size: Tuple[int, ...]
    map: Tuple[float, ...]


def image() -> np.ndarray:
    """The image: H x W x 3 uint8, the same in every version and on every machine."""
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    channels = [x * 255 // _WIDTH, y * 255 // _HEIGHT, (x + y) * 255 // (_WIDTH + _HEIGHT)]
    pixels = np.stack(channels, axis=2)
    disc = (x - 110) ** 2 + (y - 130) ** 2 < 70 ** 2
    stripes = (x // 8 + y // 12) % 2 == 0
    pixels[disc & stripes] = (30, 90, 200)
    pixels[disc & ~stripes] = (220, 200, 40)
    pixels[30:90, 220:300] = 255 - pixels[30:90, 220:300]
    return pixels.astype(np.uint8)


def measured(folder: str, running: Optional[Running] = None) -> Answers:
    """The answers of a model folder; raises InputError where it cannot be run."""
    model = LoadedModel.load(folder)
    with Explainer.open(model, running=running or Running()) as explainer:
        result = explainer.explain([_given(model)])[0].unwrap()
    explanation = result.explanations[0]
    best = np.argsort(-result.scores, kind="stable")[:_MOST_SCORES]
    rows, columns = (np.array_split(np.arange(size), 2) for size in explanation.cam.shape)
    quarters = [explanation.cam[np.ix_(row, column)].sum() for row in rows for column in columns]
    return Answers(explanation.layer,
                   tuple((int(index), _rounded(result.scores[index])) for index in best),
                   tuple(int(size) for size in explanation.cam.shape),
                   tuple(_rounded(quarter) for quarter in quarters))


def _given(model: LoadedModel) -> Image:
    """The image for every input that takes images; word numbers that count up from 1; and
    numbers that rise from 0 to 1."""
    needed = [spec for spec in model.arrays.values() if spec.default is None]
    if not needed:
        return image()
    values: Dict[str, Any] = {blob: image() for blob in model.inputs}
    for spec in needed:
        count = int(np.prod(spec.shape))
        numbers = (np.linspace(0, 1, count) if spec.word_count is None
                   else 1 + np.arange(count) % (spec.word_count - 1))
        values[spec.blob] = numbers.reshape(spec.shape).astype(np.float32)
    return values


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def stored(entry: Entry) -> Optional[Answers]:
    """The answers in an entry's readme.md, or None where it has none.

    Raises
    ------
    ModelError
        They have another form.
    """
    values = entry.front.get(KEY)
    if values is None:
        return None
    path = os.path.join(entry.folder, model_folder.README)
    try:
        return Answers(str(values["layer"]),
                       tuple((int(pair[0]), float(pair[1])) for pair in values["scores"]),
                       tuple(int(size) for size in values["size"]),
                       tuple(float(quarter) for quarter in values["map"]))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError):
        raise ModelError(f"{path}: {KEY} is not in the form that `caffe-gradcam models test "
                         "--record` gives it", path) from None


def differences(expected: Answers, actual: Answers) -> List[str]:
    """How answers differ from the known ones: sentences; none where they agree."""
    sentences = []
    if actual.layer != expected.layer or actual.size != expected.size:
        sentences.append(f"the map is of {actual.layer} ({_size(actual)}), not of {expected.layer} "
                         f"({_size(expected)})")
    scores: Mapping[int, float] = dict(actual.scores)
    limit = _TOLERANCE * max(1e-9, max(abs(score) for _, score in expected.scores))
    for index, score in expected.scores:
        if not math.isclose(scores.get(index, math.nan), score, abs_tol=limit):
            value = f"is {scores[index]:g}" if index in scores else "is not among the best"
            sentences.append(f"the score of class {index} {value}, not {score:g}")
    limit = _TOLERANCE * max(1e-9, sum(abs(quarter) for quarter in expected.map))
    if not sentences and not all(math.isclose(quarter, stored_quarter, abs_tol=limit)
                                 for quarter, stored_quarter in zip(actual.map, expected.map)):
        sentences.append(f"the sums over the quarters of the map are {_numbers(actual.map)}, not "
                         f"{_numbers(expected.map)}")
    return sentences


def _size(answers: Answers) -> str:
    return "x".join(map(str, answers.size))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def record(entry: Entry, answers: Answers) -> str:
    """Write answers into an entry's readme.md, in the place of older ones; gives its path.

    Raises
    ------
    InputError
        It cannot be written.
    ModelError
        It has no front matter.
    """
    path = os.path.join(entry.folder, model_folder.README)
    lines = read_bytes(path, 1 << 20, ModelError).decode("utf-8").splitlines(keepends=True)
    ends = [index for index, line in enumerate(lines) if line.rstrip() == "---"]
    if len(ends) < 2 or ends[0] != 0:
        raise ModelError(f"{path}: has no front matter to keep the answers in", path)
    front, rest = lines[:ends[1]], lines[ends[1]:]
    write_bytes(path, "".join(_without(front) + _lines(answers) + rest).encode("utf-8"))
    return path


def _without(front: Sequence[str]) -> List[str]:
    """The lines of a front matter without those of its answers."""
    kept, is_inside = [], False
    for line in front:
        is_inside = line.startswith(KEY + ":") or (is_inside and line[:1] in (" ", "\t"))
        if not is_inside:
            kept.append(line)
    return kept


def _lines(answers: Answers) -> List[str]:
    fields: Dict[str, Any] = {
        "layer": answers.layer, "scores": [list(pair) for pair in answers.scores],
        "size": list(answers.size), "map": list(answers.map)}
    return [KEY + ":\n"] + [f"  {name}: {_yaml(value)}\n" for name, value in fields.items()]


def _yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=10 ** 6)
    return text.replace("\n...", "").strip()
