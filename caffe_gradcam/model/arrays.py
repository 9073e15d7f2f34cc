"""Whatever Python code gives as images -> uint8 arrays, blue first.

The rule is that nothing is guessed: a value that could mean two things is refused with its type,
its shape, its range and the way to convert it. PIL, torch, pandas and Arrow are recognised without
being imported.
"""

import logging
import os
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Union,
)

import numpy as np

from caffe_gradcam.model import (
    array_files,
    bands,
    choices,
    clip_files,
    image_values,
    page_sizes,
)
from caffe_gradcam.model import images as image_files
from caffe_gradcam.model.given_arrays import (
    Source,
    check_shape,
    check_values,
    from_foreign,
    from_pil,
    from_tensor,
    is_pil,
    is_tensor,
    kind_of,
    source_of,
)
from caffe_gradcam.model.image_values import Range
from caffe_gradcam.model.preprocess import BANDS, Preprocessing
from prototxt_tools.errors import ImageError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel

_logger = logging.getLogger(__name__)

# One image, or one for each input blob.
Image = Union[np.ndarray, Dict[str, np.ndarray]]

# Inputs that take numbers as they are -> the Preprocessing of pictures, None of others.
Numbers = Mapping[str, Optional[Preprocessing]]
NO_NUMBERS: Numbers = MappingProxyType({})

COLORS = ("BGR", "RGB")
# Keys of a row that holds an image: what Hugging Face, pandas and Ray call it, then WebDataset's.
_KEYS = ("image", "img", "jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff", "bytes", "path")


def as_images(value: Any, color: str = "BGR", inputs: Sequence[str] = (),
              value_range: Optional[Range] = None, numbers: Numbers = NO_NUMBERS
              ) -> Iterator[Image]:
    """The images in a value, one at a time: lists, generators and tables are read lazily.

    Parameters
    ----------
    value : object
        One image as :func:`as_image` takes it; a stack of N x H x W x C; for nets with several
        inputs a dict of input blob -> image; or an iterable of these, such as a list, a
        generator, a data frame or a data set whose rows have an ``image``.
    color : str
        "BGR" or "RGB": the order of the channels of arrays and tensors.
    inputs : sequence of str
        The net's input blobs.
    value_range : (float, float), optional
        The values of arrays and files of more than 8 bits that become 0 and 255; arrays of other
        types than uint8 are refused without it.
    numbers : dict
        The inputs that take numbers as they are -> their Preprocessing, for pictures without
        colours, or None, for inputs that are no pictures; see ``numbers_of``.

    Yields
    ------
    numpy.ndarray or dict
        H x W x 3 uint8, blue first; or input blob -> such an array, or numbers.

    Raises
    ------
    ImageError
        When its turn comes: something that is not an image, or that could mean two things. The
        message names the position in the iterable, counted from 1.
    """
    choices.check([color], COLORS, "color")
    reader = _Reader(color, tuple(inputs), value_range, numbers)
    if _is_single(value):
        yield from reader.images(value, "the image")
        return
    for number, entry in enumerate(_entries(value), 1):
        yield from reader.images(entry, f"image {number}")


def as_image(value: Any, color: str = "BGR", inputs: Sequence[str] = (),
             name: str = "the image", value_range: Optional[Range] = None,
             numbers: Numbers = NO_NUMBERS) -> Image:
    """One image.

    Parameters
    ----------
    value : object
        A path; a file's bytes, or a file open for reading; a PIL image; an array or tensor of
        uint8: H x W, H x W x 1, H x W x 3 or H x W x 4, whose alpha is dropped as in files; a
        mapping or a row with one of these under ``image``; or input blob -> any of these.
    color, inputs, value_range, numbers
        As for :func:`as_images`.
    name : str
        What messages call it; files are called by their paths.

    Returns
    -------
    numpy.ndarray or dict
        As for :func:`as_images`. Arrays that are already of this form are not copied.

    Raises
    ------
    ImageError
        It is not an image, is several, or could mean two things.
    """
    choices.check([color], COLORS, "color")
    images = list(_Reader(color, tuple(inputs), value_range, numbers).images(value, name))
    if len(images) != 1:
        raise ImageError.about(name, f"a stack of {len(images)} images, where one is needed")
    return images[0]


