"""DetectionOutput: from locations, confidences and priors to boxes.

Caffe: ``detection_output_layer.cpp`` and ``bbox_util.cpp`` of the SSD fork.
"""

from typing import Any, List, Tuple

import numpy as np

from .suppression import ranked, suppress

# Code types of PriorBoxParameter.
CORNER, CENTER_SIZE, CORNER_SIZE = 1, 2, 3

# The class of a detection, and the index of its prior.
ClassPrior = Tuple[int, int]


def decoded(param: Any, locations: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The boxes that locations mean.

    Parameters
    ----------
    param : DetectionOutputParameter
    locations : numpy.ndarray
        One image's row of the location blob, P x L x 4, where L is 1 or the number of classes.
    priors : numpy.ndarray
        2 x P x 4: boxes, and their variances.

    Returns
    -------
    numpy.ndarray
        P x L x 4 float32: left, top, right and bottom as fractions of the image.
    """
    boxes, variances = priors[0][:, np.newaxis], priors[1][:, np.newaxis]
    if not param.variance_encoded_in_target:
        locations = variances * locations
    if param.code_type == CORNER:
        return boxes + locations
    sizes = boxes[..., 2:] - boxes[..., :2]
    if param.code_type == CORNER_SIZE:
        return boxes + np.concatenate([sizes, sizes], axis=-1) * locations
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2 + locations[..., :2] * sizes
    # A wild location overflows to infinity, as it does in Caffe.
    with np.errstate(over="ignore", invalid="ignore"):
        halves = np.exp(locations[..., 2:]) * sizes / 2
        return np.concatenate([centres - halves, centres + halves], axis=-1)


def detections(param: Any, boxes: np.ndarray, confidences: np.ndarray) -> List[ClassPrior]:
    """What non-maximum suppression leaves of an image's boxes.

    Parameters
    ----------
    param : DetectionOutputParameter
    boxes : numpy.ndarray
        P x L x 4, as :func:`decoded` gives them.
    confidences : numpy.ndarray
        P x C.

    Returns
    -------
    list of (int, int)
        Class and prior: by class, and within a class the most confident first.
    """
    nms = param.nms_param
    most = nms.top_k if nms.HasField("top_k") and nms.top_k > -1 else None
    threshold = param.confidence_threshold if param.HasField("confidence_threshold") else -np.inf
    kept: List[ClassPrior] = []
    for label in range(confidences.shape[1]):
        if label == param.background_label_id:
            continue
        of_class = boxes[:, 0 if param.share_location else label]
        order = ranked(confidences[:, label], threshold, most)
        kept += [(label, prior)
                 for prior in suppress(of_class, order, nms.nms_threshold, nms.eta)]
    if -1 < param.keep_top_k < len(kept):
        best = ranked(np.array([confidences[prior, label] for label, prior in kept]))
        kept = [kept[index] for index in sorted(best[:param.keep_top_k])]
    return kept


def rows(image: int, kept: List[ClassPrior], boxes: np.ndarray,
         confidences: np.ndarray) -> np.ndarray:
    """The rows of the layer's top for an image: N x 7 float32.

    Image, class, confidence, and left, top, right and bottom.
    """
    values = [[image, label, confidences[prior, label],
               *boxes[prior, 0 if boxes.shape[1] == 1 else label]] for label, prior in kept]
    return np.array(values, np.float32).reshape(-1, 7)


def no_detections(images: int) -> np.ndarray:
    """What the top holds where nothing was found: a row of -1 for each image, N x 7."""
    empty = np.full((images, 7), -1, np.float32)
    empty[:, 0] = np.arange(images)
    return empty


def shaped(param: Any, locations: np.ndarray, confidences: np.ndarray,
           priors: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three bottoms by prior and class: N x P x L x 4, N x P x C and 2 x P x 4.

    Raises
    ------
    ValueError
        They do not fit together; the sentence tells how.
    """
    count = priors.size // 8
    classes = param.num_classes
    per_prior = 1 if param.share_location else classes
    images = len(locations)
    if locations.size != images * count * per_prior * 4:
        raise ValueError(f"it has {locations.size // max(images, 1)} locations for {count} priors;"
                         f" there must be {count * per_prior * 4}")
    if confidences.size != images * count * classes:
        raise ValueError(f"it has {confidences.size // max(images, 1)} confidences for {count} "
                         f"priors and {classes} classes; there must be {count * classes}")
    return (locations.reshape(images, count, per_prior, 4),
            confidences.reshape(images, count, classes), priors.reshape(2, count, 4))
