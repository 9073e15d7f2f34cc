"""Nets that end in a list of boxes instead of scores."""

import dataclasses
from typing import List, Mapping, Optional, Tuple

import numpy as np

from caffe_gradcam.model.array_inputs import ArrayInput
from prototxt_tools import layers
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Layer

_LINKS = ("softmax", "sigmoid")
# Their first bottom holds what they choose by, in its channels.
_OF_CHANNELS = ("YoloDetectionOutput", "Yolov3DetectionOutput")


def score_behind(graph: Graph, blob: str) -> Optional[str]:
    """The blob of scores that boxes were chosen by, if a blob lists boxes.

    Boxes are chosen among many, so they have no gradient; the scores have one, before any Softmax
    or Sigmoid.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    blob : str
        A score blob that nobody named.

    Returns
    -------
    str or None
        None where the blob lists no boxes.

    Raises
    ------
    ModelError
        It does, and the scores are not known.
    """
    maker = graph.maker(blob)
    if maker is None or not _is_detector(maker):
        return None
    links = _links_before(graph, maker)
    if links:
        return links[0].bottoms[0]
    if maker.type == "Python":
        return None
    if maker.type in _OF_CHANNELS:
        return maker.bottoms[0]
    path = graph.net.document.shown_path
    raise ModelError(f"{path}: {blob}, which layer {maker.name} of type {maker.type} writes, lists "
                     "boxes, not scores, and has no gradient; give --score with a blob before it",
                     path)


def link_before(graph: Graph, blob: str) -> str:
    """What makes, of the scores in a blob, the probabilities that boxes are chosen by.

    Returns
    -------
    str
        "softmax" or "sigmoid"; "none" where no layer that lists boxes chooses by them.
    """
    links = (layer for detector in graph.net.layers if _is_detector(detector)
             for layer in _links_before(graph, detector) if layer.bottoms[0] == blob)
    return next((layers.of(layer.type).link or "none" for layer in links), "none")


def with_image_size(spec: ArrayInput, pictures: Mapping[str, Tuple[int, ...]]) -> ArrayInput:
    """The input ``im_info`` of Faster R-CNN, if no value is given, with what it should hold.

    Parameters
    ----------
    spec : ArrayInput
        Any; others stay as they are.
    pictures : dict
        Input blob -> the shape of one picture.
    """
    if spec.blob != "im_info" or spec.default is not None or not pictures:
        return spec
    info = np.ones(spec.shape, np.float32)  # The scale is 1.
    info[..., :2] = next(iter(pictures.values()))[2:4]
    return dataclasses.replace(spec, default=info)


def _is_detector(layer: Layer) -> bool:
    name = layer.type.lower()
    return "detection" in name or name in ("nms", "proposal", "python")


def _links_before(graph: Graph, detector: Layer) -> List[Layer]:
    """The Softmax and Sigmoid layers before a detector."""
    return [layer for layer in _makers(graph, detector.bottoms)
            if layers.of(layer.type).link in _LINKS and layer.bottoms]


def _makers(graph: Graph, blobs: List[str]) -> List[Layer]:
    """The layers that make some blobs, looking through those that only move or join values."""
    makers: List[Layer] = []
    stack, seen = list(reversed(blobs)), set(blobs)
    while stack:
        maker: Optional[Layer] = graph.maker(stack.pop())
        if maker is None or not maker.bottoms:
            continue
        kind = layers.of(maker.type)
        if kind.carries or kind.role == "join":
            unseen = [blob for blob in maker.bottoms if blob not in seen]
            seen.update(unseen)
            stack += reversed(unseen)
        else:
            makers.append(maker)
    return makers