class _Reader:
    """Reads single values."""

    def __init__(self, color: str, inputs: Sequence[str], value_range: Optional[Range],
                 numbers: Numbers) -> None:
        self.color = color
        self.inputs = inputs
        self.value_range = value_range
        self.numbers = numbers

    def images(self, value: Any, name: str) -> List[Image]:
        """The images in one value: one, or those of a stack."""
        row = _row(value)
        if row is None:
            return list(self._images(value, name))
        blobs = [blob for blob in self.inputs if blob in row]
        if blobs and (len(blobs) == len(row) or len(blobs) == len(self.inputs) > 1):
            return [{blob: self._input(blob, row[blob], f"{name}, input {blob}")
                     for blob in blobs}]
        key = next((key for key in _KEYS if row.get(key) is not None), None)
        if blobs or key is None:
            self._check_names(row, key is not None, name)
        if key is None:
            keys = ", ".join(map(str, row)) or "none"
            raise ImageError.about(name, f"a row without an image; its keys are {keys}, and the "
                                         "image must be under the key 'image'")
        return self.images(row[key], name)

    def _check_names(self, row: Mapping[Any, Any], has_image: bool, name: str) -> None:
        """Refuse a key that seems to name an input that the row lacks; and where the net has
        several inputs and no key says that this is an image, any that is no input."""
        unknown = [key for key in row if key not in self.inputs]
        lacking = [blob for blob in self.inputs if blob not in row]
        mistyped = [key for key in unknown if choices.nearest(key, lacking)]
        if not mistyped and not has_image and len(self.inputs) > 1:
            mistyped, lacking = unknown, list(self.inputs)
        if mistyped:
            raise ImageError.about(name, f"there is no input {str(mistyped[0])!r}; "
                                         + choices.hint(mistyped[0], lacking))

    def _input(self, blob: str, value: Any, name: str) -> np.ndarray:
        """The value of one input."""
        return (_as_numbers(value, self.numbers[blob], name) if blob in self.numbers
                else self._only(value, name))

    def _only(self, value: Any, name: str) -> np.ndarray:
        images = self.images(value, name)
        if len(images) != 1 or isinstance(images[0], dict):
            raise ImageError.about(name, f"one image is needed, not {len(images)}")
        return images[0]

    def _images(self, value: Any, name: str) -> Sequence[np.ndarray]:
        if len(self.inputs) == 1 and self.inputs[0] in self.numbers:
            return [self._input(self.inputs[0], value, name)]
        if isinstance(value, (str, os.PathLike)):
            return self._file(os.fspath(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return [image_files.decode(bytes(value), name, value_range=self.value_range)]
        if is_pil(value):
            return [from_pil(value, name, self.value_range)]
        if hasattr(value, "read"):
            name = str(getattr(value, "name", name))
            return [image_files.decode(_bytes_of(value, name), name,
                                       value_range=self.value_range)]
        if is_tensor(value):
            return self._arrays(from_tensor(value, name), source_of(value, name))
        if hasattr(value, "__array__"):
            return self._arrays(from_foreign(value, name), source_of(value, name))
        raise ImageError.about(name, f"cannot make an image of {kind_of(value)}; give a path, a "
                                     "file's bytes, a PIL image or a uint8 array of H x W x 3")

    def _file(self, path: str) -> List[np.ndarray]:
        """The image in a file, or its pages."""
        count = len(page_sizes.declared(path))
        if count < 2:
            return [image_files.read(path, self.value_range)]
        _logger.warning("%s: has %d pages; each is an image of its own", path, count)
        return [image_values.to_uint8(clip_files.picture(path, page), f"{path}/page-{page + 1}",
                                      self.value_range) for page in range(count)]

    def _arrays(self, array: np.ndarray, source: Source) -> Sequence[np.ndarray]:
        """The images of an array: one, or those of a stack."""
        if self.value_range is None:
            check_values(array, source)
        check_shape(array, source)
        array = image_values.to_uint8(array, source.name, self.value_range)
        if array.ndim == 4:
            return [self._ordered(image) for image in array]
        return [self._ordered(array)]

    def _ordered(self, array: np.ndarray) -> np.ndarray:
        """H x W x 3, blue first, of an H x W, H x W x 1, H x W x 3 or H x W x 4 array."""
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.shape[2] == 1:
            return np.repeat(array, 3, axis=2)
        if array.shape[2] == 4:
            array = array[:, :, :3]
        if self.color == "RGB":
            array = array[:, :, ::-1]
        return np.ascontiguousarray(array)


def numbers_of(model: "LoadedModel") -> Numbers:
    """The inputs of a model that take numbers as they are; see :func:`as_images`."""
    pictures = {blob: values for blob, values in model.inputs.items()
                if values.channel_order == BANDS}
    return {**pictures, **dict.fromkeys(model.arrays)}


def _as_numbers(value: Any, values: Optional[Preprocessing], name: str) -> np.ndarray:
    """An array as it is: of a picture H x W x C."""
    if isinstance(value, str) and values is None and _is_words(value):
        return value  # type: ignore[return-value]  # What takes words numbers them.
    if isinstance(value, (str, os.PathLike)):
        name = os.fspath(value)
        array = array_files.read(name)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        array = array_files.decode(bytes(value), name)
    elif is_pil(value):
        array = np.asarray(value)
    else:
        array = from_tensor(value, name) if is_tensor(value) else _plain_array(value, name)
    return array if values is None else bands.as_bands(array, values, name)


def _is_words(text: str) -> bool:
    """Whether a text is neither a number nor the name of a file."""
    return not array_files.is_number(text) and not os.path.exists(array_files.split(text)[0])


def _plain_array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise ImageError.about(name, f"cannot make an array of numbers of {kind_of(value)}")
    return array


def _bytes_of(file: Any, name: str) -> bytes:
    """What an open file holds."""
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # A closed file is a ValueError.
        raise ImageError.about(name, f"the file cannot be read: {error}") from None
    if not isinstance(data, bytes):
        raise ImageError.about(name, 'the file is open as text; open it with mode "rb"')
    return data


def _is_single(value: Any) -> bool:
    """Whether a value is not an iterable of images."""
    if isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike)) or is_pil(value):
        return True
    if is_tensor(value) or hasattr(value, "read") or _row(value) is not None:
        return True
    if _is_table(value) or _is_column(value):
        return False
    if not hasattr(value, "__iter__"):
        return True
    if not hasattr(value, "__array__"):
        return False
    array = from_foreign(value, "the images")
    return not array.ndim or array.dtype.kind not in "OUS"


