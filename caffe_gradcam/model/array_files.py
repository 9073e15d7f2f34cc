"""Arrays of numbers in files: .npy, .npz, HDF5, multi-band TIFF and other images, text and JSON."""

import io
import itertools
import os
import re
import zipfile
from typing import Any, List, Optional, Tuple, Type

import numpy as np

from caffe_gradcam.model import image_sizes
from prototxt_tools.errors import ImageError, InputError, ModelError
from prototxt_tools.files import byte_limit, parse_json, read_bytes

MOST_BYTES = 1 << 28

_WITH_KEY = (".npz", ".h5", ".hdf5", ".hdf")
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*$")
_HDF5_START = b"\x89HDF\r\n\x1a\n"
_TIFF_STARTS = (b"II*\0", b"MM\0*")
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"RIFF", b"GIF8")
# Datasets and groups that are looked at for the only array of a file.
_MOST_MEMBERS = 1000
# deflate, shuffle, fletcher32, szip, lzf: filters without code from other files.
_FILTERS = (1, 2, 3, 4, 32000)


def split(text: str) -> Tuple[str, Optional[str]]:
    """``file.npz:key`` or ``file.h5:dataset`` as its two halves; the second may be None."""
    path, colon, key = text.rpartition(":")
    return (path, key) if colon and path.lower().endswith(_WITH_KEY) else (text, None)


def is_number(text: str) -> bool:
    """Whether a text is one number, which fills an input, rather than the name of a file."""
    return bool(_NUMBER.match(text))


def read(text: str) -> np.ndarray:
    """The array that a text names.

    Parameters
    ----------
    text : str
        A number; or a file, as :func:`decode` reads it.

    Raises
    ------
    ImageError
        The file is missing or holds no such array.
    """
    if is_number(text):
        return np.array(float(text), np.float32)
    path, _ = split(text)
    return decode(read_bytes(path, MOST_BYTES, ImageError), text)


def read_in_folder(text: str, folder: str, source: str) -> np.ndarray:
    """As :func:`read`, for a file that must lie in a folder; ``source`` is who names it."""
    if is_number(text):
        return np.array(float(text), np.float32)
    path = split(text)[0]
    if os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir:
        raise ModelError(f"{source}: {text}: must name a file in the model's folder", source)
    return read(os.path.join(folder, text))


def decode(data: bytes, name: str) -> np.ndarray:
    """The array in a file's bytes, whose beginning tells what it is.

    Parameters
    ----------
    data : bytes
        .npy; .npz or HDF5 with one array, or with that of the name behind the colon; TIFF of any
        number of bands, and other images, as they are stored; JSON; or text with numbers between
        blanks or commas, a row on each line.
    name : str
        The file's, for messages and for the key behind its colon.

    Returns
    -------
    numpy.ndarray
        Numbers, of the file's own type.

    Raises
    ------
    ImageError
        Empty, damaged, no such key, or no numbers.
    """
    path, key = split(name)
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes)", path)
    if data.startswith(b"\x93NUMPY"):
        array = _loaded(io.BytesIO(data), path)
    elif data.startswith(b"PK\x03\x04"):
        array = _from_npz(data, path, key)
    elif data.startswith(_HDF5_START):
        array = _from_hdf5(data, path, key)
    elif data.startswith(_TIFF_STARTS):
        array = _from_tiff(data, path)
    elif data.startswith(_IMAGE_STARTS):
        array = _from_image(data, path)
    else:
        array = _from_text(data, path)
    if array.dtype.kind not in "biuf" or not array.size:
        raise ImageError(f"{path}: holds {array.dtype}, not numbers", path)
    return array


def _loaded(file: Any, path: str) -> np.ndarray:
    try:
        array: np.ndarray = np.load(file, allow_pickle=False)
    except Exception:  # noqa: B902 - whatever NumPy raises for a damaged header
        raise ImageError(f"{path}: a damaged .npy file, or one of Python objects", path) from None
    return array


def _from_npz(data: bytes, path: str, key: Optional[str]) -> np.ndarray:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {info.filename[:-len(".npy")]: info for info in archive.infolist()
                     if info.filename.endswith(".npy")}
            chosen = _chosen(list(names), path, key)
            limit = byte_limit(MOST_BYTES)
            if names[chosen].file_size > limit:
                raise ImageError(f"{path}: {chosen} takes more than {limit} bytes", path)
            content = archive.read(names[chosen])
    except ImageError:
        raise
    except Exception:  # noqa: B902 - whatever zipfile raises for damaged archives
        raise ImageError(f"{path}: a damaged .npz file", path) from None
    return _loaded(io.BytesIO(content), f"{path}:{chosen}")


