"""The preparation of pictures as part of a graph, so that pixels of any size go in."""

from typing import Any, Dict, List, Sequence

import numpy as np

from caffe_gradcam.engines.onnx import libraries
from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.registry import Step, Unsupported
from caffe_gradcam.engines.onnx.writer import DOUBLE, FLOAT, INT64, UINT8
from caffe_gradcam.model.preprocess import LETTERBOX, Preprocessing, to_blobs

# cv2.cvtColor's weights of red, green and blue.
_GRAY = (0.299, 0.587, 0.114)
_SPATIAL = np.array([2, 3], np.int64)


def add_preparation(translated: Translated, inputs: Dict[str, Preprocessing]) -> List[Any]:
    """Let a graph read pictures: uint8, height x width x 3, red first, one at a time.

    Resize, crop, channel order, mean and scale are those of ``preprocess.to_blobs``.

    Parameters
    ----------
    translated : Translated
    inputs : dict
        Input blob -> Preprocessing.

    Returns
    -------
    list of onnx.ValueInfoProto
        The new inputs, in place of those of the net: "image", or of several "image_BLOB".

    Raises
    ------
    Unsupported
        Ten crops, a letterbox with a mean image, or an input that is no picture.
    """
    writer = translated.writer
    before, writer.nodes = writer.nodes, []
    described = []
    for value in translated.inputs:
        if value.name not in inputs:
            raise Unsupported(f"input {value.name} is no image, so its preparation cannot be "
                              "part of the graph", value.name)
        name = "image" if len(translated.inputs) == 1 else "image_" + value.name
        last = translated.steps[max(translated.steps)]
        step = Step("prepare_" + value.name, last.message, [], [], [], writer)
        result = _prepared(step, name, inputs[value.name])
        writer.rename(result, value.name, step.name)
        described.append(libraries.load("onnx.helper").make_tensor_value_info(
            name, UINT8, ["height", "width", 3]))
    writer.nodes += before
    return described


def _prepared(step: Step, image: str, preprocessing: Preprocessing) -> str:
    if preprocessing.crops != 1:
        raise Unsupported("ten crops cannot be part of a graph; use --crops 1", "crops")
    pixels = step.op("Transpose", step.op("Cast", image, to=FLOAT), perm=[2, 0, 1])
    value = step.op("Unsqueeze", pixels, np.array([0], np.int64))
    value = _resized(step, value, preprocessing)
    if preprocessing.crop is not None:
        value = _cropped(step, value, preprocessing.crop)
    value = _normalized(step, _channels(step, value, preprocessing.channel_order), preprocessing)
    if preprocessing.resize == LETTERBOX:
        value = _on_canvas(step, value, preprocessing)
    return step.op("Identity", value)


def _resized(step: Step, value: str, preprocessing: Preprocessing) -> str:
    resize = preprocessing.resize
    if resize is None:
        return value
    shape = step.op("Shape", value)
    if isinstance(resize, tuple):
        sizes = step.name_of(np.array(resize, np.int64))
    else:
        sizes = _kept_proportions(step, shape, preprocessing)
    first = step.op("Gather", shape, np.array([0, 1], np.int64))
    return step.op("Resize", value, "", "", step.op("Concat", first, sizes, axis=0),
                   mode="linear", coordinate_transformation_mode="half_pixel")


def _kept_proportions(step: Step, shape: str, preprocessing: Preprocessing) -> str:
    """Height and width of the resized picture, rounded as Python does, in double precision."""
    sizes = step.op("Gather", shape, _SPATIAL)
    lengths = step.op("Cast", sizes, to=DOUBLE)
    if preprocessing.resize == LETTERBOX:
        inner = np.array(preprocessing.size, np.float64)
        ratios = step.op("Div", step.constant(inner), lengths)
        factor = step.op("ReduceMin", ratios, axes=[0], keepdims=1)
        exact = step.op("Mul", lengths, factor)
    else:
        short = step.op("Cast", step.op("ReduceMin", sizes, axes=[0], keepdims=1), to=DOUBLE)
        scaled = step.op("Mul", lengths, step.constant(np.array(
            [preprocessing.resize], np.float64)))
        exact = step.op("Div", scaled, short)
    rounded = step.op("Cast", step.op("Round", exact), to=INT64)
    return step.op("Max", rounded, np.array([1], np.int64))


def _cropped(step: Step, value: str, crop: Sequence[int]) -> str:
    """The middle; an odd rest leaves one more at the end."""
    size = np.array(crop, np.int64)
    rest = step.op("Sub", step.op("Gather", step.op("Shape", value), _SPATIAL), size)
    begin = step.op("Div", rest, np.array([2], np.int64))
    return step.op("Slice", value, begin, step.op("Add", begin, size), _SPATIAL)


def _channels(step: Step, value: str, order: str) -> str:
    if order == "GRAY":
        return step.op("Conv", value, np.array(_GRAY, np.float32).reshape(1, 3, 1, 1),
                       kernel_shape=[1, 1])
    if order == "BGR":
        return step.op("Gather", value, np.array([2, 1, 0], np.int64), axis=1)
    return value


def _normalized(step: Step, value: str, preprocessing: Preprocessing) -> str:
    """The value without the mean, times the scale."""
    mean, is_letterbox = preprocessing.mean, preprocessing.resize == LETTERBOX
    if mean is not None:
        shown = np.asarray(mean, np.float32).reshape(1, -1, 1, 1)
        if np.ndim(mean) == 3:
            if is_letterbox:
                raise Unsupported("a letterbox with a mean image cannot be part of a graph",
                                  "mean")
            shown = _mean_image(preprocessing)
        value = step.op("Sub", value, shown)
    if preprocessing.scale != 1:
        value = step.op("Mul", value, np.float32(preprocessing.scale))
    return value


def _mean_image(preprocessing: Preprocessing) -> np.ndarray:
    """What is subtracted from the crop of a picture: what a black one becomes tells."""
    size = preprocessing.crop or preprocessing.size
    resize = preprocessing.resize
    if isinstance(resize, tuple):
        size = resize
    elif isinstance(resize, int):
        size = (max(resize, size[0]), max(resize, size[1]))
    black = to_blobs(np.zeros(tuple(size) + (3,), np.uint8), preprocessing)[0]
    mean: np.ndarray = -black / np.float32(preprocessing.scale)
    return mean


def _on_canvas(step: Step, value: str, preprocessing: Preprocessing) -> str:
    """The value in the middle of the input; what surrounds it is the mean, which is 0 here."""
    size = np.array(preprocessing.size, np.int64)
    sizes = step.op("Gather", step.op("Shape", value), _SPATIAL)
    rest = step.op("Sub", size, sizes)
    begin = step.op("Div", rest, np.array([2], np.int64))
    none = step.name_of(np.zeros(2, np.int64))
    pads = step.op("Concat", none, begin, none, step.op("Sub", rest, begin), axis=0)
    return step.op("Pad", value, pads, np.float32(0))
