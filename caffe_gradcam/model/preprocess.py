"""Image -> blob."""

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from caffe_gradcam.model import choices
from caffe_gradcam.model.geometry import Geometry
from prototxt_tools.errors import InputError

CHANNELS = {"BGR": 3, "RGB": 3, "GRAY": 1}
LETTERBOX = "letterbox"
# Pixels after the resize; and values of a photograph from which on memory is spared.
_MOST_PIXELS = 1 << 26
_LARGE = 1 << 26


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """How a net wants its pictures, in the order in which Caffe's Transformer works.

    Attributes
    ----------
    size : (int, int)
        Height and width of the net's input blob.
    channel_order : str
        "BGR", "RGB" or "GRAY".
    mean : None or numpy.ndarray
        Subtracted; one value per channel (C) or a mean image (C x h x w), in the net's channel
        order, in the range 0..255.
    scale : float
        Multiplied after the mean was subtracted.
    resize : None, (int, int), int or str
        Height and width to which the whole picture is warped; or the length of its short side,
        the proportions kept; or ``LETTERBOX``: as large as fits into ``size``, the proportions
        kept, the rest of the mean colour; None leaves it as it is.
    crop : None or (int, int)
        Height and width of the crop that follows.
    crops : int
        1 for the middle; 10 for the corners, the middle and the mirror images of all five.
    """

    size: Tuple[int, int]
    channel_order: str = "BGR"
    mean: Any = None
    scale: float = 1.0
    resize: Any = None
    crop: Optional[Tuple[int, int]] = None
    crops: int = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """A photograph as the net reads it; made without the net, in any process.

    Attributes
    ----------
    blobs : dict
        Input blob -> V x C x h x w float32, one for each crop.
    geometries : dict
        Input blob -> list of V Geometry.
    """

    blobs: Dict[str, Any]
    geometries: Dict[str, List]


def prepare(photograph, inputs):
    """Make blobs of a photograph.

    Parameters
    ----------
    photograph : numpy.ndarray or dict
        H x W x 3 uint8, blue first; for nets with several inputs, input blob -> such an array,
        or one for all.
    inputs : dict
        Input blob -> Preprocessing; see ``Model.inputs``.

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        A photograph is missing, or does not fit its input.
    """
    photographs = photograph if isinstance(photograph, dict) else dict.fromkeys(inputs, photograph)
    choices.check(photographs, inputs, "input")
    missing = [name for name in inputs if name not in photographs]
    if missing:
        raise InputError("no picture for input {}".format(" and ".join(missing)))
    made = {name: to_blobs(photographs[name], one) for name, one in inputs.items()}
    return Prepared({name: blobs for name, (blobs, _) in made.items()},
                    {name: geometries for name, (_, geometries) in made.items()})


def to_blobs(photograph, preprocessing):
    """Turn a photograph into what the net reads: one blob, or ten for its ten crops.

    Resize (float32, bilinear, as ``cv2.INTER_LINEAR``), crop, channel order, minus mean, times
    scale: the order of ``caffe.io.Transformer`` and of Caffe's ``DataTransformer``. The ten crops
    are those of ``caffe.io.oversample``: the corners, the middle, and all five mirrored.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    preprocessing : Preprocessing

    Returns
    -------
    blobs : numpy.ndarray
        V x C x h x w float32.
    geometries : list of Geometry
        The part of the photograph that each blob shows.

    Raises
    ------
    InputError
        The photograph is smaller than the crop, or what comes out is not the net's input size.
    """
    pixels, frame = _resized(photograph, preprocessing)
    views = _views(pixels.shape[:2], preprocessing.crop or pixels.shape[:2], preprocessing.crops)
    made = [_view(pixels, frame, view, preprocessing) for view in views]
    geometries = [Geometry(photograph.shape[:2], rectangle) for _, rectangle in made]
    return np.stack([blob for blob, _ in made]), geometries


def _view(pixels, frame, view, preprocessing):
    """The blob of one crop, and its rectangle on the photograph."""
    top, left, rows, columns, mirrored = view
    if (rows, columns) != tuple(preprocessing.size):
        raise InputError(
            "the picture is {}x{} after resize and crop, but the net's input is {}x{}".format(
                rows, columns, *preprocessing.size
            )
        )
    part = np.asarray(pixels[top:top + rows, left:left + columns], np.float32)
    blob = _to_channels(part, preprocessing.channel_order)
    if preprocessing.mean is not None:
        blob = blob - _mean_for(preprocessing, pixels.shape[:2], (top, left))
    blob = blob * np.float32(preprocessing.scale)
    x0, y0, x, y = frame
    edges = (x0 + left * x, y0 + top * y, x0 + (left + columns) * x, y0 + (top + rows) * y)
    if mirrored:
        blob, edges = blob[:, :, ::-1], (edges[2], edges[1], edges[0], edges[3])
    return np.ascontiguousarray(blob, np.float32), edges


