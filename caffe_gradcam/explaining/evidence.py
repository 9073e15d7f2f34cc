"""What methods may need to know about a batch: one function for each name in ``NEEDS``."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import Seed
from caffe_gradcam.explaining.anatomy import Anatomy
from caffe_gradcam.explaining.memory import in_parts
from caffe_gradcam.explaining.methods import Method
from caffe_gradcam.explaining.methods.gradients import grad_cam
from caffe_gradcam.explaining.passes import Pass, Rerun, Seeds, laid_over_input, top_diff
from caffe_gradcam.model.geometry import Placement
from prototxt_tools.errors import QuestionError

# A method's reruns: the position of an image among those that are explained, and the new value.
Pairs = Iterable[Tuple[int, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One question of each of some rows of a batch, asked at one blob.

    Attributes
    ----------
    batch : Pass
    seeds : sequence of (Seed or None)
        For each row of the batch; rows without are left out.
    blob : str
        The layer's blob; or the input, for methods that go down to the pixels.
    source : str
        The input blob that it depends on.
    only_positive : bool
        Whether negative gradients at the blob count as 0.
    anatomy : Anatomy
        Of the net, beyond its blobs.
    cam_layer : str
        The blob whose Grad-CAM is laid over the input, for methods that go down to the pixels.
    cam_placement : Placement or None
        Where its cells lie in the input.
    """

    batch: Pass
    seeds: Seeds
    blob: str
    source: str
    only_positive: bool
    anatomy: Anatomy
    cam_layer: str
    cam_placement: Optional[Placement]

    @property
    def rows(self) -> List[int]:
        """The rows of the batch that are asked about."""
        return [row for row, seed in enumerate(self.seeds) if seed is not None]

    @property
    def asked(self) -> List[Seed]:
        """Their seeds."""
        return [seed for seed in self.seeds if seed is not None]

    @property
    def shape(self) -> Tuple[int, int, int]:
        """What a map for each row has: N, h, w."""
        height, width = self.batch.blobs[self.blob].shape[2:]
        return len(self.rows), height, width

    def of_rows(self, blob: np.ndarray) -> np.ndarray:
        """The rows of a blob that are asked about."""
        rows = self.rows
        return blob if len(rows) == len(blob) else blob[rows]

    def gradients(self, target: str) -> np.ndarray:
        """Gradients at a layer's blob."""
        return self.cut(self.of_rows(self.batch.gradients(self.seeds, target)))

    def mean_gradients(self, target: str) -> np.ndarray:
        """Gradients at a layer's blob, or the mean of each channel, N x C x 1 x 1."""
        means = None if self.only_positive else self.batch.mean_gradients(self.seeds, target)
        return self.gradients(target) if means is None else self.of_rows(means)

    def cut(self, gradients: np.ndarray) -> np.ndarray:
        """The gradients that count."""
        return np.maximum(gradients, 0) if self.only_positive else gradients

    def gradients_at_source(self, rule: str) -> np.ndarray:
        """Gradients at the input, by a rule of ``Engine.backward``."""
        return self.of_rows(self.batch.gradients(self.seeds, self.source, rule))

    def gradients_elsewhere(self, inputs: np.ndarray, target: str) -> np.ndarray:
        """Gradients at a blob for other inputs."""
        rows, asked = self.rows, self.asked

        def run(part: List[int]) -> np.ndarray:
            return self.batch.gradients_elsewhere(
                {self.source: inputs[part]}, [rows[index] for index in part],
                [asked[index] for index in part], target)

        return np.concatenate(in_parts(run, list(range(len(inputs)))))

    def reruns(self, pairs: Pairs) -> Iterable[Rerun]:
        """A method's reruns as those of the batch."""
        rows = self.rows
        return ((index, rows[index], value) for index, value in pairs)

    def arguments(self, method: Method, samples: Optional[int]) -> Dict[str, Any]:
        """What a method needs, by name."""
        functions = dict(EVIDENCE, gradients=_mean_gradients) if method.takes_means else EVIDENCE
        arguments = {need: functions[need](self) for need in method.needs}
        if method.samples:
            arguments["samples"] = samples or method.samples
        return arguments


