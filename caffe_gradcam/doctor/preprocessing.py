"""Whether images reach the net as it expects them, judged by its answers to a user's own images.

A net is most confident when mean, scale and channel order are those of its training. Mean and order
leave the magnitude of the scores alone, so their alternatives are compared by the probability of
the first class. A larger scale makes any net more confident; so the scale is judged by whether the
answer depends on the image at all, and by whether all probabilities are 1.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.doctor.findings import Finding, fine, note, warning
from caffe_gradcam.model.defaults import IMAGENET_MEAN
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing

if TYPE_CHECKING:
    from caffe_gradcam.doctor.running import Case

SCALES = (1 / 255.0, 1 / 128.0, 0.017, 1.0, 255.0)
# By how much an alternative must raise the mean probability: for a warning with several images,
# with few, and for a note. Images differ more than preprocessing does, so a few prove little.
_GAIN, _GAIN_OF_FEW, _HINT = 0.15, 0.4, 0.02
_SEVERAL = 4
_MOST = 2 / 3.0
_SATURATED = 0.999
# With correct inputs, the scores of a net are rarely further apart than this.
_WIDE = 50
_BLIND, _DULL, _SEEING = 0.1, 0.3, 0.6
_SAME_MEAN = 4.0


@dataclass(frozen=True, eq=False)
class Trial:
    """The answers of a net under one preprocessing.

    Attributes
    ----------
    options : str
        The preprocessing, as command-line options.
    top : numpy.ndarray
        The probability of the first class, for each image.
    effect : float
        How far the answers are from those to an image of the mean colour: 0 not at all, 1 wholly.
    """

    options: str
    top: np.ndarray
    effect: float


def examine(case: "Case") -> List[Finding]:
    """Compare the model's preprocessing with its alternatives."""
    if not case.are_real:
        return [note("preprocessing", "not tested, since no images were given",
                     "name some images that the net should recognise")]
    if _link(case.model) is None:
        return [note("preprocessing",
                     "not tested, since the net makes no probabilities of its scores")]
    current = trial(case, "the present options", case.model.inputs)
    findings = examine_order(case, current) + examine_mean(case, current)
    if any(finding.severity == "warning" for finding in findings):
        return findings
    return examine_scale(case, current) or findings or [fine(
        "preprocessing", f"the first class has a probability of {current.top.mean():.2f} on "
        "average, and no other mean, scale or channel order makes the net more confident")]


def trial(case: "Case", options: str, inputs: Mapping[str, Preprocessing]) -> Trial:
    """Run the net under a preprocessing."""
    prepared = case.inputs(inputs)
    probabilities = _probabilities(case, prepared)
    blank = {name: np.zeros_like(blobs[:1]) for name, blobs in prepared.items()}
    effect = np.abs(probabilities - _probabilities(case, blank)).sum(axis=1) / 2
    return Trial(options, probabilities.max(axis=1), float(min(1, effect.mean())))