def _resized(photograph, preprocessing):
    """The resized picture; and its left and upper edge and its pixels' width and height, in
    pixels of the photograph."""
    height, width = photograph.shape[:2]
    if preprocessing.resize == LETTERBOX:
        return _letterboxed(photograph, preprocessing)
    resized = _resized_size((height, width), preprocessing.resize)
    if resized[0] * resized[1] > _MOST_PIXELS:
        raise InputError("the picture of {}x{} is too long and thin: resized it would be "
                         "{}x{}".format(height, width, *resized))
    frame = 0.0, 0.0, width / float(resized[1]), height / float(resized[0])
    return _warped(photograph, resized), frame


def _warped(photograph, size):
    """The photograph at this size; where it has it, as it is."""
    import cv2

    if photograph.shape[:2] == tuple(size):
        return photograph
    # The float32 copy of a large photograph would fill the memory: one channel at a time.
    parts = [photograph] if photograph.size < _LARGE else [
        np.ascontiguousarray(photograph[:, :, one]) for one in range(3)]
    warped = [cv2.resize(part.astype(np.float32), tuple(size)[::-1],
                         interpolation=cv2.INTER_LINEAR) for part in parts]
    return warped[0] if len(warped) == 1 else np.stack(warped, axis=2)


def _letterboxed(photograph, preprocessing):
    """The whole picture in the middle of a frame of the mean colour, its proportions kept."""
    size, have = preprocessing.size, photograph.shape[:2]
    factor = min(length / float(own) for length, own in zip(size, have))
    inner = tuple(max(1, int(round(own * factor))) for own in have)
    top, left, rows, columns = _centre(size, inner)
    frame = np.empty(tuple(size) + (3,), np.float32)
    frame[:] = _mean_colour(preprocessing)
    frame[top:top + rows, left:left + columns] = _warped(photograph, inner)
    y, x = have[0] / float(rows), have[1] / float(columns)
    return frame, (-left * x, -top * y, x, y)


def _mean_colour(preprocessing):
    """The mean as blue, green and red."""
    mean = np.zeros(1, np.float32) if preprocessing.mean is None else preprocessing.mean
    mean = np.asarray(mean, np.float32)
    colour = mean.reshape(mean.shape[0], -1).mean(axis=1)
    return colour[::-1] if preprocessing.channel_order == "RGB" else colour


def _views(size, crop, crops):
    """Top, left, height, width and whether mirrored, of each crop."""
    middle = _centre(size, crop)
    if crops == 1:
        return [middle + (False,)]
    rows, columns = crop
    corners = [(top, left, rows, columns)
               for top in (0, size[0] - rows) for left in (0, size[1] - columns)]
    return [view + (mirrored,) for mirrored in (False, True) for view in corners + [middle]]


def _resized_size(size, resize):
    if resize is None:
        return size
    if isinstance(resize, int):
        short = float(min(size))
        return tuple(max(1, int(round(length * resize / short))) for length in size)
    return tuple(resize)


def _centre(size, crop):
    """Top, left, height, width of the centre crop; an odd rest leaves one more at the end."""
    if crop[0] > size[0] or crop[1] > size[1]:
        raise InputError(
            "the picture is {}x{} before the crop of {}x{}; resize it to something larger".format(
                size[0], size[1], *crop
            )
        )
    return (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2, crop[0], crop[1]


def _to_channels(pixels, channel_order):
    import cv2

    if channel_order == "GRAY":
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2GRAY)[np.newaxis]
    if channel_order == "RGB":
        pixels = pixels[:, :, ::-1]
    return pixels.transpose(2, 0, 1)


def _mean_for(preprocessing, resized, corner):
    """The mean in a shape that can be subtracted from the C x h x w blob cut out at a corner."""
    import cv2

    mean = np.asarray(preprocessing.mean, np.float32)
    if mean.ndim == 1:
        return mean[:, np.newaxis, np.newaxis]
    size = tuple(preprocessing.size)
    have = mean.shape[1:]
    # A mean image of the size before the crop lies under the picture: it is cropped with it.
    # A larger one is Caffe's habit (mean of 256x256, crop_size 227), cropped in the centre.
    if have == tuple(resized) or (have[0] >= size[0] and have[1] >= size[1]):
        top, left = corner if have == tuple(resized) else _centre(have, size)[:2]
        return mean[:, top:top + size[0], left:left + size[1]]
    return np.stack([cv2.resize(one, size[::-1]) for one in mean])
