"""PIL images, tensors and arrays that Python code gives -> arrays, or a sentence on what they are.

PIL and torch are recognised without being imported.
"""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from caffe_gradcam.model import image_values
from caffe_gradcam.model.image_values import Range
from prototxt_tools.errors import ImageError, shortened

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Source:
    """What an array came from, for messages.

    Attributes
    ----------
    name : str
        What messages call the image.
    noun : str
        "array" or "tensor".
    dtype : str
        Its own type, which the array need not have: NumPy has no bfloat16.
    """

    name: str
    noun: str
    dtype: str


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image."""
    return _is_from(value, "PIL") and hasattr(value, "mode")


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of torch."""
    return _is_from(value, "torch") and hasattr(value, "detach")


def _is_from(value: Any, package: str) -> bool:
    return any(kind.__module__.split(".")[0] == package for kind in type(value).__mro__)


def source_of(value: Any, name: str) -> Source:
    """What a tensor or an array is, for messages."""
    noun = "tensor" if is_tensor(value) else "array"
    return Source(name, noun, str(getattr(value, "dtype", "")).replace("torch.", ""))


def from_tensor(tensor: Any, name: str) -> np.ndarray:
    """A tensor's values; bfloat16 become float32.

    Raises
    ------
    ImageError
        A tensor of another kind, such as a sparse one.
    """
    try:
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        return tensor.numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_array(tensor, name, error) from None


def from_foreign(value: Any, name: str) -> np.ndarray:
    """The array that a value of another library says it is.

    Raises
    ------
    ImageError
        It cannot be converted, or some of its values are masked.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ImageError.about(name, "some values of the array are masked; say what stands there "
                                     "with image.filled(VALUE)")
    try:
        return np.asarray(value)
    except Exception as error:  # noqa: B902 - what other libraries raise
        raise _no_array(value, name, error) from None


def _no_array(value: Any, name: str, error: Exception) -> ImageError:
    problem = str(error).split("\n")[0]
    return ImageError.about(name, f"this {type(value).__name__} cannot be converted to a NumPy "
                                  f"array: {problem}")


def from_pil(image: Any, name: str, value_range: Optional[Range]) -> np.ndarray:
    """A PIL image as its file would be read: turned upright, without alpha, blue first.

    Raises
    ------
    ImageError
        Pixels of 32 bits without a range, no pixels, or a file that PIL cannot read.
    """
    from PIL import ImageOps

    name = str(getattr(image, "filename", "") or name)
    if not all(image.size):
        raise ImageError.about(name, "the PIL image has no pixels")
    if image.mode in ("I", "F") and value_range is None:
        low, high = image.getextrema()
        raise ImageError.about(name, f"a PIL image of mode {image.mode} with values from {low:g} "
                                     f"to {high:g}; scale them to 0..255 and convert it to mode L")
    try:
        # Old versions of PIL have no orientation to apply to images that did not come from files.
        upright = ImageOps.exif_transpose(image) or image
        if image.mode in ("I", "F"):
            return _grey(np.asarray(upright), name, value_range)
        if image.mode.startswith("I;16"):
            return _grey(np.asarray(upright).astype(np.uint16), name, value_range)
        if image.mode == "La":
            upright = upright.convert("LA")
        return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError.about(name, f"PIL cannot read the image: {error}") from None


def _grey(values: np.ndarray, name: str, value_range: Optional[Range]) -> np.ndarray:
    return np.repeat(image_values.to_uint8(values, name, value_range)[:, :, np.newaxis], 3, axis=2)


def check_values(array: np.ndarray, source: Source) -> None:
    """Raise an ImageError for anything but uint8, with the way to convert it."""
    if array.dtype == np.uint8:
        return
    given = _description(array, source)
    if array.dtype.kind not in "biuf" or not array.size:
        raise ImageError.about(source.name, f"{given}; give uint8 values, "
                                            "height x width x 3 channels")
    if not np.isfinite(array).all():
        raise ImageError.about(source.name, f"{given}, holds NaN or infinity; images must be "
                                            "uint8 values from 0 to 255")
    low, high = float(array.min()), float(array.max())
    raise ImageError.about(source.name, f"{given}, with values from {low:g} to {high:g}; images "
                                        "must be uint8 values from 0 to 255: "
                                        f"{_conversion(array.dtype.kind, source, low, high)}")


def _conversion(kind: str, source: Source, low: float, high: float) -> str:
    """How to make uint8 values of others."""
    cast = ".to(torch.uint8)" if source.noun == "tensor" else ".astype('uint8')"
    if low < 0:
        return "undo the normalisation, then round to uint8"
    if kind == "b":
        return f"convert with image{cast} * 255"
    if kind == "f" and high <= 1:
        return (f"convert with (image * 255).round(){cast}; caffe.io.load_image and "
                "torchvision give RGB, so also pass color='RGB'")
    if high <= 255:
        return f"convert with image.round(){cast}" if kind == "f" else f"convert with image{cast}"
    if source.dtype.endswith(("uint16", "u2")):
        return f"convert with (image // 257){cast} if they go up to 65535"
    return "scale them to 0..255, then round to uint8"


def check_shape(array: np.ndarray, source: Source) -> None:
    """Raise an ImageError for anything but an image or a stack of images, channels last."""
    shape = array.shape
    has_channels = len(shape) in (3, 4) and shape[-1] in _CHANNELS
    if array.size and (has_channels or len(shape) == 2):
        if source.noun == "array" or len(shape) == 2 or shape[-3] not in _CHANNELS:
            return
    given = _description(array, source) + ","
    if array.size and len(shape) in (3, 4) and shape[-3] in _CHANNELS:
        problem = (f"{given} seems to have its channels first; put them last with "
                   f"{_channels_last(source, len(shape))}, and pass color='RGB' if they are "
                   "red, green and blue")
    elif array.size and len(shape) == 3:
        problem = (f"{given} has {shape[-1]} channels, where an image has 1, 3 or 4; if it "
                   "is a stack of grey images, add an axis with images[..., None]")
    else:
        problem = (f"{given} is not an image; give H x W, H x W x C with 1, 3 or 4 channels, or "
                   "a stack of N x H x W x C")
    raise ImageError.about(source.name, problem)


def _channels_last(source: Source, axes: int) -> str:
    order = "1, 2, 0" if axes == 3 else "0, 2, 3, 1"
    return f"image.{'permute' if source.noun == 'tensor' else 'transpose'}({order})"


def _description(array: np.ndarray, source: Source) -> str:
    shape = " x ".join(map(str, array.shape)) or "no axes"
    article = "an" if source.noun == "array" else "a"
    return f"{article} {source.noun} of {source.dtype or array.dtype}, {shape}"


def kind_of(value: Any) -> str:
    """A value that is no image, for messages."""
    return "None" if value is None else f"{type(value).__name__} {shortened(repr(value), 40)}"
