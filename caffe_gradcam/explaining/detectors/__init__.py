"""Finding boxes in what a net's heads give, with any engine.

Each kind of detector is a :class:`Detector`; :func:`detector_of` chooses it by the net's layers.
"""

from typing import Mapping

from caffe_gradcam.explaining.detectors.coverage import CLUSTER, Coverage
from caffe_gradcam.explaining.detectors.detection import (
    ASPECTS,
    Candidates,
    Detection,
    Detector,
    Term,
)
from caffe_gradcam.explaining.detectors.grid import GridDetector
from caffe_gradcam.explaining.detectors.single_shot import SingleShot
from caffe_gradcam.explaining.detectors.two_stage import TwoStage
from caffe_gradcam.explaining.detectors.wiring import Shape
from prototxt_tools.errors import QuestionError
from prototxt_tools.net.graph import Graph

__all__ = ["ASPECTS", "Candidates", "Detection", "Detector", "Term", "detector_of"]

_GRIDS = ("YoloDetectionOutput", "Yolov3DetectionOutput")
_POOLING = ("ROIPooling", "PSROIPooling")


def detector_of(graph: Graph, shapes: Mapping[str, Shape], picture: str) -> Detector:
    """What finds a net's boxes.

    Parameters
    ----------
    graph : prototxt_tools.net.graph.Graph
    shapes : dict
        Of all blobs, for one image.
    picture : str
        The input blob that boxes are found in.

    Raises
    ------
    QuestionError
        The net ends in no layer that lists boxes.
    ModelError
        It does, but they cannot be found.
    """
    for layer in reversed(graph.net.layers):
        if layer.type == "DetectionOutput":
            return SingleShot(graph, shapes, layer)
        if layer.type in _GRIDS:
            return GridDetector(shapes, layer)
        if layer.type == "Python" and layer.message.python_param.layer == CLUSTER:
            return Coverage(graph, shapes, layer)
        if layer.type in _POOLING:
            height, width = shapes[picture][2:]
            return TwoStage(graph, (height, width), layer)
    raise QuestionError(
        "the net lists no boxes: it has none of the layers DetectionOutput, YoloDetectionOutput, "
        "Yolov3DetectionOutput, ROIPooling, PSROIPooling and ClusterDetections", "--detections")
