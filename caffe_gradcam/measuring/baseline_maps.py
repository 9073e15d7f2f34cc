"""The baselines of a map: maps that ignore the net, as explanations of the same question."""

import os
from dataclasses import replace
from typing import List, Tuple

import numpy as np

from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.measuring.measurement import BASELINES
from caffe_gradcam.measuring.metrics import baselines
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared

# Without a known shape of the target blob, the random baseline is this coarse.
USUAL_CELLS = (7, 7)


def baselines_of(explanation: Explanation, prepared: Prepared, cells: Tuple[int, int],
                 rng: np.random.RandomState) -> List[Explanation]:
    """The baselines of an explanation, one for each of ``BASELINES``.

    Parameters
    ----------
    explanation : Explanation
    prepared : Prepared
        The image that it is about.
    cells : (int, int)
        Rows and columns of the random one.
    rng : numpy.random.RandomState
    """
    height, width = prepared.blobs[explanation.input].shape[2:]
    maps = {"random": baselines.random_map((height, width), cells, rng),
            "centre": baselines.centre_map((height, width))}
    return [replace(explanation, method=name, layer="", cam=maps[name], placement=None,
                    geometry=prepared.geometries[explanation.input][0]) for name in BASELINES]


def noise_of(path: str, seed: int, number: int) -> np.random.RandomState:
    """The random numbers of an image's baseline, the same in whichever folder the image lies.

    Parameters
    ----------
    path : str
    seed : int
    number : int
        Of the class, the box or the word.
    """
    return np.random.RandomState([seed, number] + list(os.fsencode(os.path.basename(path))))


def cells_of(model: LoadedModel) -> Tuple[int, int]:
    """Rows and columns of a model's first layer."""
    shape = model.shapes.get(model.layers[0])
    return (shape[2], shape[3]) if shape else USUAL_CELLS
