"""Image -> blob, and the geometry that leads back from blob to photograph."""

from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from prototxt_tools.errors import InputError

CHANNELS = {"BGR": 3, "RGB": 3, "GRAY": 1}


class Preprocessing(NamedTuple):
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
    resize : None, (int, int) or int
        Height and width to which the whole picture is warped; or the length of its short side,
        the proportions kept; None leaves it as it is.
    crop : None or (int, int)
        Height and width of the centre crop that follows.
    """

    size: Tuple[int, int]
    channel_order: str = "BGR"
    mean: Any = None
    scale: float = 1.0
    resize: Any = None
    crop: Optional[Tuple[int, int]] = None


class Geometry(NamedTuple):
    """Which part of a photograph an input blob shows.

    Attributes
    ----------
    photograph : (int, int)
        Height and width of the photograph.
    rectangle : (float, float, float, float)
        x0, y0, x1, y1: the edges of what the blob shows, in pixels of the photograph; the
        photograph's own edges are 0, 0, W, H.
    """

    photograph: Tuple[int, int]
    rectangle: Tuple[float, float, float, float]

    def to_photograph(self, cells):
        """Lay a map over the photograph.

        Each cell's value stands at the centre of the part of the rectangle that the cell covers;
        values between centres are interpolated linearly, and a border cell's value goes on to
        the rectangle's edge. This is what ``cv2.resize`` does where the rectangle is the whole
        photograph, and it needs no whole pixels where it is not.

        Parameters
        ----------
        cells : numpy.ndarray
            h x w.

        Returns
        -------
        numpy.ndarray
            H x W float32, zero outside the rectangle.
        """
        height, width = self.photograph
        x0, y0, x1, y1 = self.rectangle
        rows = _interpolation(height, y0, y1, cells.shape[0])
        columns = _interpolation(width, x0, x1, cells.shape[1])
        return np.dot(np.dot(rows, np.float32(cells)), columns.T)


def _interpolation(pixels, start, end, cells):
    """Weights (pixels x cells, float32) of linear interpolation along one axis."""
    centres = start + (np.arange(cells) + 0.5) * (end - start) / cells
    at = np.arange(pixels) + 0.5
    weights = np.stack([np.interp(at, centres, one) for one in np.eye(cells)], axis=1)
    weights[(at < start) | (at > end)] = 0
    return weights.astype(np.float32)


def to_blob(photograph, preprocessing):
    """Turn a photograph into what the net reads.

    Resize (float32, bilinear, as ``cv2.INTER_LINEAR``), centre crop, channel order, minus mean,
    times scale: the order of ``caffe.io.Transformer`` and of Caffe's ``DataTransformer``.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    preprocessing : Preprocessing

    Returns
    -------
    blob : numpy.ndarray
        C x h x w float32.
    geometry : Geometry
        The part of the photograph that the blob shows.

    Raises
    ------
    InputError
        The photograph is smaller than the crop, or what comes out is not the net's input size.
    """
    import cv2

    height, width = photograph.shape[:2]
    resized = _resized_size((height, width), preprocessing.resize)
    pixels = photograph.astype(np.float32)
    if resized != (height, width):
        pixels = cv2.resize(pixels, resized[::-1], interpolation=cv2.INTER_LINEAR)
    top, left, rows, columns = _centre(resized, preprocessing.crop or resized)
    if (rows, columns) != tuple(preprocessing.size):
        raise InputError(
            "the picture is {}x{} after resize and crop, but the net's input is {}x{}".format(
                rows, columns, *preprocessing.size
            )
        )
    pixels = pixels[top:top + rows, left:left + columns]
    blob = _to_channels(pixels, preprocessing.channel_order)
    if preprocessing.mean is not None:
        blob = blob - _mean_for(preprocessing, resized)
    blob = blob * np.float32(preprocessing.scale)
    y, x = height / float(resized[0]), width / float(resized[1])
    rectangle = (left * x, top * y, (left + columns) * x, (top + rows) * y)
    return np.ascontiguousarray(blob), Geometry((height, width), rectangle)


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


def _mean_for(preprocessing, resized):
    """The mean in a shape that can be subtracted from a C x h x w blob."""
    import cv2

    mean = np.asarray(preprocessing.mean, np.float32)
    if mean.ndim == 1:
        return mean[:, np.newaxis, np.newaxis]
    size = tuple(preprocessing.size)
    have = mean.shape[1:]
    # A mean image of the size before the crop lies under the picture: it is cropped with it.
    # A larger one is Caffe's habit (mean of 256x256, crop_size 227), cropped in the centre too.
    if have == resized or (have[0] >= size[0] and have[1] >= size[1]):
        top, left, rows, columns = _centre(have, size)
        return mean[:, top:top + rows, left:left + columns]
    return np.stack([cv2.resize(one, size[::-1]) for one in mean])
