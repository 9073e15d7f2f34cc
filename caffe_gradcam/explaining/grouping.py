"""Which images go through the net together, and with which questions."""

from typing import Dict, List, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.explaining.answering import Asked
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Prepared
from prototxt_tools.errors import QuestionError

Questions = Union[Sequence[Asked], Sequence[List[Asked]]]
# The shapes of an item's pictures.
_Sizes = Tuple[Tuple[int, ...], ...]


def per_image(questions: Questions, count: int) -> List[Sequence[Asked]]:
    """Questions as a list for each of so many images.

    Raises
    ------
    QuestionError
        There are lists of questions, but not one for each image.
    """
    if not any(isinstance(question, list) for question in questions):
        return [questions] * count  # type: ignore[list-item]  # one list for all images
    if len(questions) != count:
        raise QuestionError(f"there are {len(questions)} lists of questions about {count} images")
    return list(questions)  # type: ignore[arg-type]  # a list of lists


def groups(items: Sequence[Tuple[int, Prepared]], model: LoadedModel, one_by_one: bool
           ) -> List[List[int]]:
    """The indices of images that go through the net together: those of the same sizes, or each
    alone."""
    if one_by_one:
        return [[index] for index, _ in items]
    by_sizes: Dict[_Sizes, List[int]] = {}
    for index, prepared in items:
        sizes = tuple(prepared.blobs[name].shape[1:] for name in model.inputs)
        by_sizes.setdefault(sizes, []).append(index)
    return list(by_sizes.values())


def stacked(prepared: Sequence[Prepared], model: LoadedModel) -> Dict[str, np.ndarray]:
    """The inputs of a batch: pictures side by side, and arrays along their axis of items, once for
    each crop."""
    views = len(prepared[0].blobs[model.input])
    inputs = {name: np.concatenate([image.blobs[name] for image in prepared])
              for name in model.inputs}
    for name, spec in model.arrays.items():
        axis = spec.item_axis
        inputs[name] = prepared[0].blobs[name] if axis is None else np.concatenate(
            [np.repeat(image.blobs[name], views, axis=axis) for image in prepared], axis=axis)
    return inputs
