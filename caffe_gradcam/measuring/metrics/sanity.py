"""Sanity check: a map that stays as it is when the weights are random shows no net, but an edge.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 3: cascading randomisation
from the top layer down.
"""

import numpy as np


def cascade(engine, weights, stages, look, seed=0):
    """Randomise a net from the top down, and look at it after each stage.

    The weights are back in place at the end, whatever happens.

    Parameters
    ----------
    engine : caffe_gradcam.engines.contract.Engine
        Or anything with ``replace_weights({layer: [arrays]})``.
    weights : dict
        Layer name -> list of arrays: what the engine has now.
    stages : list of list of str
        Names of layers, the top first; what was randomised stays so in the next stages.
    look : callable
        Called without arguments after each stage.
    seed : int

    Returns
    -------
    list
        What ``look`` gave, one per stage.
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


def shuffled(arrays, rng):
    """A layer's arrays with the numbers of each in random order.

    Their distribution stays, so that no value explodes or vanishes on the way up, and the variances
    of a BatchNorm stay positive; what the layer has learnt is gone.

    Parameters
    ----------
    arrays : list of numpy.ndarray
    rng : numpy.random.RandomState

    Returns
    -------
    list of numpy.ndarray
        New arrays of the same shapes and types.
    """
    return [rng.permutation(array.ravel()).reshape(array.shape) for array in arrays]


def stages(layers, count):
    """Group layers, the last of the net first, in at most ``count`` stages of nearly equal size.

    Parameters
    ----------
    layers : list of str
        With weights, in the order of the net.
    count : int

    Returns
    -------
    list of list of str
    """
    downwards = layers[::-1]
    parts = np.array_split(np.arange(len(downwards)), min(count, len(downwards)) or 1)
    return [[downwards[index] for index in part] for part in parts if len(part)]
