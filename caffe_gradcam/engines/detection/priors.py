"""The boxes that a single-shot detector starts from.

Caffe: ``prior_box_layer.cpp`` of the SSD fork; OpenVINO's ``PriorBoxClustered``.
"""

from typing import Any, List, Sequence, Tuple

import numpy as np

# Two aspect ratios that are closer than this count as one.
_SAME_RATIO = 1e-6
_USUAL_VARIANCE = 0.1

Size = Tuple[int, int]


def prior_boxes(message: Any, cells: Sequence[int], image: Sequence[int]) -> np.ndarray:
    """The boxes of a PriorBox or PriorBoxClustered layer.

    Parameters
    ----------
    message : LayerParameter
        Its ``prior_box_param``.
    cells : (int, int)
        Height and width of the first bottom.
    image : (int, int)
        Height and width of the second bottom, the net's input.

    Returns
    -------
    numpy.ndarray
        1 x 2 x 4 P float32: left, top, right and bottom of each prior as fractions of the image,
        then their variances. By row of cells, by column, then by size.
    """
    param = message.prior_box_param
    height, width = _image_size(param, image)
    sizes = clustered_sizes(param) if message.type == "PriorBoxClustered" else box_sizes(param)
    centres = _centres(param, cells, (height, width))
    halves = np.array(sizes, np.float64) / 2
    low = centres[:, :, np.newaxis] - halves
    high = centres[:, :, np.newaxis] + halves
    scale = np.array([width, height, width, height], np.float64)
    boxes = (np.concatenate([low, high], axis=-1) / scale).astype(np.float32)
    if param.clip:
        boxes = boxes.clip(0, 1)
    priors = boxes.reshape(-1, 4)
    variances = np.broadcast_to(variance(param), priors.shape)
    return np.stack([priors.ravel(), variances.ravel()])[np.newaxis].astype(np.float32)


def box_sizes(param: Any) -> List[Tuple[float, float]]:
    """Width and height of each prior at one cell, in pixels of the net's input.

    The SSD fork keeps ``min_size`` and ``max_size`` in integers, so fractions are cut off.
    """
    ratios = aspect_ratios(param)
    sizes: List[Tuple[float, float]] = []
    for index, smallest in enumerate(map(int, param.min_size)):
        sizes.append((smallest, smallest))
        if len(param.max_size):
            side = float(np.float32(np.sqrt(smallest * int(param.max_size[index]))))
            sizes.append((side, side))
        for ratio in ratios[1:]:
            root = np.sqrt(np.float32(ratio))
            sizes.append((float(np.float32(smallest * root)), float(np.float32(smallest / root))))
    return sizes


def aspect_ratios(param: Any) -> List[float]:
    """1, and each further ratio once, followed by its inverse where boxes are flipped."""
    ratios = [1.0]
    for ratio in param.aspect_ratio:
        if all(abs(ratio - other) >= _SAME_RATIO for other in ratios):
            ratios += [ratio, 1.0 / ratio] if param.flip else [ratio]
    return ratios


def clustered_sizes(param: Any) -> List[Tuple[float, float]]:
    """Width and height of each clustered prior, in pixels of the net's input."""
    return list(zip(param.width, param.height))


def variance(param: Any) -> np.ndarray:
    """The four variances of each prior."""
    if len(param.variance) == 4:
        return np.array(param.variance, np.float32)
    return np.full(4, param.variance[0] if param.variance else _USUAL_VARIANCE, np.float32)


def _image_size(param: Any, image: Sequence[int]) -> Size:
    """Height and width of the image, which the layer may set itself."""
    if param.HasField("img_size"):
        return param.img_size, param.img_size
    if param.img_h and param.img_w:
        return param.img_h, param.img_w
    return image[0], image[1]


def _centres(param: Any, cells: Sequence[int], image: Size) -> np.ndarray:
    """The centre (x, y) of each cell, in pixels of the image: h x w x 2 float32."""
    if param.HasField("step"):
        steps: Sequence[float] = (param.step, param.step)
    elif param.step_h and param.step_w:
        steps = (param.step_h, param.step_w)
    else:
        steps = [length / count for length, count in zip(image, cells)]
    rows, columns = (
        (np.arange(count, dtype=np.float32) + np.float32(param.offset)) * np.float32(step)
        for count, step in zip(cells, steps))
    return np.stack(np.meshgrid(columns, rows), axis=-1)
