"""Whether pictures reach the net as it wants them, by what it says of a user's own pictures.

A net is surest when mean, scale and channel order are those of its training. Mean and order leave
the size of scores alone, so their alternatives are compared by the probability of the first class.
A larger scale makes any net surer; so scale is judged by whether the answer depends on the picture
at all, and whether probabilities are all 1.
"""

import dataclasses

from typing import Any, Dict, NamedTuple

import numpy as np

from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.doctor.findings import fine, note, warning
from caffe_gradcam.model.loading import IMAGENET_MEAN

SCALES = (1 / 255.0, 1 / 128.0, 0.017, 1.0, 255.0)
# How much surer an alternative must make the net, on average: of several pictures, of few, and
# for a hint. Pictures differ more than preprocessing does, so few of them prove little.
_SURER, _SURER_OF_FEW, _HINT = 0.15, 0.4, 0.02
_SEVERAL = 4
_MOST = 2 / 3.0
_SATURATED = 0.999
# Scores of a net whose input is right are seldom further apart.
_WIDE = 50
_BLIND, _DULL, _SEEING = 0.1, 0.3, 0.6
_SAME_MEAN = 4.0


class Trial(NamedTuple):
    """What a net says under one preprocessing.

    Attributes
    ----------
    words : str
        The preprocessing, as one gives it on the command line.
    inputs : dict
        Input blob -> Preprocessing.
    top : numpy.ndarray
        The probability of the first class, for each picture.
    effect : float
        How far answers are from those about a picture of the mean colour: 0 not at all, 1 wholly.
    """

    words: str
    inputs: Dict[str, Any]
    top: Any
    effect: float


def examine(case):
    """Compare the model's preprocessing with its alternatives.

    Parameters
    ----------
    case : running.Case

    Returns
    -------
    list of Finding
    """
    if not case.are_real:
        return [note("preprocessing", "not tried: no pictures were given",
                     "name some that the net should know")]
    if _link(case.model) is None:
        return [note("preprocessing", "not tried: the net makes no probabilities of its scores")]
    own = trial(case, "as it is", case.model.inputs)
    found = ordered(case, own) + centred(case, own)
    if any(one.severity == "warning" for one in found):
        return found
    return scaled(case, own) or found or [fine(
        "preprocessing", f"the first class has {own.top.mean():.2f} on average, and no other mean, scale or "
        "channel order makes the net surer")]


def trial(case, words, inputs):
    """Run the net under a preprocessing."""
    link = _link(case.model)
    prepared = case.inputs(inputs)
    chances = to_probabilities(case.scores(prepared), link)
    blank = {name: np.zeros_like(blobs[:1]) for name, blobs in prepared.items()}
    effect = np.abs(chances - to_probabilities(case.scores(blank), link)).sum(axis=1) / 2
    return Trial(words, inputs, chances.max(axis=1), float(min(1, effect.mean())))


def scaled(case, own):
    """A scale that is much too small or much too large."""
    scale = case.model.preprocessing.scale
    others = [value for value in SCALES if not 0.6 < value / scale < 1.7]
    if own.effect < _DULL:
        return _too_small(case, own, [value for value in others if value > scale])
    if np.median(own.top) > _SATURATED and _width(case) > _WIDE:
        return _too_large(case, [value for value in others if value < scale])
    return []


def _too_small(case, own, others):
    what = f"the answers hardly depend on the pictures: the first class has {own.top.mean():.2f} on average, " \
        "almost as for a picture of the mean colour"
    for one in _trials(case, others):
        if one.effect > _SEEING and (one.top - own.top).mean() > _SURER:
            return [warning("scale", what, f"the scale of {case.model.preprocessing.scale:.3g} is too small: with {one.words} the first "
                            f"class has {one.top.mean():.2f}")]
    if own.effect < _BLIND:
        return [warning("scale", what, "show it pictures of several of its classes; if that "
                        "does not help, the weights were never trained or are of another net")]
    return []


def _too_large(case, others):
    for one in _trials(case, others):
        if one.effect > _SEEING and np.median(one.top) < _SATURATED:
            return [warning("scale", f"the probabilities are all 1, since scores are {_width(case):.0f} "
                            "apart", f"the scale of {case.model.preprocessing.scale:.3g} is too large: with "
                            f"{one.words} the first class has {one.top.mean():.2f}")]
    return []


def _trials(case, scales):
    return (_with(case, f"--scale {value:.4g}", scale=value) for value in scales)


def _width(case):
    """How far the highest score is from the middle one, in the least extreme picture."""
    scores = case.scores(case.inputs())
    return float((scores.max(axis=1) - np.median(scores, axis=1)).min())


def ordered(case, own):
    """Red and blue swapped."""
    order = case.model.preprocessing.channel_order
    if order == "GRAY":
        return []
    other = "RGB" if order == "BGR" else "BGR"
    tried = [_with(case, "--channel-order " + other, channel_order=other)]
    mean = case.model.preprocessing.mean
    if mean is not None and mean.shape[0] == 3 and not np.allclose(mean[0], mean[2]):
        tried.append(_with(case, f"--channel-order {other} and the mean in this order",
                           channel_order=other, mean=mean[::-1]))
    return _verdict(own, tried, "channel order", ("red and blue are", "swapped"))


def centred(case, own):
    """Another mean, or none."""
    mean = case.model.preprocessing.mean
    channels = 1 if case.model.preprocessing.channel_order == "GRAY" else 3
    colour = np.zeros(channels) if mean is None else np.broadcast_to(
        mean.reshape(mean.shape[0], -1).mean(axis=1), (channels,))
    known = [("none", np.zeros(channels)), ("128", np.full(channels, 128.0))]
    if channels == 3:
        bgr = np.array(IMAGENET_MEAN)
        is_bgr = case.model.preprocessing.channel_order == "BGR"
        known.append(("104,117,123" if is_bgr else "123,117,104", bgr if is_bgr else bgr[::-1]))
    tried = [_with(case, "--mean " + words,
                   mean=None if words == "none" else np.float32(value))
             for words, value in known if np.abs(value - colour).max() > _SAME_MEAN]
    return _verdict(own, tried, "mean", ("the mean is", "another"))


def _verdict(own, tried, check, what):
    """A warning where an alternative makes the net much surer of most pictures; a note where it
    makes it a little surer of most of several."""
    better = [one for one in tried if (one.top > own.top).mean() >= _MOST]
    if not better:
        return []
    best = max(better, key=lambda one: one.top.mean())
    gain = (best.top - own.top).mean()
    said = f"the first class has {own.top.mean():.2f} on average, with {best.words} it has {best.top.mean():.2f}"
    if gain > (_SURER if len(own.top) >= _SEVERAL else _SURER_OF_FEW):
        return [warning(check, "{} probably {}: {}".format(*(what + (said,))), "try " + best.words)]
    if gain > (_HINT if len(own.top) >= _SEVERAL else _SURER):
        return [note(check, "{} possibly {}: {}".format(*(what + (said,))),
                     "show more pictures of classes that the net knows, and try " + best.words)]
    return []


def _with(case, words, **changes):
    inputs = {name: dataclasses.replace(one, **changes) for name, one in case.model.inputs.items()}
    return trial(case, words, inputs)


def _link(model):
    """What to make probabilities with; None where that means nothing."""
    if model.link != "none":
        return model.link
    return "softmax" if model.class_names else None