def _probabilities(case: "Case", inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """N x K, where the model has a link."""
    probabilities = to_probabilities(case.scores(inputs), _link(case.model) or "none")
    assert probabilities is not None
    return probabilities


def examine_scale(case: "Case", current: Trial) -> List[Finding]:
    """Whether the scale is much too small or much too large."""
    scale = case.model.preprocessing.scale
    others = [value for value in SCALES if not 0.6 < value / scale < 1.7]
    if current.effect < _DULL:
        return _too_small(case, current, [value for value in others if value > scale])
    if np.median(current.top) > _SATURATED and _width(case) > _WIDE:
        return _too_large(case, [value for value in others if value < scale])
    return []


def _too_small(case: "Case", current: Trial, scales: Sequence[float]) -> List[Finding]:
    what = ("the answers hardly depend on the images: the first class has a probability of "
            f"{current.top.mean():.2f} on average, almost as for an image of the mean colour")
    for other in _trials(case, scales):
        if other.effect > _SEEING and (other.top - current.top).mean() > _GAIN:
            return [warning("scale", what, f"the scale of {case.model.preprocessing.scale:.3g} is "
                            f"too small: with {other.options} the first class has "
                            f"{other.top.mean():.2f}")]
    if current.effect < _BLIND:
        return [warning("scale", what, "give images of several of its classes; if that does not "
                        "help, the weights were never trained or belong to another net")]
    return []


def _too_large(case: "Case", scales: Sequence[float]) -> List[Finding]:
    for other in _trials(case, scales):
        if other.effect > _SEEING and np.median(other.top) < _SATURATED:
            return [warning("scale", "all probabilities are 1, since the scores are "
                            f"{_width(case):.0f} apart",
                            f"the scale of {case.model.preprocessing.scale:.3g} is too large: with "
                            f"{other.options} the first class has {other.top.mean():.2f}")]
    return []


def _trials(case: "Case", scales: Sequence[float]) -> Iterator[Trial]:
    return (_with(case, f"--scale {value:.4g}", scale=value) for value in scales)


def _width(case: "Case") -> float:
    """How far the highest score is from the median, in the least extreme image."""
    scores = case.scores(case.inputs())
    return float((scores.max(axis=1) - np.median(scores, axis=1)).min())


def examine_order(case: "Case", current: Trial) -> List[Finding]:
    """Whether red and blue are swapped."""
    order = case.model.preprocessing.channel_order
    if order == "GRAY":
        return []
    other = "RGB" if order == "BGR" else "BGR"
    trials = [_with(case, "--channel-order " + other, channel_order=other)]
    mean = case.model.preprocessing.mean
    if mean is not None and mean.shape[0] == 3 and not np.allclose(mean[0], mean[2]):
        trials.append(_with(case, f"--channel-order {other} and the mean in this order",
                            channel_order=other, mean=mean[::-1]))
    return _judged(current, trials, "channel order", ("red and blue are", "swapped"))


def examine_mean(case: "Case", current: Trial) -> List[Finding]:
    """Whether another mean, or none, fits better."""
    preprocessing = case.model.preprocessing
    channels = 1 if preprocessing.channel_order == "GRAY" else 3
    mean = preprocessing.mean
    colour = np.zeros(channels) if mean is None else np.broadcast_to(
        mean.reshape(mean.shape[0], -1).mean(axis=1), (channels,))
    candidates = [("none", np.zeros(channels)), ("128", np.full(channels, 128.0, np.float64))]
    if channels == 3:
        bgr = np.array(IMAGENET_MEAN)
        is_bgr = preprocessing.channel_order == "BGR"
        candidates.append(
            ("104,117,123" if is_bgr else "123,117,104", bgr if is_bgr else bgr[::-1]))
    trials = [_with(case, "--mean " + text,
                    mean=None if text == "none" else value.astype(np.float32))
              for text, value in candidates if np.abs(value - colour).max() > _SAME_MEAN]
    return _judged(current, trials, "mean", ("the mean is", "another one"))


def _judged(current: Trial, trials: Sequence[Trial], check: str,
            sentence: Tuple[str, str]) -> List[Finding]:
    """A warning where an alternative makes the net much more confident for most images; a note
    where it makes it slightly more confident for most of several images."""
    better = [other for other in trials if (other.top > current.top).mean() >= _MOST]
    if not better:
        return []
    best = max(better, key=lambda other: other.top.mean())
    gain = (best.top - current.top).mean()
    start, end = sentence
    numbers = (f"the first class has {current.top.mean():.2f} on average, and "
               f"{best.top.mean():.2f} with {best.options}")
    several = len(current.top) >= _SEVERAL
    if gain > (_GAIN if several else _GAIN_OF_FEW):
        return [warning(check, f"{start} probably {end}: {numbers}", "try " + best.options)]
    if gain > (_HINT if several else _GAIN):
        return [note(check, f"{start} possibly {end}: {numbers}",
                     "give more images of classes that the net knows, and try " + best.options)]
    return []


def _with(case: "Case", options: str, **changes: Any) -> Trial:
    inputs = {name: replace(preprocessing, **changes)
              for name, preprocessing in case.model.inputs.items()}
    return trial(case, options, inputs)


def _link(model: LoadedModel) -> Optional[str]:
    """What turns scores into probabilities; None where that has no meaning."""
    if model.link != "none":
        return model.link
    return "softmax" if model.class_names else None
