"""Image -> blob."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np

from caffe_gradcam.model import array_inputs, choices
from caffe_gradcam.model.array_inputs import ArrayInput
from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.image_sizes import pixel_limit
from prototxt_tools.errors import ImageError

CHANNELS = {"BGR": 3, "RGB": 3, "GRAY": 1}
# Channels that are no colours, of any number, in the order in which the file has them.
BANDS = "BANDS"
LETTERBOX = "letterbox"
# The beginning of a resize by the long side: "long:500".
LONG = "long:"
# cv2.resize takes no more at a time.
_MOST_CHANNELS = 4
# The most pixels after the resize; and the values of an image from which on memory is spared.
_MOST_PIXELS = 1 << 26
_LARGE = 1 << 26

NO_ARRAYS: Mapping[str, ArrayInput] = MappingProxyType({})

Size = Tuple[int, int]
# Left and upper edge of a resized image and its pixels' width and height, in pixels of the image.
_Frame = Tuple[float, float, float, float]
# Top, left, height, width of a crop, and whether it is mirrored.
_View = Tuple[int, int, int, int, bool]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What an input expects of its images, in the order in which Caffe's Transformer works.

    Attributes
    ----------
    size : (int, int)
        Height and width of the net's input blob.
    channel_order : str
        "BGR", "RGB", "GRAY", or ``BANDS`` for channels that are no colours.
    mean : None or numpy.ndarray
        Subtracted; one value per channel (C) or a mean image (C x h x w), in the net's channel
        order, in the range 0..255.
    scale : float
        Multiplied after the mean was subtracted.
    resize : None, (int, int), int or str
        Height and width to which the whole image is warped; or the length of its short side,
        the proportions kept; or ``LONG`` and the length of its long side, likewise; or
        ``LETTERBOX``: as large as fits into ``size``, the proportions kept, the rest of the mean
        colour; None leaves it as it is.
    crop : None or (int, int)
        Height and width of the crop that follows.
    crops : int
        1 for the middle; 10 for the corners, the middle and the mirror images of all five.
    value_range : None or (float, float)
        The values that become 0 and 255 in images of more than 8 bits per channel; see
        ``image_values``.
    channels : int
        Of the net's input blob.
    any_size : bool
        Whether the blob has the size that each image has after resize and crop, instead of
        ``size``, as fully convolutional nets allow.
    """

    size: Size
    channel_order: str = "BGR"
    mean: Optional[np.ndarray] = None
    scale: float = 1.0
    resize: Union[None, Size, int, str] = None
    crop: Optional[Size] = None
    crops: int = 1
    value_range: Optional[Tuple[float, float]] = None
    channels: int = 3
    any_size: bool = False

    @property
    def is_signal(self) -> bool:
        """Whether it is a line of samples with channels rather than a picture."""
        return self.channel_order == BANDS and 1 in self.size


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the net reads it; made without the net, in any process.

    Attributes
    ----------
    blobs : dict
        Picture -> V x C x h x w float32, one for each crop; and array input -> its value.
    geometries : dict
        Picture -> list of V Geometry.
    """

    blobs: Dict[str, np.ndarray]
    geometries: Dict[str, List[Geometry]]


def prepare(image: Any, inputs: Mapping[str, Preprocessing],
            arrays: Mapping[str, ArrayInput] = NO_ARRAYS) -> Prepared:
    """Make blobs of an image.

    Parameters
    ----------
    image : numpy.ndarray or dict
        H x W x 3 uint8, blue first, or for ``BANDS`` H x W x C numbers; for nets with several
        inputs, input -> such an array, or one for all. What an array input takes has its shape.
    inputs : dict
        Picture -> Preprocessing; see ``LoadedModel.inputs``.
    arrays : dict
        Input blob -> ArrayInput; see ``LoadedModel.arrays``.

    Raises
    ------
    QuestionError
        An image is given for an input that the net does not have.
    ImageError
        An image or an array is missing, or does not fit its input.
    """
    images = image if isinstance(image, Mapping) else dict.fromkeys(inputs, image)
    choices.check(images, list(inputs) + list(arrays), "input")
    missing = [blob for blob in inputs if blob not in images]
    if missing:
        raise ImageError(f"no image for input {' and '.join(missing)}", missing[0])
    unset = [spec for blob, spec in arrays.items() if blob not in images and spec.default is None]
    if unset:
        raise array_inputs.missing(unset)
    prepared = {blob: to_blobs(images[blob], preprocessing)
                for blob, preprocessing in inputs.items()}
    blobs = {blob: of_picture for blob, (of_picture, _) in prepared.items()}
    for blob, spec in arrays.items():
        blobs[blob] = array_inputs.fit(images.get(blob, spec.default), spec, "")
    return Prepared(blobs, {blob: geometries for blob, (_, geometries) in prepared.items()})


def to_blobs(image: np.ndarray, preprocessing: Preprocessing
             ) -> Tuple[np.ndarray, List[Geometry]]:
    """Turn an image into what the net reads: one blob, or ten for its ten crops.

    Resize (float32, bilinear, as ``cv2.INTER_LINEAR``), crop, channel order, minus mean, times
    scale: the order of ``caffe.io.Transformer`` and of Caffe's ``DataTransformer``. The ten crops
    are those of ``caffe.io.oversample``: the corners, the middle, and all five mirrored.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first; for ``BANDS`` H x W x C numbers of any type.
    preprocessing : Preprocessing

    Returns
    -------
    blobs : numpy.ndarray
        V x C x h x w float32.
    geometries : list of Geometry
        The part of the image that each blob shows.

    Raises
    ------
    ImageError
        The image is not an array as above or smaller than the crop, or the result does not have
        the net's input size.
    """
    _check_image(image, preprocessing)
    pixels, frame = _resized(image, preprocessing)
    height, width = pixels.shape[:2]
    views = _views((height, width), preprocessing.crop or (height, width), preprocessing.crops)
    shown = [_view(pixels, frame, view, preprocessing) for view in views]
    image_size = (image.shape[0], image.shape[1])
    geometries = [Geometry(image_size, rectangle) for _, rectangle in shown]
    blobs = shown[0][0][np.newaxis] if len(shown) == 1 else np.stack([blob for blob, _ in shown])
    return blobs, geometries


@dataclass(frozen=True)
class Placed:
    """How an image becomes a blob, which its size alone tells.

    Attributes
    ----------
    resized : (int, int)
        Height and width to which it is warped.
    view : (int, int, int, int, bool)
        Top, left, height and width of the crop, and whether it is mirrored.
    geometry : Geometry
    """

    resized: Size
    view: _View
    geometry: Geometry


def placed(size: Size, preprocessing: Preprocessing) -> Placed:
    """How an image of a height and width becomes a blob, of one crop and without a letterbox.

    Raises
    ------
    ImageError
        As :func:`to_blobs`.
    """
    resized = _resized_size(size, preprocessing.resize)
    frame = _frame(size, resized)
    view = _views(resized, preprocessing.crop or resized, 1)[0]
    _check_view(view, preprocessing)
    return Placed(resized, view, Geometry(size, _edges(frame, view)))


def _check_image(image: np.ndarray, preprocessing: Preprocessing) -> None:
    shape = " x ".join(map(str, image.shape))
    if preprocessing.channel_order == BANDS:
        if image.ndim != 3 or image.shape[2] != preprocessing.channels or not image.size:
            raise ImageError(f"an image must be H x W x {preprocessing.channels}, not {shape}")
    elif image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(f"an image must be H x W x 3 of uint8, not {shape} of {image.dtype}; "
                         "caffe_gradcam.model.arrays.as_image converts what it can")


def _view(pixels: np.ndarray, frame: _Frame, view: _View, preprocessing: Preprocessing
          ) -> Tuple[np.ndarray, Tuple[float, float, float, float]]:
    """The blob of one crop, and its rectangle on the image."""
    top, left, rows, columns, mirrored = view
    _check_view(view, preprocessing)
    part = np.asarray(pixels[top:top + rows, left:left + columns], np.float32)
    # Arithmetic in the order of the net's channels, and in place, takes a fifth of the time.
    blob = np.array(_to_channels(part, preprocessing.channel_order), np.float32, order="C")
    if preprocessing.mean is not None:
        blob -= mean_of(preprocessing, pixels.shape[:2], view)
    if preprocessing.scale != 1:
        blob *= np.float32(preprocessing.scale)
    if mirrored:
        blob = blob[:, :, ::-1]
    return np.ascontiguousarray(blob, np.float32), _edges(frame, view)


def _check_view(view: _View, preprocessing: Preprocessing) -> None:
    (rows, columns), (height, width) = view[2:4], preprocessing.size
    if (rows, columns) != (height, width) and not preprocessing.any_size:
        noun = "signal" if preprocessing.is_signal else "image"
        raise ImageError(f"the {noun} is {rows}x{columns} after resize and crop, but the net's "
                         f"input is {height}x{width}")


def _edges(frame: _Frame, view: _View) -> Tuple[float, float, float, float]:
    """The rectangle of a crop on the image."""
    (x0, y0, x, y), (top, left, rows, columns, mirrored) = frame, view
    edges = (x0 + left * x, y0 + top * y, x0 + (left + columns) * x, y0 + (top + rows) * y)
    return (edges[2], edges[1], edges[0], edges[3]) if mirrored else edges


def _resized(image: np.ndarray, preprocessing: Preprocessing) -> Tuple[np.ndarray, _Frame]:
    """The resized image and its frame."""
    height, width = image.shape[:2]
    if preprocessing.resize == LETTERBOX:
        return _letterboxed(image, preprocessing)
    size = _resized_size((height, width), preprocessing.resize)
    frame = _frame((height, width), size)  # Refuses a size that would fill the memory.
    return _warped(image, size), frame


def _frame(size: Size, resized: Size) -> _Frame:
    """The frame of an image that is warped as a whole; raises ImageError for too many pixels."""
    (height, width), (rows, columns) = size, resized
    most = pixel_limit(_MOST_PIXELS)
    if rows * columns > most:
        raise ImageError(f"the image of {height}x{width} would be {rows}x{columns} once it is "
                         f"resized, and {most} pixels are the most; set another --resize, or cut "
                         "the image")
    return 0.0, 0.0, width / float(columns), height / float(rows)


def _warped(image: np.ndarray, size: Size) -> np.ndarray:
    """The image at this size; unchanged where it has it already."""
    import cv2

    if image.shape[:2] == tuple(size):
        return image
    # The float32 copy of a large image would fill the memory: one channel at a time.
    whole = image.size < _LARGE and 1 < image.shape[2] <= _MOST_CHANNELS
    parts = [image] if whole else [
        np.ascontiguousarray(image[:, :, channel]) for channel in range(image.shape[2])]
    warped = [cv2.resize(part.astype(np.float32), tuple(size)[::-1],
                         interpolation=cv2.INTER_LINEAR) for part in parts]
    return warped[0] if whole else np.stack(warped, axis=2)


def _letterboxed(image: np.ndarray, preprocessing: Preprocessing) -> Tuple[np.ndarray, _Frame]:
    """The whole image in the middle of a canvas of the mean colour, its proportions kept."""
    size, (height, width) = preprocessing.size, image.shape[:2]
    factor = min(size[0] / float(height), size[1] / float(width))
    inner = (max(1, int(round(height * factor))), max(1, int(round(width * factor))))
    top, left, rows, columns = _centre(size, inner)
    canvas = np.empty(tuple(size) + image.shape[2:], np.float32)
    canvas[:] = _mean_colour(preprocessing)
    canvas[top:top + rows, left:left + columns] = _warped(image, inner)
    y, x = height / float(rows), width / float(columns)
    return canvas, (-left * x, -top * y, x, y)


def _mean_colour(preprocessing: Preprocessing) -> np.ndarray:
    """The mean as blue, green and red."""
    mean = np.zeros(1, np.float32) if preprocessing.mean is None else preprocessing.mean
    mean = np.asarray(mean, np.float32)
    colour = mean.reshape(mean.shape[0], -1).mean(axis=1)
    return colour[::-1] if preprocessing.channel_order == "RGB" else colour


def _views(size: Size, crop: Size, crops: int) -> List[_View]:
    """The crops of a resized image of this size."""
    middle = _centre(size, crop)
    if crops == 1:
        return [middle + (False,)]
    rows, columns = crop
    corners = [(top, left, rows, columns)
               for top in (0, size[0] - rows) for left in (0, size[1] - columns)]
    return [view + (mirrored,) for mirrored in (False, True) for view in corners + [middle]]


def warped_size(size: Size, preprocessing: Preprocessing) -> Optional[Size]:
    """Height and width to which an image of this size is warped before the crop.

    None where it is not warped, or keeps its proportions in a letterbox.
    """
    if preprocessing.resize is None or preprocessing.resize == LETTERBOX:
        return None
    return _resized_size(size, preprocessing.resize)


def _resized_size(size: Size, resize: Union[None, Size, int, str]) -> Size:
    if resize is None:
        return size
    if isinstance(resize, str):
        length, side = int(resize[len(LONG):]), float(max(size))
    elif isinstance(resize, int):
        length, side = resize, float(min(size))
    else:
        return int(resize[0]), int(resize[1])
    return (max(1, int(round(size[0] * length / side))),
            max(1, int(round(size[1] * length / side))))


def _centre(size: Size, crop: Size) -> Tuple[int, int, int, int]:
    """Top, left, height, width of the centre crop; an odd rest leaves one more at the end."""
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ImageError(f"the image is {size[0]}x{size[1]} before the crop of "
                         f"{crop[0]}x{crop[1]}; resize it to something larger")
    return (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2, crop[0], crop[1]


def _to_channels(pixels: np.ndarray, channel_order: str) -> np.ndarray:
    import cv2

    if channel_order == "GRAY":
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2GRAY)[np.newaxis]
    if channel_order == "RGB":  # Of BANDS, the order is the file's.
        pixels = pixels[:, :, ::-1]
    return pixels.transpose(2, 0, 1)


def mean_of(preprocessing: Preprocessing, resized: Tuple[int, ...], view: _View) -> np.ndarray:
    """The mean in a shape that can be subtracted from the C x h x w blob of a view.

    Parameters
    ----------
    preprocessing : Preprocessing
        It has a mean.
    resized : (int, int)
        Height and width of the image before the crop.
    view : tuple
        As in :class:`Placed`.
    """
    import cv2

    mean = np.asarray(preprocessing.mean, np.float32)
    if mean.ndim == 1:
        return mean[:, np.newaxis, np.newaxis]
    corner, size = view[:2], view[2:4]
    mean_size = mean.shape[1:]
    # A mean image of the size before the crop lies under the image: it is cropped with it.
    if mean_size == tuple(resized):
        top, left = corner
        return mean[:, top:top + size[0], left:left + size[1]]
    if preprocessing.any_size:
        colour: np.ndarray = mean.mean(axis=(1, 2), keepdims=True)
        return colour
    # A larger one is Caffe's habit (mean of 256x256, crop_size 227), cropped in the centre.
    if mean_size[0] >= size[0] and mean_size[1] >= size[1]:
        top, left = _centre(mean_size, size)[:2]
        return mean[:, top:top + size[0], left:left + size[1]]
    return np.stack([cv2.resize(channel, size[::-1]) for channel in mean])
