"""Maps of classes of a batch: made by the engine, or here of what its passes give."""

from typing import Dict, Mapping, Tuple, Union

import numpy as np

from caffe_gradcam.engines.class_maps import ClassMaps, MapRequest, MapsAtHand, PendingMaps
from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.engines.on_device import OnDevice
from caffe_gradcam.explaining.methods import METHODS, checked_maps


def begin(engine: Engine, inputs: Mapping[str, Union[np.ndarray, OnDevice]], request: MapRequest
          ) -> PendingMaps:
    """Begin to make maps of classes.

    Parameters
    ----------
    engine : Engine
    inputs : dict
        As for ``Engine.begin_maps``.
    request : MapRequest

    Returns
    -------
    PendingMaps

    Raises
    ------
    InputError
        As ``Engine.forward`` and ``Engine.backward`` do.
    """
    pending = engine.begin_maps(inputs, request)
    if pending is not None:
        return pending
    arrays = {name: value.array() if isinstance(value, OnDevice) else value
              for name, value in inputs.items()}
    return MapsAtHand(_made_here(engine, arrays, request))


def _made_here(engine: Engine, inputs: Mapping[str, np.ndarray], request: MapRequest) -> ClassMaps:
    """The maps, from what an engine's ``forward`` and ``backward`` give."""
    blobs = engine.forward(inputs, [request.score, *request.layers])
    blob = blobs[request.score]
    scores = blob.reshape(len(blob), -1)
    classes = request.classes_of(scores)
    cams: Dict[Tuple[int, str, str], np.ndarray] = {}
    for rank, index in enumerate(classes.T):
        diff = np.zeros(scores.shape, np.float32)
        diff[np.arange(len(scores)), index] = 1
        gradients = _gradients(engine, diff.reshape(blob.shape), request)
        for method in request.methods:
            for layer in request.layers:
                cams[rank, method, layer] = _map(method, blobs[layer], gradients[method, layer])
    return ClassMaps(blob, classes, cams)


def _gradients(engine: Engine, diff: np.ndarray, request: MapRequest
               ) -> Dict[Tuple[str, str], np.ndarray]:
    """What each method gets as gradients at each layer: their means, where they do."""
    of_means = [method for method in request.methods
                if METHODS[method].takes_means and not request.only_positive]
    means = engine.mean_gradients(request.score, diff, request.layers) if of_means else {}
    plain = [layer for layer in request.layers
             if layer not in means or len(of_means) < len(request.methods)]
    gradients = engine.backward(request.score, diff, plain) if plain else {}
    if request.only_positive:
        gradients = {layer: np.maximum(value, 0) for layer, value in gradients.items()}
    return {(method, layer): means[layer] if method in of_means and layer in means
            else gradients[layer] for method in request.methods for layer in request.layers}


def _map(name: str, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The maps of a method, N x h x w; of a blob that is no map, an array of another shape."""
    if activations.ndim != 4:
        return activations
    evidence = {"activations": activations, "gradients": gradients}
    method = METHODS[name]
    # Overflow shows as infinity or NaN in the map.
    with np.errstate(over="ignore", invalid="ignore"):
        maps = method.function(**{need: evidence[need] for need in method.needs})
    count, _, height, width = activations.shape
    checked = checked_maps(name, maps, (count, height, width))
    return checked.astype(np.float32, copy=False)
