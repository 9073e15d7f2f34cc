"""Sanity checks: a map shows the net if it changes when the weights or the class do.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3: cascading randomisation
from the top layer down.
"""

from typing import Any, Callable, Dict, List, TypeVar

import numpy as np

Seen = TypeVar("Seen")
Weights = Dict[str, List[np.ndarray]]


def cascade(
    engine: Any,
    weights: Weights,
    stages: List[List[str]],
    look: Callable[[], Seen],
    seed: int = 0,
) -> List[Seen]:
    """Randomise a net from the top down, and look at it after each stage.

    The weights are put back at the end, whatever happens.

    Parameters
    ----------
    engine : caffe_gradcam.engines.contract.Engine
        Or anything with ``replace_weights({layer: [arrays]})``.
    weights : dict
        Layer name -> list of arrays: the engine's present weights.
    stages : list of list of str
        Names of layers, the top first; a layer that was randomised stays so in later stages.
    look : callable
        Called without arguments after each stage.
    seed : int

    Returns
    -------
    list
        What ``look`` returned at each stage.
    """
    rng = np.random.RandomState(seed)
    try:
        seen = []
        for layers in stages:
            engine.replace_weights({name: shuffled(weights[name], rng) for name in layers})
            seen.append(look())
        return seen
    finally:
        engine.replace_weights({name: weights[name] for layers in stages for name in layers})


def shuffled(arrays: List[np.ndarray], rng: np.random.RandomState) -> List[np.ndarray]:
    """A layer's arrays, each with its values in random order.

    The distribution of the values is kept, so that no activation explodes or vanishes and the
    variances of a BatchNorm stay positive, while everything that the layer has learned is lost.

    Parameters
    ----------
    arrays : list of numpy.ndarray
    rng : numpy.random.RandomState

    Returns
    -------
    list of numpy.ndarray
        New arrays of the same shapes and dtypes.
    """
    return [rng.permutation(array.ravel()).reshape(array.shape) for array in arrays]


def stages(layers: List[str], count: int) -> List[List[str]]:
    """Group layers, the last one first, into ``count`` nearly equal stages at most.

    Parameters
    ----------
    layers : list of str
        Layers with weights, in the order of the net.
    count : int

    Returns
    -------
    list of list of str
    """
    downwards = layers[::-1]
    parts = np.array_split(np.arange(len(downwards)), min(count, len(downwards)) or 1)
    return [[downwards[index] for index in part] for part in parts if len(part)]


def smoothing_copies(blob: np.ndarray, magnitude: float = 0.1, samples: int = 50, seed: int = 0
                     ) -> np.ndarray:
    """Noisy copies of an image and the image itself, whose maps are averaged at each stage.

    Smooth MPRT: a map's own noise does not count as a change. Hedström, Weber, Lapuschkin and
    Höhne, "Sanity Checks Revisited: An Exploration to Repair the Model Parameter Randomisation
    Test", 2023.

    Parameters
    ----------
    blob : numpy.ndarray
        C x h x w.
    magnitude : float
        The standard deviation of the noise, relative to the range of the blob.
    samples : int
        The number of copies, with the image itself, which comes last.
    seed : int

    Returns
    -------
    numpy.ndarray
        ``samples`` x C x h x w float32.
    """
    deviation = magnitude * float(blob.max() - blob.min())
    noise = np.random.RandomState(seed).standard_normal((samples - 1,) + blob.shape)
    return np.concatenate([blob + deviation * noise, blob[np.newaxis]]).astype(np.float32)


def relative_rise(before: float, after: float) -> float:
    """Efficient MPRT: how much more complex a map is when all weights are random.

    Hedström et al., 2023; the complexity is ``complexity.discrete_entropy``.

    Parameters
    ----------
    before, after : float
        The complexity of the map of the net, and of the net with random weights.

    Returns
    -------
    float
        Above 0 where random weights make the map more complex; NaN where ``before`` is 0.
    """
    return (after - before) / before if before else float("nan")


def other_class(class_index: int, count: int, rng: np.random.RandomState) -> int:
    """A random class beside one of ``count``, whose map should look different.

    Random logit test: Sixt, Granz and Landgraf, "When Explanations Lie: Why Many Modified BP
    Attributions Fail", ICML 2020. Its result is the similarity of the two maps.
    """
    drawn = int(rng.randint(count - 1))
    return drawn + (drawn >= class_index)
