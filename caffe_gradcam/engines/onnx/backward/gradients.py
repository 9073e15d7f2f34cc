"""The gradient of a question with respect to values of a graph, written into the graph."""

from typing import Dict, List, Optional, Set, Tuple

import numpy as np

from caffe_gradcam.engines.closed_forms import Term, below_global_mean, terms
from caffe_gradcam.engines.onnx import backward as _backward  # noqa: F401  (registers)
from caffe_gradcam.engines.onnx.backward.products import times
from caffe_gradcam.engines.onnx.backward.registry import rule_of
from caffe_gradcam.engines.onnx.backward.shares import Shares
from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.registry import Step, Unsupported
from caffe_gradcam.engines.onnx.writer import OpenSizeError, Value


class Gradients:
    """The gradients of one seed; each is written when it is first asked for.

    Parameters
    ----------
    translated : Translated
    score : str
        The score blob.
    seed : str
        The gradient at the score blob, of its shape.
    shares : Shares, optional
        Where several seeds have them in common.

    Attributes
    ----------
    translated
    """

    def __init__(self, translated: Translated, score: str, seed: str,
                 shares: Optional[Shares] = None) -> None:
        self.translated, self._score, self._seed = translated, score, seed
        self._shares = shares or Shares(translated)
        self._written: Dict[str, str] = {}

    def at(self, value: Value) -> str:
        """The gradient at a value.

        Raises
        ------
        Unsupported
            The score does not depend on the value, or the gradient of a layer between them is
            not known.
        """
        if value.name in self._written:
            return self._written[value.name]
        steps = self._between(value)
        start = self.translated.values[self._score].name
        gradients: Dict[str, str] = {start: self._seed}
        for step, reached in reversed(steps):
            given = [gradients.get(top.name) for top in step.tops]
            if any(gradient is not None for gradient in given):
                self._step_back(step, given, reached, gradients)
        if value.name not in gradients:
            raise Unsupported(f"no gradient reaches blob {value.name}", value.name)
        self._written[value.name] = gradients[value.name]
        return gradients[value.name]

    def mean_at(self, blob: str) -> str:
        """The mean over all cells of the gradient at a blob, N x C, in closed form if there is
        one."""
        value = self.translated.values[blob]
        step = self._last_step()
        parts = [self._part(term) for term in self.terms(blob)] or [
            self._sums(value, value.shape[1])]
        summed = parts[0] if len(parts) == 1 else step.op("Sum", *parts)
        return step.op("Mul", summed, np.float32(1.0 / np.prod(value.sizes(2))))

    def terms(self, blob: str) -> List[Term]:
        """The closed form of the mean gradient at a blob, if there is one."""
        subnet = self.translated.subnet
        return terms(subnet.net.layers, dict(subnet.shapes), blob, self._score)

    def _part(self, term: Term) -> str:
        weights = {entry.name: entry.weights for entry in self.translated.steps.values()}
        matrix = term.matrix(weights.__getitem__)
        last, pair = self._last_step(), self._below_global_mean(term)
        if pair is None:
            step = self.translated.steps[term.layer]
            sums = self._sums(step.tops[list(step.message.top).index(term.top)], term.channels)
            return sums if matrix is None else times(last, sums, matrix)
        relu, pool = pair
        gradient, share = self.at(pool.tops[0]), self._shares.of(relu).name
        classes = last.writer.one_hot.get(gradient)
        if classes is not None and matrix is not None:
            chosen = last.op("GatherElements", share, classes, axis=1)
            return last.op("Mul", times(last, gradient, matrix), chosen)
        sums = last.op("Mul", last.op("Flatten", gradient, axis=1), share)
        return sums if matrix is None else times(last, sums, matrix)

    def _below_global_mean(self, term: Term) -> Optional[Tuple[Step, Step]]:
        """The ReLU and the global mean that a term lies below, if it does for every size."""
        subnet, steps = self.translated.subnet, self.translated.steps
        pair = below_global_mean(subnet.net.layers, dict(subnet.shapes), term, self._score)
        if pair is None:
            return None
        relu, pool = (steps[index] for index in pair)
        is_open = bool(pool.bottoms[0].open_axes.intersection((2, 3)))
        if is_open and not pool.message.pooling_param.global_pooling:
            return None
        return relu, pool

    def _sums(self, value: Value, channels: int) -> str:
        """The gradient at a value, summed over the cells of each channel, N x channels."""
        step, gradient = self._last_step(), self.at(value)
        cells = int(np.prod(value.sizes(1))) // channels
        if cells > 1:
            shape = Value("", (value.shape[0], channels, cells), value.open_axes & {0})
            return step.op("ReduceSum", step.reshape(gradient, shape), np.array([2], np.int64),
                           keepdims=0)
        return step.op("Flatten", gradient, axis=1) if len(value.shape) > 2 else gradient

    def _between(self, value: Value) -> List[Tuple[Step, Set[str]]]:
        """The steps from a value to the score, each with the bottoms that depend on the value."""
        reached, steps = {value.name}, []
        last = self.translated.values[self._score].name
        for index in sorted(self.translated.steps):
            step = self.translated.steps[index]
            bottoms = reached.intersection(bottom.name for bottom in step.bottoms)
            if bottoms and value.name not in [top.name for top in step.tops]:
                steps.append((step, bottoms))
                reached.update(top.name for top in step.tops)
        if last not in reached:
            raise Unsupported(f"score {self._score!r} does not depend on blob {value.name!r}",
                              value.name)
        return steps

    def _step_back(self, step: Step, given: List[Optional[str]], reached: Set[str],
                   gradients: Dict[str, str]) -> None:
        """Add what a step passes down to the gradients at its bottoms."""
        try:
            results = rule_of(step)(step, given)
        except OpenSizeError as error:
            raise Unsupported(f"the gradient of layer {step.name} needs a fixed size of axis "
                              f"{error.axis}; export the net for one size", step.name) from None
        for bottom, result in zip(step.bottoms, results):
            if result is None or bottom.name not in reached:
                continue
            before = gradients.get(bottom.name)
            gradients[bottom.name] = (result if before is None
                                      else step.op("Add", before, result))

    def _last_step(self) -> Step:
        """A step whose name the nodes of sums get."""
        last = max(self.translated.steps)
        return self.translated.steps[last]
