"""What methods may ask about a batch: the attributes that ``Method.needs`` names."""

import itertools

import numpy as np

from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.explaining.methods.gradients import grad_cam
from caffe_gradcam.model.geometry import Geometry

# Rows that go through the net together where a method runs it again, of 3 x 224 x 224 numbers;
# of smaller rows there are more, up to so many.
MOST, MOST_SMALL = 16, 256


class Pass:
    """A forward pass of a batch, and the engine that made it.

    Parameters
    ----------
    engine : caffe_gradcam.engines.contract.Engine
    score : str
    inputs : dict
        Input blob -> N x C x H x W float32.
    keep : iterable of str
        The blobs that methods will want.
    together : iterable of str
        Blobs whose gradients one backward pass yields, once one of them is asked for.

    Attributes
    ----------
    blobs : dict
        Blob -> what it holds.
    """

    def __init__(self, engine, score, inputs, keep, together=()):
        self.engine, self.score, self.inputs = engine, score, inputs
        self._together = list(together)
        self.blobs = engine.forward(inputs, keep=list(dict.fromkeys([score] + list(keep))))
        self._current = True
        self._gradients = {}

    def gradients(self, seeds, target, rule="gradient"):
        """Gradients of each row's seed (None: of nothing) at a target.

        What was worked out for the same seeds before is not worked out again.
        """
        # The seeds are kept, lest others get their ids.
        _, known = self._gradients.setdefault((tuple(map(id, seeds)), rule), (list(seeds), {}))
        if target not in known:
            self._return()
            together = rule == "gradient" and target in self._together
            known.update(self._backward(top_diff(self.blobs[self.score], seeds),
                                        self._together if together else [target], rule))
        return known[target]

    def forget(self):
        """Let go of gradients; what is asked for again is worked out again."""
        self._gradients = {}

    def elsewhere(self, changed, rows, seeds, target):
        """Gradients at a target where the inputs of some rows are changed.

        Parameters
        ----------
        changed : dict
            Input blob -> M x C x H x W.
        rows : sequence of int
            M rows of the batch, for the other inputs.
        seeds : list of seed
            M.
        target : str
        """
        scores = self._forward(changed, rows)
        return self._backward(top_diff(scores, seeds), [target], "gradient")[target]

    def net(self, blob, seeds, pairs):
        """Values of seeds where rows of one input are replaced; see ``methods.reruns``."""
        return self._values(seeds, pairs, lambda value, rows: self._forward({blob: value}, rows))

    def head(self, blob, seeds, pairs):
        """Values of seeds where rows of a blob are replaced, from there on."""
        self._return()

        def run(value, rows):
            return self.engine.forward_from(blob, value, [self.score], rows)[self.score]

        return self._values(seeds, pairs, run)

    def _backward(self, seed, targets, rule):
        # The rule is said only where it matters: not every engine has others.
        rules = {} if rule == "gradient" else {"rule": rule}
        return self.engine.backward(self.score, seed, targets, **rules)

    def _return(self):
        """Have the engine hold the batch again, if it ran on something else."""
        if not self._current:
            self.engine.forward(self.inputs, keep=[self.score])
            self._current = True

    def _forward(self, changed, rows):
        inputs = {name: changed[name] if name in changed else value[list(rows)]
                  for name, value in self.inputs.items()}
        self._current = False
        return self.engine.forward(inputs, keep=[self.score])[self.score]

    def _values(self, seeds, pairs, run):
        values, pairs = [], iter(pairs)
        batch = list(itertools.islice(pairs, 1))
        count = min(MOST_SMALL, max(MOST, MOST * 3 * 224 * 224 // batch[0][2].size)) if batch else 0
        while batch:
            batch += itertools.islice(pairs, count - len(batch))
            values += in_parts(lambda part: _measure(part, seeds, run), batch)
            batch = list(itertools.islice(pairs, 1))
        return np.concatenate(values) if values else np.zeros(0)


class Evidence:
    """What there is to know about one question of each of some rows of a batch, at one place.

    Parameters
    ----------
    batch : Pass
    seeds : list of (seed or None)
        For each row of the batch; rows without are left out.
    place : str
        The target blob; or the input, for methods that go down to the pixels.
    source : str
        The input blob that the place looks at.
    only_positive : bool
        Whether negative gradients at the place count as 0.
    lay_over : callable
        Grad-CAMs (N x h x w) of the explainer's first target that looks at the source -> the same
        at the size of the input.
    extras : dict
        What it takes more than a pass of the engine, by name: functions of (batch, seeds, rows,
        source).
    """

    def __init__(self, batch, seeds, place, source, only_positive=False, lay_over=None,
                 extras=None):
        self._batch, self._all, self._place, self._source = batch, seeds, place, source
        self._only_positive, self._lay_over, self._extras = only_positive, lay_over, extras or {}
        self.rows = [row for row, seed in enumerate(seeds) if seed is not None]
        self._asked = [seeds[row] for row in self.rows]

    def __getattr__(self, name):
        if name not in self.__dict__.get("_extras", ()):
            raise AttributeError(name)
        return self._extras[name](self._batch, self._all, self.rows, self._source)

    @property
    def activations(self):
        return self._taken(self._batch.blobs[self._place])

    @property
    def gradients(self):
        return self._at_target(self._place)

    @property
    def inputs(self):
        return self._taken(self._batch.inputs[self._source])

    @property
    def input_gradients(self):
        return self._at_source("gradient")

    @property
    def guided_gradients(self):
        return self._at_source("guided")

    @property
    def deconvnet_gradients(self):
        return self._at_source("deconvnet")

    @property
    def laid_over(self):
        """The positive part of Grad-CAM at the size of the input."""
        return self._lay_over(lambda target: np.maximum(grad_cam(
            self._taken(self._batch.blobs[target]), self._at_target(target)), 0))

    @property
    def seeds(self):
        """The derivatives with respect to the scores of each class, N x K."""
        scores = self._batch.blobs[self._batch.score]
        diff = self._taken(top_diff(scores, self._all))
        return diff.reshape(len(diff), scores.shape[1], -1).sum(axis=2)

    @property
    def values(self):
        """Of the question, N float64."""
        scores = self._batch.blobs[self._batch.score]
        return np.array([seed.values(scores[row:row + 1])[0]
                         for row, seed in zip(self.rows, self._asked)])

    def net(self, pairs):
        """See ``methods.reruns``."""
        return self._batch.net(self._source, self._asked, self._of_batch(pairs))

    def head(self, pairs):
        """See ``methods.reruns``."""
        return self._batch.head(self._place, self._asked, self._of_batch(pairs))

    def noisy_gradients(self, inputs):
        """Gradients at the place for other inputs."""
        return self._cut(self._elsewhere(inputs, self._place))

    def pixel_gradients(self, inputs):
        """Gradients at the input for other inputs."""
        return self._elsewhere(inputs, self._source)

    def _elsewhere(self, inputs, target):
        def run(part):
            chosen = [self.rows[index] for index in part]
            return self._batch.elsewhere({self._source: inputs[part]}, chosen,
                                         [self._asked[index] for index in part], target)

        return np.concatenate(in_parts(run, list(range(len(inputs)))))

    def _at_target(self, target):
        return self._cut(self._taken(self._batch.gradients(self._all, target)))

    def _cut(self, gradients):
        return np.maximum(gradients, 0) if self._only_positive else gradients

    def _at_source(self, rule):
        return self._taken(self._batch.gradients(self._all, self._source, rule))

    def _of_batch(self, pairs):
        return ((index, self.rows[index], value) for index, value in pairs)

    def _taken(self, blob):
        return blob if len(self.rows) == len(blob) else blob[self.rows]


def top_diff(scores, seeds):
    """What a backward pass starts with: each row's seed, zeros where a row has none.

    Parameters
    ----------
    scores : numpy.ndarray
        N x K [x h x w].
    seeds : list of (seed or None)

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


def laid_over_input(cams, placement, size):
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
    whole = Geometry(tuple(size), (0.0, 0.0, float(size[1]), float(size[0])))
    return np.stack([whole.to_photograph(cam, placement) for cam in cams])


def _measure(part, seeds, run):
    """The values of (index of a seed, row of the batch, value of a blob)."""
    scores = run(np.stack([value for _, _, value in part]).astype(np.float32, copy=False),
                 [row for _, row, _ in part])
    return np.array([seeds[index].values(scores[at:at + 1])[0]
                     for at, (index, _, _) in enumerate(part)])
