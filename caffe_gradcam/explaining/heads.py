"""What methods need to know of a net beyond its blobs: pooled heads, and biases."""

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.model import blobs
from prototxt_tools import layers, rewrite, shapes
from prototxt_tools.errors import QuestionError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.text.document import Document


def pooled_blob(graph: Graph, score: str, blob_shapes: Mapping[str, Tuple[int, ...]]
                ) -> Tuple[str, Optional[Layer]]:
    """The blob whose mean over all positions makes the scores, and the linear layer behind it.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    score : str
    blob_shapes : dict
        Blob name -> shape.

    Returns
    -------
    blob : str
    layer : prototxt_tools.net.net.Layer or None
        The InnerProduct or 1 x 1 Convolution that weighs the means; None where they are the
        scores.

    Raises
    ------
    QuestionError
        The net's head is different; CAM has no meaning there.
    """
    linear, blob = None, score
    while True:
        maker = graph.maker(blob)
        if maker is None or len(maker.bottoms) != 1 or len(graph.writers(blob)) > 1 and any(
                layers.of(graph.net.layers[index].type).role != "identity"
                for index in graph.writers(blob)[1:]):
            raise _no_pooled_head(score, maker)
        below = maker.bottoms[0]
        if maker.type == "Pooling" and _is_mean(maker, blob_shapes.get(below)):
            return below, linear
        if linear is None and _is_linear(maker, blob_shapes.get(below)):
            linear = maker
        elif layers.of(maker.type).role != "identity":
            raise _no_pooled_head(score, maker)
        blob = below


def class_maps(activations: np.ndarray, layer: Optional[Layer],
               weights: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Maps whose means are, but for a constant, the scores.

    Parameters
    ----------
    activations : numpy.ndarray
        N x C x h x w: what the blob before the pooling holds.
    layer : prototxt_tools.net.net.Layer or None
        See :func:`pooled_blob`.
    weights : dict
        Layer name -> list of arrays.

    Returns
    -------
    numpy.ndarray
        N x K x h x w float32.
    """
    if layer is None:
        return activations
    matrix = weights[layer.name][0]
    channels = activations.shape[1]
    inner = layer.message.inner_product_param
    if layer.type == "InnerProduct" and inner.transpose:
        matrix = matrix.reshape(channels, -1).T
    matrix = np.float32(matrix.reshape(-1, channels))
    images, _, height, width = activations.shape
    maps: np.ndarray = np.matmul(matrix, activations.reshape(images, channels, -1))
    return maps.reshape(images, len(matrix), height, width)


@dataclass(frozen=True, eq=False)
class BiasedNet:
    """A net with a blob for the output of every layer that adds a bias.

    Attributes
    ----------
    prototxt : str
        With no layer in place.
    score : str
        The score blob's name there.
    biases : dict
        Blob -> float32, one number per channel: of convolutions and Scale layers what they add,
        of BatchNorm what subtracting the mean adds. Of blobs whose shape is unknown it turns out
        only when the net runs whether they have positions, and the biases count.
    inputs : dict
        Blob -> the net's inputs that it depends on.
    """

    prototxt: str
    score: str
    biases: Dict[str, np.ndarray]
    inputs: Dict[str, List[str]]


def biased_net(prototxt: str, score: str, weights: Mapping[str, Sequence[np.ndarray]],
               inputs: Sequence[str] = ()) -> BiasedNet:
    """The net that a prototxt describes, with a blob for the output of every bias.

    Parameters
    ----------
    prototxt : str
    score : str
    weights : dict
        Layer name -> list of arrays.
    inputs : sequence of str
        The blobs that pictures go into; without them, all inputs.
    """
    document = Document.parse(prototxt)
    original = Graph(Net.parse(document).at("TEST"))
    last = original.net.layers[original.writers(score)[-1]]
    index = last.tops.index(score)
    document = rewrite.un_in_place(document).document
    net = Net.parse(document).at("TEST")
    rewritten = net.layer(last.name)
    assert rewritten is not None
    score = rewritten.tops[index]
    blob_shapes, graph = shapes.infer(net), Graph(net)
    needed = graph.ancestors([score])
    biases: Dict[str, np.ndarray] = {}
    for position, layer in enumerate(net.layers):
        bias = _bias(layer, weights.get(layer.name, ())) if position in needed else None
        if bias is not None and len(blob_shapes.get(layer.tops[0]) or (0,) * 4) == 4:
            biases[layer.tops[0]] = np.float32(bias)
    biases.pop(score, None)
    inputs = inputs or [entry.blob for entry in net.inputs]
    return BiasedNet(document.text(), score, biases,
                     {blob: blobs.sources(graph, blob, inputs) for blob in biases})


def _bias(layer: Layer, arrays: Sequence[np.ndarray]) -> Optional[np.ndarray]:
    """What a layer adds to each channel, or None."""
    if layer.type in ("Convolution", "Deconvolution") and len(arrays) > 1:
        return np.ravel(arrays[1])
    if layer.type == "Scale" and layer.message.scale_param.bias_term and len(arrays) > 1:
        return np.ravel(arrays[1])
    if layer.type == "Bias" and arrays:
        return np.ravel(arrays[0])
    if layer.type == "BatchNorm" and len(arrays) > 2:
        # As in Caffe: a factor of 0 means that nothing was learned, and counts as means of 0.
        factor = float(np.ravel(arrays[2])[0])
        mean, variance = (np.ravel(array).astype(np.float64) * (1 / factor if factor else 0)
                          for array in arrays[:2])
        offset: np.ndarray = -mean / np.sqrt(variance + layer.message.batch_norm_param.eps)
        return offset
    return None


def _is_mean(layer: Layer, shape: Optional[Tuple[int, ...]]) -> bool:
    """Whether a pooling layer takes the mean over all positions."""
    pooling = layer.message.pooling_param
    if pooling.pool != 1 or shape is None or len(shape) != 4:
        return False
    sides = (pooling.kernel_h or pooling.kernel_size, pooling.kernel_w or pooling.kernel_size)
    padded = pooling.pad or pooling.pad_h or pooling.pad_w
    return bool(pooling.global_pooling or sides == tuple(shape[2:]) and not padded)


def _is_linear(layer: Layer, shape: Optional[Tuple[int, ...]]) -> bool:
    """Whether a layer weighs channels, one position at a time or after pooling."""
    if layer.type == "InnerProduct":
        return True
    kernel = list(layer.message.convolution_param.kernel_size)
    return (layer.type == "Convolution" and set(kernel) == {1} and shape is not None
            and set(shape[2:]) == {1} and layer.message.convolution_param.group == 1)


def _no_pooled_head(score: str, maker: Optional[Layer]) -> QuestionError:
    layer_text = "the input" if maker is None else f"{maker.type} {maker.name}"
    return QuestionError(
        f"cam needs scores made by average pooling and at most one linear layer; before {score} "
        f"stands {layer_text}; use grad-cam, which needs no such head", "cam")
