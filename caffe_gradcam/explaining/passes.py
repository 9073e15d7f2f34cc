"""The forward pass of a batch, and what methods compute from it with the engine."""

import hashlib
import itertools
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.model.model import LoadedModel

Seeds = Sequence[Optional[Seed]]
# The index of a seed, the row of the batch that it belongs to, and the value of a blob there.
Rerun = Tuple[int, int, np.ndarray]
Run = Callable[[np.ndarray, List[int]], np.ndarray]
# A rerun by what it shows: the blob, the row, and the digest of the blob's value there.
_Key = Tuple[str, int, bytes]

# Rows that go through the net together where a method runs it again, of 3 x 224 x 224 numbers;
# of smaller rows there are more, up to a limit.
_ROWS, _MOST_SMALL_ROWS = 16, 256
_ROW_SIZE = 3 * 224 * 224
# Reruns whose values are kept for further questions; some 300 bytes each.
_MOST_ANSWERS = 200000


class Pass:
    """A forward pass of a batch, and the engine that made it.

    Parameters
    ----------
    engine : caffe_gradcam.engines.contract.Engine
    model : LoadedModel
        Its score is what seeds are about.
    inputs : dict
        Each of the model's ``inputs`` and ``arrays`` -> its value, float32; of pictures
        N x C x H x W.
    keep : iterable of str
        The blobs that methods will need.
    together : iterable of str
        Blobs whose gradients one backward pass yields, once one of them is asked for.
    one_by_one : bool
        Run the net again on one row at a time, since rows influence each other.

    Attributes
    ----------
    blobs : dict
        Blob -> what it holds; inputs too.
    scores : numpy.ndarray
        N x K [x positions]: what the score blob holds, by the model's layout.
    on_rerun : callable
        Called with the number of rows each time that the net, or a part of it, has run again.
    questions : list of list of Seed
        All that will be asked about each row. Methods run the net again on the same values for each
        question about a row, so where a row has several, the first run answers them all.
    """

    def __init__(self, engine: Engine, model: LoadedModel, inputs: Mapping[str, np.ndarray],
                 keep: Iterable[str], together: Iterable[str] = (), one_by_one: bool = False
                 ) -> None:
        self.engine, self.model, self.score, self.inputs = engine, model, model.score, inputs
        self._together, self._one_by_one = list(together), one_by_one
        names = list(dict.fromkeys([model.score] + list(keep)))
        self.blobs = dict(engine.forward(model.net_inputs(inputs), keep=names))
        self.blobs.update(inputs)
        self.scores = model.layout.rows(self.blobs[model.score])
        self.on_rerun: Callable[[int], object] = _ignore
        self.questions: List[List[Seed]] = []
        self._answers: Dict[_Key, np.ndarray] = {}
        self._engine_holds_batch = True
        self._gradients: Dict[Any, Tuple[Seeds, Dict[str, np.ndarray]]] = {}

    def gradients(self, seeds: Seeds, target: str, rule: str = "gradient") -> np.ndarray:
        """Gradients of each row's seed (None: of nothing) at a target.

        What was computed for the same seeds before is not computed again.
        """
        # The seeds are kept, lest others get their ids.
        _, by_target = self._gradients.setdefault(
            (tuple(map(id, seeds)), rule), (list(seeds), {}))
        if target not in by_target:
            self._hold_batch()
            together = rule == "gradient" and target in self._together
            by_target.update(self._backward(
                self.scores, seeds, self._together if together else [target], rule))
        return by_target[target]

    def mean_gradients(self, seeds: Seeds, target: str) -> Optional[np.ndarray]:
        """The mean of each channel's gradient, N x C x 1 x 1; None where the engine finds it no
        sooner than the gradient itself."""
        _, by_target = self._gradients.setdefault(
            (tuple(map(id, seeds)), "mean"), (list(seeds), {}))
        if target not in by_target:
            self._hold_batch()
            together = [name for name in self._together if name not in self.inputs]
            targets = together if target in together else [target]
            by_target.update(self.engine.mean_gradients(
                self.score, self._diff(self.scores, seeds), targets))
        return by_target.get(target)

    def forget(self) -> None:
        """Let go of gradients; they are computed again when they are asked for again."""
        self._gradients = {}

    def gradients_elsewhere(self, changed: Mapping[str, np.ndarray], rows: Sequence[int],
                            seeds: Seeds, target: str) -> np.ndarray:
        """Gradients at a target where the inputs of some rows are changed.

        Parameters
        ----------
        changed : dict
            Input blob -> M x C x H x W.
        rows : sequence of int
            M rows of the batch, for the other inputs.
        seeds : sequence of Seed
            M.
        target : str
        """
        if not self._one_by_one:
            scores = self._forward(changed, rows)
            return self._backward(scores, seeds, [target], "gradient")[target]
        gradients = []
        for index, row in enumerate(rows):
            scores = self._forward({name: value[index:index + 1]
                                    for name, value in changed.items()}, [row])
            gradients.append(self._backward(scores, seeds[index:index + 1], [target],
                                            "gradient")[target])
        return np.concatenate(gradients)

    def rerun_net(self, blob: str, seeds: Seeds, reruns: Iterable[Rerun]) -> np.ndarray:
        """Values of seeds where rows of one input are replaced; see ``methods.reruns``."""
        return self._values(blob, seeds, reruns,
                            lambda value, rows: self._forward({blob: value}, rows))

    def rerun_head(self, blob: str, seeds: Seeds, reruns: Iterable[Rerun]) -> np.ndarray:
        """Values of seeds where rows of a blob are replaced, from there on."""
        self._hold_batch()

        def run(value: np.ndarray, rows: List[int]) -> np.ndarray:
            scores = self.engine.forward_from(blob, value, [self.score], rows)[self.score]
            self.on_rerun(len(rows))
            return self.model.layout.rows(scores)

        return self._values(blob, seeds, reruns, run)

    def _backward(self, scores: np.ndarray, seeds: Seeds, targets: Sequence[str],
                  rule: str) -> Dict[str, np.ndarray]:
        diff = self._diff(scores, seeds)
        # The rule is passed only where it matters: not every engine has others.
        rules = {} if rule == "gradient" else {"rule": rule}
        return self.engine.backward(self.score, diff, targets, **rules)

    def _diff(self, scores: np.ndarray, seeds: Seeds) -> np.ndarray:
        """What a backward pass starts with, as the score blob lies."""
        shape = self.model.layout.blob_shape(scores.shape, self.blobs[self.score].shape)
        return self.model.layout.to_blob(top_diff(scores, seeds), shape)

    def _hold_batch(self) -> None:
        """Have the engine hold the batch again, if it ran on something else."""
        if not self._engine_holds_batch:
            self.engine.forward(self.model.net_inputs(self.inputs), keep=[self.score])
            self._engine_holds_batch = True

    def _forward(self, changed: Mapping[str, np.ndarray], rows: Sequence[int]) -> np.ndarray:
        inputs = {name: changed[name] if name in changed else self._of_rows(name, rows)
                  for name in self.inputs}
        self._engine_holds_batch = False
        blobs = self.engine.forward(self.model.net_inputs(inputs), keep=[self.score])
        self.on_rerun(len(rows))
        return self.model.layout.rows(blobs[self.score])

    def _of_rows(self, name: str, rows: Sequence[int]) -> np.ndarray:
        """An input of some rows of the batch."""
        spec = self.model.arrays.get(name)
        if spec is not None and spec.item_axis is None:
            return self.inputs[name]
        axis = 0 if spec is None else spec.item_axis
        chosen: np.ndarray = np.take(self.inputs[name], list(rows), axis=axis)
        return chosen

    def _values(self, blob: str, seeds: Seeds, reruns: Iterable[Rerun], run: Run) -> np.ndarray:
        values: List[np.ndarray] = []
        most = 1 if self._one_by_one else _MOST_SMALL_ROWS
        several = any(len(questions) > 1 for questions in self.questions)
        for batch in _batches(iter(reruns), most):
            if several:
                values.append(self._answered(blob, seeds, batch, run))
            else:
                values += in_parts(lambda part: _measure(part, seeds, run), batch)
        return np.concatenate(values) if values else np.zeros(0)

    def _answered(self, blob: str, seeds: Seeds, batch: List[Rerun], run: Run) -> np.ndarray:
        """The value of each rerun; the net runs only for those that are not answered yet."""
        keys = [(blob, row, _digest(value)) for _, row, value in batch]
        answers = {key: self._answers[key] for key in keys if key in self._answers}
        new = [(key, rerun) for key, rerun in zip(keys, batch) if key not in answers]
        parts = in_parts(lambda part: _measure_all(part, self.questions, run),
                         [rerun for _, rerun in new])
        new_answers = dict(zip((key for key, _ in new), itertools.chain(*parts)))
        answers.update(new_answers)
        if len(self._answers) < _MOST_ANSWERS:
            self._answers.update(new_answers)
        if len(new) < len(batch):
            self.on_rerun(len(batch) - len(new))
        return np.array([answers[key][_rank(seeds[index], self.questions[row])]
                         for key, (index, row, _) in zip(keys, batch)])


