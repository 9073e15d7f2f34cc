"""What methods need to know of a net beyond its blobs: its weights, its head and its biases."""

import dataclasses
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np

from caffe_gradcam.engines.contract import Engine
from caffe_gradcam.engines.running import NetToRun
from caffe_gradcam.engines.subnet import separate, share
from caffe_gradcam.explaining import heads
from caffe_gradcam.explaining.passes import Pass, Seeds
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import shapes
from prototxt_tools.errors import ModelError

Weights = Mapping[str, List[np.ndarray]]
OpenEngine = Callable[[NetToRun], Engine]


class Anatomy:
    """A net's weights, and what is made of them when a method needs it.

    Parameters
    ----------
    model : LoadedModel
    open_engine : callable
        Opens an engine for another net: FullGrad needs one in which every bias has a blob.
    """

    def __init__(self, model: LoadedModel, open_engine: OpenEngine) -> None:
        self._model, self._open_engine = model, open_engine
        self._weights: Optional[Dict[str, List[np.ndarray]]] = None
        self._replaced: Dict[str, List[np.ndarray]] = {}
        self._biased: Optional[heads.BiasedNet] = None
        self._biased_engine: Optional[Engine] = None

    def class_maps(self, batch: Pass, rows: Sequence[int]) -> np.ndarray:
        """Maps whose means are, but for a constant, the scores: N x K x h x w."""
        model = self._model
        blob, layer = heads.pooled_blob(model.graph, model.score, model.shapes)
        return heads.class_maps(batch.blobs[blob][list(rows)], layer, self._loaded_weights())

    def bias_gradients(self, batch: Pass, seeds: Seeds, rows: Sequence[int],
                       source: str) -> Iterable[np.ndarray]:
        """Bias times gradient, for every layer that adds one and depends on an input."""
        net = self._biased_net()
        if not net.biases:
            return []
        chosen = [blob for blob in net.biases if source in net.inputs[blob]]
        model = dataclasses.replace(self._model, score=net.score)
        again = Pass(self._opened(net), model, batch.inputs, [], together=chosen)
        # One by one: together they are larger than everything that the net holds.
        gradients = ((blob, again.gradients(seeds, blob)[list(rows)]) for blob in chosen)
        return (gradient * net.biases[blob][:, np.newaxis, np.newaxis]
                for blob, gradient in gradients if gradient.ndim == 4)

    def replace_weights(self, weights: Weights) -> None:
        """Put other weights into layers; see ``Engine.replace_weights``."""
        self._weights = dict(self._loaded_weights(), **weights)
        self._replaced.update(weights)
        self._biased = None
        if self._biased_engine is not None:
            self._biased_engine.replace_weights(weights)

    def close(self) -> None:
        """Close the engine of the net with blobs for its biases."""
        if self._biased_engine is not None:
            self._biased_engine.close()

    def _opened(self, net: heads.BiasedNet) -> Engine:
        if self._biased_engine is None:
            self._biased_engine = self._open_engine(NetToRun(
                net.prototxt, self._model.weights, (net.score,), tuple(net.biases)))
            if self._replaced:
                self._biased_engine.replace_weights(self._replaced)
        return self._biased_engine

    def _biased_net(self) -> heads.BiasedNet:
        if self._biased is None:
            document = self._model.graph.net.document
            if separate(document, self._model.weights).notes:
                raise ModelError(
                    "layers of this net share a name or do the work of several, so that the "
                    "biases cannot be told apart; rewrite it with prototxt-tools rewrite --stock "
                    "--weights", self._model.weights)
            self._biased = heads.biased_net(
                self._model.prototxt, self._model.score, self._loaded_weights(),
                tuple(self._model.inputs))
        return self._biased

    def _loaded_weights(self) -> Dict[str, List[np.ndarray]]:
        if self._weights is None:
            net = self._model.graph.net
            separated = separate(net.document, self._model.weights)
            self._weights = share(net, separated.weights)
            for name in shapes.namesakes(net):
                del self._weights[name]
        return self._weights