def _laid_over(evidence: Evidence) -> np.ndarray:
    """The positive part of Grad-CAM at the size of the input."""
    cams = grad_cam(evidence.of_rows(evidence.batch.blobs[evidence.cam_layer]),
                    evidence.mean_gradients(evidence.cam_layer))
    size = evidence.batch.inputs[evidence.source].shape[2:]
    return laid_over_input(np.maximum(cams, 0), evidence.cam_placement, size)


def _mean_gradients(evidence: Evidence) -> np.ndarray:
    """For methods that take nothing else of the gradients."""
    return evidence.mean_gradients(evidence.blob)


def _seeds(evidence: Evidence) -> np.ndarray:
    """The derivatives with respect to the scores of each class, N x K."""
    scores = evidence.batch.scores
    diff = evidence.of_rows(top_diff(scores, evidence.seeds))
    by_position: np.ndarray = diff.reshape(len(diff), scores.shape[1], -1)
    sums: np.ndarray = by_position.sum(axis=2)
    return sums


def _values(evidence: Evidence) -> np.ndarray:
    """The question's value for each row, N float64."""
    scores = evidence.batch.scores
    return np.array([seed.values(scores[row:row + 1])[0]
                     for row, seed in zip(evidence.rows, evidence.asked)])


def _net(evidence: Evidence) -> Callable[[Pairs], np.ndarray]:
    """See ``methods.reruns``."""
    return lambda pairs: evidence.batch.rerun_net(
        evidence.source, evidence.asked, evidence.reruns(pairs))


def _head(evidence: Evidence) -> Callable[[Pairs], np.ndarray]:
    """See ``methods.reruns``."""
    return lambda pairs: evidence.batch.rerun_head(
        evidence.blob, evidence.asked, evidence.reruns(pairs))


def _noisy_gradients(evidence: Evidence) -> Callable[[np.ndarray], np.ndarray]:
    """Inputs -> gradients at the blob."""
    return lambda inputs: evidence.cut(evidence.gradients_elsewhere(inputs, evidence.blob))


def _pixel_gradients(evidence: Evidence) -> Callable[[np.ndarray], np.ndarray]:
    """Inputs -> gradients there."""
    return lambda inputs: evidence.gradients_elsewhere(inputs, evidence.source)


def _similarities(evidence: Evidence) -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """See ``explaining.detectors.similarity``, which knows the boxes that this speaks of."""
    raise QuestionError("only boxes have similarities; ask for them with --detections")


EVIDENCE: Dict[str, Callable[[Evidence], Any]] = {
    "activations": lambda evidence: evidence.of_rows(evidence.batch.blobs[evidence.blob]),
    "gradients": lambda evidence: evidence.gradients(evidence.blob),
    "inputs": lambda evidence: evidence.of_rows(evidence.batch.inputs[evidence.source]),
    "input_gradients": lambda evidence: evidence.gradients_at_source("gradient"),
    "guided_gradients": lambda evidence: evidence.gradients_at_source("guided"),
    "deconvnet_gradients": lambda evidence: evidence.gradients_at_source("deconvnet"),
    "laid_over": _laid_over,
    "seeds": _seeds,
    "values": _values,
    "class_maps": lambda evidence: evidence.anatomy.class_maps(evidence.batch, evidence.rows),
    "bias_gradients": lambda evidence: evidence.anatomy.bias_gradients(
        evidence.batch, evidence.seeds, evidence.rows, evidence.source),
    "net": _net,
    "similarities": _similarities,
    "head": _head,
    "noisy_gradients": _noisy_gradients,
    "pixel_gradients": _pixel_gradients,
}