def _ignore(count: int) -> None:
    """What happens after a run if nobody asks."""


def top_diff(scores: np.ndarray, seeds: Seeds) -> np.ndarray:
    """What a backward pass starts with: each row's seed, zeros where a row has none.

    Parameters
    ----------
    scores : numpy.ndarray
        N x K [x positions].
    seeds : sequence of (Seed or None)

    Returns
    -------
    numpy.ndarray
        Of the scores' shape, float32.
    """
    diff = np.zeros(scores.shape, np.float32)
    for row, seed in enumerate(seeds):
        if seed is not None:
            diff[row] = seed.gradients(scores[row:row + 1])[0]
    return diff


def laid_over_input(cams: np.ndarray, placement: Optional[Placement],
                    size: Sequence[int]) -> np.ndarray:
    """Maps at the size of the input.

    Parameters
    ----------
    cams : numpy.ndarray
        N x h x w.
    placement : Placement or None
    size : (int, int)
        Height and width of the input.

    Returns
    -------
    numpy.ndarray
        N x H x W float32.
    """
    height, width = size
    whole = Geometry((height, width), (0.0, 0.0, float(width), float(height)))
    return np.stack([whole.to_image(cam, placement) for cam in cams])


def _batches(reruns: Iterator[Rerun], most: int) -> Iterator[List[Rerun]]:
    """Reruns that go through the net together; few of large rows, many of small ones."""
    for first in reruns:
        count = min(most, max(_ROWS, _ROWS * _ROW_SIZE // first[2].size))
        yield [first] + list(itertools.islice(reruns, count - 1))


def _measure(part: List[Rerun], seeds: Seeds, run: Run) -> np.ndarray:
    """The value of each rerun."""
    scores = run(np.stack([value for _, _, value in part]).astype(np.float32, copy=False),
                 [row for _, row, _ in part])
    values = np.zeros(len(part))
    for position, (index, _, _) in enumerate(part):
        seed = seeds[index]
        assert seed is not None
        values[position] = seed.values(scores[position:position + 1])[0]
    return values


def _measure_all(part: List[Rerun], questions: Sequence[Sequence[Seed]], run: Run
                 ) -> List[np.ndarray]:
    """The value of each rerun for each question about its row."""
    scores = run(np.stack([value for _, _, value in part]).astype(np.float32, copy=False),
                 [row for _, row, _ in part])
    return [np.array([seed.values(scores[position:position + 1])[0] for seed in questions[row]])
            for position, (_, row, _) in enumerate(part)]


def _rank(seed: Optional[Seed], questions: Sequence[Seed]) -> int:
    """Which of the questions about a row a seed is."""
    return next(rank for rank, question in enumerate(questions) if question is seed)


def _digest(value: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
