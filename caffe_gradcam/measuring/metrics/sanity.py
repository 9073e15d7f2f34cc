"""Sanity check: a map that does not change when the weights are random does not show the net.

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
