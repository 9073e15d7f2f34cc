"""Weight files: read without a copy, written whole or not at all."""

import mmap
import os
from collections import OrderedDict

import numpy as np

from prototxt_tools.errors import InputError
from prototxt_tools.files import replacing
from prototxt_tools.weights import caffemodel

_HDF5 = b"\x89HDF\r\n\x1a\n"
_WEB_PAGE = "a web page saved in place of the file; fetch the raw file"
_STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"<!doctype", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"pk\x03\x04", "a zip archive, such as PyTorch writes"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x93numpy", "an array of NumPy"),
)
_TEXT = bytes(range(32, 127)) + b"\t\n\r"
_PLAIN = ("<f2", "<f4", "<f8")
_LARGEST_MESSAGE = (1 << 31) - 1


class Weights(OrderedDict):
    """Layer name -> list of arrays; what ``load`` gives.

    Attributes
    ----------
    layers : list of (str, list of (tuple, bool))
        All layers of the file, those without blobs and those that a later one of the same name
        replaces included: the shape of each blob, and whether it is written in the legacy way,
        as four sizes. ``check`` asks for it.
    """

    def __init__(self, layers):
        super().__init__((name, [blob.array for blob in blobs]) for name, blobs in layers if blobs)
        self.layers = [
            (name, [(blob.array.shape, blob.is_legacy) for blob in blobs])
            for name, blobs in layers
        ]


def load(path):
    """Read the weights of a net.

    The arrays are views of the mapped file, which take no memory before they are read. Writing
    to them changes a private copy, never the file. They have the precision of the file: a copy
    of halves as float32 would be twice the file.

    Parameters
    ----------
    path : str or os.PathLike
        A ``.caffemodel`` (V0, V1, V2, or NVCaffe's with ``raw_data``) or a ``.caffemodel.h5``;
        the contents decide, not the name.

    Returns
    -------
    Weights
        Layer name -> list of arrays, float32 (or float16, or float64, where the file holds
        that), in the order of the file; layers without weights are left out. Of layers that
        share a name the last one counts, as Caffe copies them one after the other. Legacy blobs
        keep their four axes.

    Raises
    ------
    InputError
        The file cannot be read or is no such file; the sentence says what it looks like.
    """
    path = os.fspath(path)
    data = _map(path)
    if data[:8] == _HDF5:
        return _load_hdf5(path, data)
    layers = _walk(path, data, lambda: list(caffemodel.layers(data, path)))
    if not layers:
        raise InputError(f"{path}: no layers in it, so it is no caffemodel")
    return Weights(layers)


def save(path, weights, types=None):
    """Write weights as a V2 ``.caffemodel`` that Caffe loads; the file appears when complete.

    Parameters
    ----------
    path : str or os.PathLike
    weights : dict
        Layer name -> list of arrays; they are written as float32, one at a time.
    types : dict, optional
        Layer name -> layer type. Caffe copies weights by name and does not ask for it.

    Raises
    ------
    InputError
        Nothing to write, more than protobuf's 2 GB, or the file cannot be written.
    """
    path = os.fspath(path)
    if not weights:
        raise InputError(f"{path}: there are no weights to save")
    pieces = []
    for name, arrays in weights.items():
        pieces += caffemodel.layer_pieces(name, arrays, (types or {}).get(name, ""))
    size = sum(map(caffemodel.piece_size, pieces))
    if size > _LARGEST_MESSAGE:
        raise InputError(
            f"{path}: {size / 1e9:.1f} GB of weights, and Caffe reads at most 2 GB"
        )
    with replacing(path) as file:
        for piece in pieces:
            is_head = isinstance(piece, bytes)
            file.write(piece if is_head else np.ascontiguousarray(piece, "<f4"))


def read_mean(path):
    """Read a mean image, a ``.binaryproto`` as ``compute_image_mean`` writes it.

    Returns
    -------
    numpy.ndarray
        C x H x W, float32.

    Raises
    ------
    InputError
        The file cannot be read or holds no single image.
    """
    path = os.fspath(path)
    data = _map(path)
    mean = _walk(path, data, lambda: caffemodel.blob(data, 0, len(data), path)).array
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise InputError(
            f"{path}: a mean image is channels x height x width, and this is {caffemodel.said(mean.shape)}"
        )
    return np.array(mean, np.float32)


def _map(path):
    """The bytes of a file, mapped; writing to them changes a private copy."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise InputError(f"{path}: the file is empty")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    head = data[:200]
    for start, what in _STRANGERS:
        if head.lstrip().lower().startswith(start):
            raise InputError(f"{path}: {what}")
    if not head.translate(None, _TEXT):
        raise InputError(f"{path}: text, a prototxt perhaps; weights are binary")
    return data


def _walk(path, data, read):
    try:
        return read()
    except caffemodel.Broken as error:
        if 0 < error.missing <= _LARGEST_MESSAGE:
            what = f"cut off, at least {error.missing} bytes are missing; fetch it again"
        else:
            what = f"not written by Caffe, or damaged: the bytes at {error.position} make no sense"
    raise InputError(f"{path}: {what}")


def _load_hdf5(path, data):
    """``Net::ToHDF5`` writes data/LAYER/INDEX; a name with slashes makes groups in groups."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading HDF5 needs h5py; pip install h5py") from None
    found, layers = [], OrderedDict()
    try:
        with h5py.File(path, "r") as file:
            file["data"].visititems(lambda name, item: found.append((name, item)))
            for name, item in found:
                if isinstance(item, h5py.Dataset):
                    layer, _, index = name.rpartition("/")
                    layers.setdefault(layer, {})[int(index)] = _dataset(item, data)
                elif not len(item):
                    layers[name] = {}
    except (KeyError, ValueError, AttributeError):
        raise InputError(f"{path}: HDF5, but not Caffe's data/LAYER/INDEX") from None
    except OSError as error:
        raise InputError(f"{path}: HDF5 that cannot be read: {error}") from None
    for layer, blobs in layers.items():
        if sorted(blobs) != list(range(len(blobs))):
            raise InputError(
                f"{path}: layer {layer} shares a blob with another layer, which HDF5 leaves out; "
                "save the net as .caffemodel"
            )
    return Weights(
        [(layer, [blobs[index] for index in sorted(blobs)]) for layer, blobs in layers.items()]
    )


def _dataset(item, data):
    """The values of a dataset: a view where they lie in the file as they are."""
    start, count = item.id.get_offset(), item.size
    is_plain = item.dtype.str in _PLAIN and start is not None
    if is_plain and start + count * item.dtype.itemsize <= len(data):
        array = np.frombuffer(data, item.dtype, count, start).reshape(item.shape)
    else:
        array = item[()].astype(np.float32, copy=False)
    return caffemodel.Blob(array, False)
