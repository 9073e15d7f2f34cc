"""Small pictures for pages: images as JPEG files, maps as arrays of grey levels."""

import math
from typing import Tuple

import numpy as np

from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.methods import heatmap
from caffe_gradcam.report.entries import MapEntry
from caffe_gradcam.report.objects import NO_OBJECTS, Objects

# The longer side of a map on the image, in cells, and how many cells of a raw map are listed.
HEAT_SIDE = 96
MOST_CELLS = 1024
_QUALITY = 82


def to_jpeg(image: np.ndarray, side: int) -> bytes:
    """A JPEG file of an image, H x W x 3 uint8 with blue first, reduced to a longer side."""
    import cv2

    height, width = image.shape[:2]
    if max(height, width) > side:
        image = cv2.resize(image, fitted(height, width, side)[::-1], interpolation=cv2.INTER_AREA)
    data: bytes = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return data


def from_jpeg(data: bytes) -> np.ndarray:
    """The image in a file that :func:`to_jpeg` made."""
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def to_png(levels: np.ndarray) -> bytes:
    """A PNG file of grey levels, h x w uint8."""
    import cv2

    data: bytes = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()
    return data


def fitted(height: int, width: int, side: int) -> Tuple[int, int]:
    """Height and width in the same proportions, the longer one equal to ``side``."""
    longest = max(height, width)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def of_explanation(explanation: Explanation, objects: Objects = NO_OBJECTS) -> MapEntry:
    """An explanation as an entry of a report.

    Parameters
    ----------
    explanation : Explanation
    objects : Objects
        Those of its class in the image.

    Raises
    ------
    QuestionError
        The map holds NaN or infinity.
    """
    heat = _heat(explanation)
    cam = explanation.cam
    return MapEntry(
        explanation.question, explanation.class_index, explanation.class_name,
        float(explanation.score),
        None if explanation.probability is None else float(explanation.probability),
        explanation.method, explanation.layer, explanation.status,
        cam if cam.size <= MOST_CELLS else None, np.rint(heat * 255).astype(np.uint8),
        explanation.positive_mass, explanation.negative_mass,
        objects.share_outside(heat, explanation.geometry.image_size), objects.boxes,
        dict(explanation.position), explanation.box, explanation.sentence)


def _heat(explanation: Explanation) -> np.ndarray:
    """The heatmap on the image, at a small size: h x w float32 in [0, 1].

    It is sampled more finely where the map has more cells than this has pixels, and averaged.
    """
    import cv2

    height, width = explanation.geometry.image_size
    rows, columns = fitted(height, width, HEAT_SIDE)
    finer = min(8, max(1, math.ceil(max(explanation.cam.shape) / HEAT_SIDE)))
    positive = explanation.geometry.sample(
        np.maximum(explanation.cam, 0) * (explanation.status == "ok"), explanation.placement,
        (np.arange(rows * finer) + 0.5) * (height / (rows * finer)),
        (np.arange(columns * finer) + 0.5) * (width / (columns * finer)))
    return heatmap(cv2.resize(positive, (columns, rows), interpolation=cv2.INTER_AREA))
