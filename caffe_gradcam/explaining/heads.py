"""What methods need to know of a net beyond its blobs: pooled heads, and biases."""

from typing import Any, Dict, List, NamedTuple

import numpy as np

from caffe_gradcam.model import blobs
from prototxt_tools import rewrite, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

_CARRIERS = ("Dropout", "Flatten", "Reshape", "Split")


def pooled_blob(graph, score, blob_shapes):
    """The blob whose mean over all places makes the scores, and the linear layer behind it.

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
    InputError
        The net's head is another; CAM has no meaning there.
    """
    linear, blob = None, score
    while True:
        maker = graph.maker(blob)
        if maker is None or len(maker.bottoms) != 1 or len(graph.writers(blob)) > 1 and any(
                graph.net.layers[index].type not in _CARRIERS
                for index in graph.writers(blob)[1:]):
            raise _no_pooled_head(score, maker)
        below = maker.bottoms[0]
        if maker.type == "Pooling" and _is_mean(maker, blob_shapes.get(below)):
            return below, linear
        if linear is None and _is_linear(maker, blob_shapes.get(below)):
            linear = maker
        elif maker.type not in _CARRIERS:
            raise _no_pooled_head(score, maker)
        blob = below


def class_maps(activations, layer, weights):
    """Maps whose means are, but for a constant, the scores.

    Parameters
    ----------
    activations : numpy.ndarray
        N x C x h x w: what the pooled blob holds.
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
    maps = np.matmul(matrix, activations.reshape(images, channels, -1))
    return maps.reshape(images, len(matrix), height, width)


class Biased(NamedTuple):
    """A net with a blob for the output of every layer that adds a bias.

    Attributes
    ----------
    prototxt : str
        With no layer in place.
    score : str
        The score blob's name there.
    biases : dict
        Blob -> float32, one number per channel: of convolutions and Scale layers what they add,
        of BatchNorm what subtracting the mean adds.
    inputs : dict
        Blob -> the net's inputs that it depends on.
    """

    prototxt: str
    score: str
    biases: Dict[str, Any]
    inputs: Dict[str, List[str]]


def biased_net(prototxt, score, weights):
    """The net that a prototxt describes, as a Biased.

    Parameters
    ----------
    prototxt : str
    score : str
    weights : dict
        Layer name -> list of arrays.
    """
    original = Graph(Net.parse(Document.parse(prototxt)).at("TEST"))
    last = original.net.layers[original.writers(score)[-1]]
    index = last.tops.index(score)
    document = rewrite.un_in_place(Document.parse(prototxt)).document
    net = Net.parse(document).at("TEST")
    score = net.layer(last.name).tops[index]
    known, graph = shapes.infer(net), Graph(net)
    needed = graph.ancestors([score])
    biases = {}
    for position, layer in enumerate(net.layers):
        bias = _bias(layer, weights.get(layer.name, ())) if position in needed else None
        if bias is not None and len(known.get(layer.tops[0], ())) == 4:
            biases[layer.tops[0]] = np.float32(bias)
    biases.pop(score, None)
    inputs = [entry.blob for entry in net.inputs]
    return Biased(document.text(), score, biases,
                  {blob: blobs.sources(graph, blob, inputs) for blob in biases})


def _bias(layer, arrays):
    """What a layer adds to each channel, or None."""
    if layer.type in ("Convolution", "Deconvolution") and len(arrays) > 1:
        return np.ravel(arrays[1])
    if layer.type == "Scale" and layer.message.scale_param.bias_term and len(arrays) > 1:
        return np.ravel(arrays[1])
    if layer.type == "Bias" and arrays:
        return np.ravel(arrays[0])
    if layer.type == "BatchNorm" and len(arrays) > 2:
        # As Caffe: a factor of 0 says that nothing was learned, and counts as means of 0.
        factor = float(np.ravel(arrays[2])[0])
        mean, variance = (np.ravel(one).astype(np.float64) * (1 / factor if factor else 0)
                          for one in arrays[:2])
        return -mean / np.sqrt(variance + layer.message.batch_norm_param.eps)
    return None


def _is_mean(layer, shape):
    """Whether a pooling layer takes the mean over all places."""
    pooling = layer.message.pooling_param
    if pooling.pool != 1 or shape is None or len(shape) != 4:
        return False
    sides = (pooling.kernel_h or pooling.kernel_size, pooling.kernel_w or pooling.kernel_size)
    padded = pooling.pad or pooling.pad_h or pooling.pad_w
    return pooling.global_pooling or sides == tuple(shape[2:]) and not padded


def _is_linear(layer, shape):
    """Whether a layer weighs channels, one place at a time or after pooling."""
    if layer.type == "InnerProduct":
        return True
    kernel = list(layer.message.convolution_param.kernel_size)
    return (layer.type == "Convolution" and set(kernel) == {1} and shape is not None
            and set(shape[2:]) == {1} and layer.message.convolution_param.group == 1)


def _no_pooled_head(score, maker):
    stands = "the input" if maker is None else f"{maker.type} {maker.name}"
    return InputError(
        f"cam wants scores made by average pooling and one linear layer at most; before {score} stands "
        f"{stands}; take grad-cam, which needs no such head")
