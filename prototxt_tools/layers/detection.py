"""Layers that propose boxes and choose among them."""

from typing import Tuple

from prototxt_tools.layers.sizes import Message, Shapes, Tops, check

# Image, class, confidence, left, top, right, bottom.
_ROW = 7
# The proportions and sizes of the boxes around a cell, where a Proposal layer gives none.
RATIOS, SCALES = (0.5, 1.0, 2.0), (8.0, 16.0, 32.0)


def prior_box(message: Message, bottoms: Shapes, count: int) -> Tops:
    """SSD's ``prior_box_layer.cpp``: boxes and their variances, for every cell."""
    parameters = message.prior_box_param
    check(parameters.min_size, "it has no min_size")
    check(len(parameters.max_size) in (0, len(parameters.min_size)),
          f"it has {len(parameters.max_size)} max_size for {len(parameters.min_size)} min_size")
    check(all(ratio > 0 for ratio in parameters.aspect_ratio), "an aspect_ratio is not above 0")
    check(all(size > 0 for size in parameters.min_size), "a min_size is not above 0")
    _check_variance(message)
    ratios = [1.0]
    for ratio in parameters.aspect_ratio:
        if all(abs(ratio - other) >= 1e-6 for other in ratios):
            ratios += [ratio, 1 / ratio] if parameters.flip else [ratio]
    boxes = len(ratios) * len(parameters.min_size) + len(parameters.max_size)
    return [(1, 2, bottoms[0][2] * bottoms[0][3] * boxes * 4)]


def prior_box_clustered(message: Message, bottoms: Shapes, count: int) -> Tops:
    """OpenVINO's: a box for each width and height."""
    parameters = message.prior_box_param
    check(len(parameters.width), "it has no width")
    check(len(parameters.width) == len(parameters.height),
          f"it has {len(parameters.width)} widths and {len(parameters.height)} heights")
    _check_variance(message)
    return [(1, 2, bottoms[0][2] * bottoms[0][3] * len(parameters.width) * 4)]


def _check_variance(message: Message) -> None:
    variances = len(message.prior_box_param.variance)
    check(variances in (0, 1, 4), f"it has {variances} variances; there must be 1 or 4")


def detection_output(message: Message, bottoms: Shapes, count: int) -> Tops:
    """As Caffe builds it, with one row; how many there are depends on the values."""
    return [(1, 1, 1, _ROW)]


def proposal_arity(message: Message) -> Tuple[str, str]:
    """A Proposal layer may also give the scores of its regions."""
    return "3", "1-2"


def proposal(message: Message, bottoms: Shapes, count: int) -> Tops:
    """One region; how many there are depends on the values."""
    check(bottoms[0][0] == 1, "it takes one image at a time")
    param = message.proposal_param
    boxes = len(param.ratio or RATIOS) * len(param.scale or SCALES)
    for bottom, numbers in zip(bottoms, (2, 4)):
        check(len(bottom) == 4 and bottom[1] == numbers * boxes,
              f"for {boxes} boxes around each cell (ratios times scales), it needs "
              f"{numbers * boxes} channels")
    check(bottoms[0][2:] == bottoms[1][2:], "its scores and boxes have different sizes")
    return [(1, 5), (1, 1)][:count]
