"""Mean files: .npy, and the .binaryproto of Caffe's ``compute_image_mean``."""

import io
import os
from typing import Optional, Tuple

import numpy as np

from prototxt_tools.errors import ModelError
from prototxt_tools.files import read_bytes
from prototxt_tools.net import schema

ENDINGS = (".binaryproto", ".npy")
# A mean image of 1024 x 1024 colours in double precision has 24 MB.
MOST_BYTES = 64 << 20

_NUMPY = b"\x93NUMPY"
_OTHER_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"<!doctype", "a web page saved in place of the file; fetch the raw file"),
    (b"<html", "a web page saved in place of the file; fetch the raw file"),
    (b"<?xml", "an error message of a server in place of the file; fetch it again"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first (of an .npz, save the array as .npy)"),
    (b"\x89PNG", "an image; a mean is a .npy or .binaryproto file"),
    (b"\xff\xd8\xff", "an image; a mean is a .npy or .binaryproto file"),
    (b"\x89HDF", "an HDF5 file; a mean is a .npy or .binaryproto file"),
)
_TEXT = bytes(range(32, 127)) + b"\t\n\r"


def read(path: str) -> np.ndarray:
    """Read a mean file; its content decides what it is, not its name.

    Parameters
    ----------
    path : str

    Returns
    -------
    numpy.ndarray
        C or C x h x w, float32.

    Raises
    ------
    ModelError
        The file is missing, is neither kind, or holds something else than a mean; the message
        tells what.
    """
    data = read_bytes(path, MOST_BYTES, ModelError)
    if data.startswith(_NUMPY):
        mean = _of_numpy(data, path)
    else:
        problem = _other_kind(data)
        if problem:
            raise ModelError(f"{path}: {problem}", path)
        mean = _of_blob(data, path)
    mean = _without_spare_axes(mean)
    problem = mean_problem(mean)
    if problem:
        raise ModelError(f"{path}: a mean must be {problem}", path)
    return mean.astype(np.float32)


def mean_problem(mean: np.ndarray) -> Optional[str]:
    """What an array must be to be a mean, and what it is instead; None where it is one."""
    if mean.dtype.kind in "fiu" and mean.ndim in (1, 3) and np.isfinite(mean).all():
        if mean.ndim == 1 or mean.shape[0] in (1, 3) or mean.shape[2] not in (1, 3):
            return None
    shape = "x".join(map(str, mean.shape)) or "()"
    advice = ""
    if mean.ndim == 3 and mean.shape[2] in (1, 3):
        advice = "; put the channels first with mean.transpose(2, 0, 1)"
    elif mean.dtype.kind in "fiu" and not np.isfinite(mean).all():
        advice = " with NaN or infinity"
    return ("one finite number per channel or channels x height x width of them, "
            f"not {mean.dtype} of shape {shape}{advice}")


def _other_kind(data: bytes) -> Optional[str]:
    """What a file is instead of a blob, where that can be told by its beginning."""
    if not data:
        return "the file is empty"
    for start, kind in _OTHER_FILES:
        if data.lstrip()[:len(start)].lower() == start.lower():
            return kind
    if not data[:200].translate(None, _TEXT):
        return ("a text; give the numbers themselves as the mean, or save them as .npy with "
                "numpy.save")
    return None


def _of_numpy(data: bytes, path: str) -> np.ndarray:
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # noqa: B902 - whatever NumPy raises for a damaged header
        if "bject" in str(error):
            raise ModelError(f"{path}: holds Python objects, not numbers; save the array with "
                             "numpy.save(..., mean.astype('float32'))", path) from None
        raise ModelError(f"{path}: a damaged .npy file", path) from None


def _of_blob(data: bytes, path: str) -> np.ndarray:
    blob = schema.new("BlobProto")
    try:
        blob.ParseFromString(data)
    except Exception:  # noqa: B902 - protobuf's DecodeError, whose module differs
        raise ModelError(f"{path}: not a mean file (.npy or .binaryproto){_net_hint(data)}",
                         path) from None
    shape = list(blob.shape.dim) or [blob.num, blob.channels, blob.height, blob.width]
    values = np.array(blob.data or blob.double_data, np.float32)
    if not values.size or values.size != np.prod(np.array(shape, object)):
        size = "x".join(map(str, shape))
        raise ModelError(f"{path}: not a mean file: it holds {values.size} numbers for a shape of "
                         f"{size}{_net_hint(data)}", path)
    return values.reshape(shape)


def _net_hint(data: bytes) -> str:
    """That the file holds a net's weights, where it does."""
    net = schema.new("NetParameter")
    try:
        net.ParseFromString(data)
    except Exception:  # noqa: B902 - as above
        return ""
    return "; it holds the weights of a net" if len(net.layer) or len(net.layers) else ""


def _without_spare_axes(mean: np.ndarray) -> np.ndarray:
    """C or C x h x w of one number, 1 x C x h x w, or h x w."""
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim == 0:
        return mean.reshape(1)
    return mean[np.newaxis] if mean.ndim == 2 else mean


def find(folder: str, name: Optional[str] = None) -> Optional[str]:
    """The path of the folder's mean file: the one of that name, else the only one, else None."""
    if name and os.path.isfile(os.path.join(folder, name)):
        return os.path.join(folder, name)
    names = sorted(entry for entry in os.listdir(folder)
                   if entry.endswith(ENDINGS) and "mean" in entry.lower())
    return os.path.join(folder, names[0]) if len(names) == 1 else None


def size_of(mean: Optional[np.ndarray]) -> Optional[Tuple[int, int]]:
    """Height and width of a mean image; None where it is one colour."""
    return None if mean is None or mean.ndim != 3 else (mean.shape[1], mean.shape[2])