def _entries(value: Any) -> Iterable[Any]:
    """What an iterable holds: the rows of a table, else its elements."""
    if hasattr(value, "iter_rows"):  # Ray's data sets, and Polars' data frames.
        return value.iter_rows(named=True) if hasattr(value, "to_dict") else value.iter_rows()
    if hasattr(value, "to_pylist"):
        return _arrow_rows(value)
    return value.to_dict("records") if _is_table(value) else value


def _arrow_rows(value: Any) -> Iterator[Any]:
    """The rows of an Arrow table, or the values of a column."""
    for part in value.to_batches() if hasattr(value, "to_batches") else [value]:
        yield from part.to_pylist()


def _row(value: Any) -> Optional[Mapping[Any, Any]]:
    """A mapping, or the row of a data frame, as a mapping; None where it is neither."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):
        return value._asdict()
    is_row = _is_column(value) and any(key in value.index for key in _KEYS)
    return value.to_dict() if is_row else None


def _is_table(value: Any) -> bool:
    return hasattr(value, "iter_rows") or hasattr(value, "to_pylist") or (
        hasattr(value, "to_dict") and hasattr(value, "columns"))


def _is_column(value: Any) -> bool:
    """A column or a row of a data frame."""
    return hasattr(value, "to_dict") and hasattr(value, "index") and not _is_table(value)
