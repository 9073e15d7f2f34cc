"""What an explaining graph has to give, by the engine and the methods themselves."""

from typing import Dict, List, Mapping, Tuple

import numpy as np

from caffe_gradcam.asking.seeds import to_probabilities
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.explaining import heads
from caffe_gradcam.explaining.explanation import status_of
from caffe_gradcam.explaining.methods import METHODS, heatmap
from caffe_gradcam.export.explaining.graph import (
    ExplainOptions,
    explained_blobs,
    output_names,
    resizing,
)
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights as weight_files

Arrays = Dict[str, np.ndarray]


def expected_outputs(model: LoadedModel, options: ExplainOptions, engine: Engine,
                     blobs: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs of the graph, after a forward pass of the engine.

    Parameters
    ----------
    model : LoadedModel
    options : ExplainOptions
    engine : Engine
        Opened for the score and the blobs that are explained.
    blobs : dict
        What the forward pass kept: the score and those blobs among them.
    """
    scores = blobs[model.score]
    vectors = scores.reshape(len(scores), -1)
    best = np.argsort(-vectors, axis=1, kind="stable")[:, :options.top]
    outputs = {"score": vectors, "class": best}
    if model.score == "score":
        outputs["score"] = scores
    probabilities = to_probabilities(vectors, model.link)
    if probabilities is not None:
        outputs["probability"] = np.asarray(probabilities, np.float32)
    explained = explained_blobs(model, options)
    for blob, suffix in output_names(explained, options).items():
        cams = [_cams(model, options.method, engine, blobs, (blob, best[:, rank]))
                for rank in range(options.top)]
        stacked = cams[0] if options.top == 1 else np.stack(cams, axis=1)
        outputs["cam" + suffix] = stacked
        if options.heatmap:
            outputs["heatmap" + suffix] = _heatmaps(model, blob, stacked)
    return outputs


def _cams(model: LoadedModel, method: str, engine: Engine, blobs: Mapping[str, np.ndarray],
          question: Tuple[str, np.ndarray]) -> np.ndarray:
    """The maps at a blob of one class for each row."""
    blob, classes = question
    rows = np.arange(len(classes))
    seeds = np.zeros((len(rows), int(np.prod(blobs[model.score].shape[1:]))), np.float32)
    seeds[rows, classes] = 1
    if method == "cam":
        layer = heads.pooled_blob(model.graph, model.score, model.shapes)[1]
        maps = heads.class_maps(blobs[blob], layer, weight_files.load(model.weights))
        return METHODS["cam"].function(class_maps=maps, seeds=seeds)
    gradients = engine.backward(
        model.score, seeds.reshape(blobs[model.score].shape), [blob])[blob]
    cams: np.ndarray = METHODS[method].function(activations=blobs[blob], gradients=gradients)
    return cams


def _heatmaps(model: LoadedModel, blob: str, cams: np.ndarray) -> np.ndarray:
    """Maps at the size of the input, as an ``Explanation`` of a picture of that size has them."""
    size = tuple(model.shapes[model.input_of(blob)][2:])
    down, across = resizing(cams.shape[-2:], size, model.placements([blob])[blob])
    flat = cams.reshape((-1,) + cams.shape[-2:])
    laid: List[np.ndarray] = []
    for cam in flat:
        positive = np.maximum(cam, 0) * (status_of(cam) == "ok")
        laid.append(heatmap(np.dot(np.dot(down, positive), across.T)))
    return np.stack(laid).reshape(cams.shape[:-2] + size)