def _from_hdf5(data: bytes, path: str, key: Optional[str]) -> np.ndarray:
    try:
        import h5py
    except ImportError:
        raise ImageError(f"{path}: HDF5 needs h5py; pip install h5py", path) from None
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if key is None:
                key = _chosen(_datasets(file), path, key)
            dataset = _member(file, key, path)
            _check_dataset(dataset, path, key)
            array: np.ndarray = np.asarray(dataset[...])
    except ImageError:
        raise
    except Exception as error:  # noqa: B902 - h5py raises all kinds for damaged files
        reason = str(error).split("\n")[0]
        raise ImageError(f"{path}: this HDF5 file cannot be read: {reason}", path) from None
    return array


def _datasets(file: Any) -> List[str]:
    """The paths of the datasets in a file, those in groups among them; links to other files are
    not followed."""
    import h5py

    paths: List[str] = []
    visited = itertools.count(1)

    def add(path: str, member: Any) -> Optional[bool]:
        if isinstance(member, h5py.Dataset):
            paths.append(path)
        return True if next(visited) >= _MOST_MEMBERS else None

    file.visititems(add)
    return paths


def _member(file: Any, key: str, path: str) -> Any:
    """A dataset by its path within the file; links to other files are not followed."""
    import h5py

    member = file
    for name in key.strip("/").split("/"):
        is_here = isinstance(member, h5py.Group) and isinstance(
            member.get(name, getlink=True), h5py.HardLink)
        if not is_here:
            raise _no_array(_datasets(file), path, key)
        member = member[name]
    if not isinstance(member, h5py.Dataset):
        raise _no_array(_datasets(file), path, key)
    return member


def check_storage(dataset: Any, path: str, key: str, error: Type[InputError] = ImageError) -> None:
    """Refuse a dataset of HDF5 that is not stored in its file alone, in a way that HDF5 itself and
    h5py can read.

    Parameters
    ----------
    dataset : h5py.Dataset
    path, key : str
        The file, and the dataset's name in it.
    error : type
        The class of what is raised.

    Raises
    ------
    InputError
        Or ``error``.
    """
    creation = dataset.id.get_create_plist()
    if dataset.external or dataset.is_virtual:
        raise error(f"{path}: {key} is stored in other files, which are not read", path)
    if any(creation.get_filter(index)[0] not in _FILTERS
           for index in range(creation.get_nfilters())):
        raise error(f"{path}: {key} is compressed in a way that needs a plugin; save it with "
                    "gzip", path)


def _check_dataset(dataset: Any, path: str, key: str) -> None:
    check_storage(dataset, path, key)
    limit = byte_limit(MOST_BYTES)
    sizes = [dataset.shape or ()] + ([dataset.chunks] if dataset.chunks else [])
    for size in sizes:
        if float(np.prod(size, dtype=np.float64)) * dataset.dtype.itemsize > limit:
            raise ImageError(f"{path}: {key} takes more than {limit} bytes", path)


def _chosen(names: Any, path: str, key: Optional[str]) -> str:
    """The array of that name, or the only one."""
    if key is None and len(names) == 1:
        return str(names[0])
    if key is None:
        example = f", such as {path}:{names[0]}" if names else ""
        raise ImageError(f"{path}: the file holds {len(names)} arrays; name one{example}", path)
    if key not in names:
        raise _no_array(names, path, key)
    return key


def _no_array(names: Any, path: str, key: str) -> ImageError:
    shown = ", ".join(list(names)[:8]) or "none"
    return ImageError(f"{path}: there is no array {key!r}; there are {shown}", path)


def _from_tiff(data: bytes, path: str) -> np.ndarray:
    """The first page, of any number of bands: rows x columns x bands, or bands first."""
    try:
        import tifffile
    except ImportError:
        return _from_image(data, path)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            limit = byte_limit(MOST_BYTES)
            if float(np.prod(series.shape, dtype=np.float64)) * series.dtype.itemsize > limit:
                raise ImageError(f"{path}: the image takes more than {limit} bytes", path)
            array: np.ndarray = series.asarray()
    except ImageError:
        raise
    except Exception as error:  # noqa: B902 - tifffile raises all kinds for damaged files
        reason = str(error).split("\n")[0]
        raise ImageError(f"{path}: this TIFF cannot be read: {reason}", path) from None
    return array


def _from_image(data: bytes, path: str) -> np.ndarray:
    """The values as they are stored: H x W [x C], blue first where they are colours."""
    import cv2

    image_sizes.check(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: not an image that OpenCV can read, or a damaged one", path)
    array: np.ndarray = image
    return array


def _from_text(data: bytes, path: str) -> np.ndarray:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImageError(f"{path}: neither an array nor text of numbers", path) from None
    try:
        if text.lstrip().startswith("["):
            array: np.ndarray = np.array(parse_json(text), np.float64)
        else:
            rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
            array = np.array([[float(word) for word in row] for row in rows], np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ImageError(f"{path}: not an array of numbers, in rows of the same length",
                         path) from None
    if array.shape == (1, 1):
        return array.reshape(())
    # A column, or a row, of numbers is a list of them.
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array
