"""The boxes of YOLO's second and third version: a few anchors at each cell of a grid.

Caffe: ``yolo_detection_output_layer.cpp`` and ``yolov3_detection_output_layer.cpp`` of the fork
MobileNet-YOLO; Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2, and "YOLOv3", 2018. Each
anchor has x, y, width, height, how likely there is an object, and a number for each class.
"""

from dataclasses import dataclass
from typing import Any, List, Sequence, Tuple

import numpy as np

from .suppression import ranked, suppress

LOCATION, OBJECT = 4, 5


@dataclass(frozen=True, eq=False)
class Grid:
    """The anchors at the cells of one blob.

    Attributes
    ----------
    anchors : numpy.ndarray
        A x 2: width and height as fractions of the net's input.
    classes : int
    is_softmax : bool
        Whether the classes exclude each other, as in the second version.
    """

    anchors: np.ndarray
    classes: int
    is_softmax: bool

    def by_anchor(self, blob: np.ndarray) -> np.ndarray:
        """N x A (5 + C) x h x w to N x h w A x (5 + C).

        Raises
        ------
        ValueError
            It has another number of channels.
        """
        images, channels, height, width = blob.shape
        numbers = OBJECT + self.classes
        if channels != len(self.anchors) * numbers:
            raise ValueError(f"it has {channels} channels; {len(self.anchors)} anchors and "
                             f"{self.classes} classes need {len(self.anchors) * numbers}")
        grouped = blob.reshape(images, len(self.anchors), numbers, height, width)
        return grouped.transpose(0, 3, 4, 1, 2).reshape(images, -1, numbers)

    def boxes(self, numbers: np.ndarray, cells: Sequence[int]) -> np.ndarray:
        """Left, top, right and bottom of each anchor's box, as fractions of the net's input.

        Parameters
        ----------
        numbers : numpy.ndarray
            ... x h w A x 4.
        cells : (int, int)
            h and w.
        """
        height, width = cells
        corners = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
        corners = np.repeat(corners.reshape(-1, 2), len(self.anchors), axis=0)
        sizes = np.tile(self.anchors, (height * width, 1))
        return self.placed(numbers, corners, sizes, cells)

    def placed(self, numbers: np.ndarray, corners: np.ndarray, sizes: np.ndarray,
               cells: Sequence[int]) -> np.ndarray:
        """As :meth:`boxes`, for anchors of these sizes at cells whose column and row are given."""
        centres = (corners + _sigmoid(numbers[..., :2])) / np.array([cells[1], cells[0]])
        with np.errstate(over="ignore"):
            halves = np.exp(numbers[..., 2:LOCATION]) * sizes / 2
        return np.concatenate([centres - halves, centres + halves], axis=-1)

    def probabilities(self, numbers: np.ndarray) -> np.ndarray:
        """Of each class, if there is an object."""
        scores = numbers[..., OBJECT:]
        if not self.is_softmax:
            return _sigmoid(scores)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)


def objectness(numbers: np.ndarray) -> np.ndarray:
    """How likely there is an object."""
    return _sigmoid(numbers[..., LOCATION])


def grids(message: Any, blobs: Sequence[Sequence[int]]) -> List[Grid]:
    """The grid of each bottom of a YoloDetectionOutput or Yolov3DetectionOutput layer.

    Parameters
    ----------
    message : LayerParameter
    blobs : sequence of (int, int)
        Height and width of each bottom; the second version reads its first bottom only.
    """
    if message.type == "YoloDetectionOutput":
        param = message.yolo_detection_output_param
        anchors = np.array(param.biases, np.float64).reshape(-1, 2)
        height, width = blobs[0]
        return [Grid(anchors / np.array([width, height]), param.num_classes, True)]
    param = message.yolov3_detection_output_param
    anchors = np.array(param.biases, np.float64).reshape(-1, 2)
    count = len(param.mask) // param.mask_group_num
    result = []
    for index, ((_, width), scale) in enumerate(zip(blobs, param.anchors_scale)):
        # The fork takes grids for squares.
        chosen = [anchors[number] for number in param.mask[index * count:(index + 1) * count]]
        result.append(Grid(np.array(chosen) / (width * scale), param.num_classes, False))
    return result


def chosen(message: Any, boxes: np.ndarray, confidences: np.ndarray) -> List[Tuple[int, int]]:
    """Class and anchor of the boxes that remain, the surest first.

    Parameters
    ----------
    message : LayerParameter
    boxes : numpy.ndarray
        M x 4.
    confidences : numpy.ndarray
        M x C: the probability of the class times that of an object.
    """
    if message.type == "YoloDetectionOutput":
        param = message.yolo_detection_output_param
        best = confidences.argmax(axis=1)
        scores = confidences.max(axis=1)
        pairs = [(int(best[anchor]), int(anchor))
                 for anchor in np.flatnonzero(scores >= param.confidence_threshold)]
    else:
        param = message.yolov3_detection_output_param
        pairs = [(int(label), int(anchor))
                 for anchor, label in np.argwhere(confidences > param.confidence_threshold)]
    sure = np.array([confidences[anchor, label] for label, anchor in pairs])
    of_pairs = boxes[[anchor for _, anchor in pairs]].reshape(-1, 4)
    # The fork drops a box whose overlap reaches the threshold, whatever its class.
    threshold = float(np.nextafter(np.float32(param.nms_threshold), np.float32(0)))
    return [pairs[index] for index in suppress(of_pairs, ranked(sure), threshold)]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.exp(-np.logaddexp(0, -values))
    return result
