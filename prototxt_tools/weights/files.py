"""Weights files: read without a copy, written completely or not at all."""

import mmap
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

import numpy as np

from prototxt_tools.errors import WeightsError
from prototxt_tools.files import Path, replacing
from prototxt_tools.weights import caffemodel

_HDF5 = b"\x89HDF\r\n\x1a\n"
_WEB_PAGE = "a web page saved in place of the file; fetch the raw file"
_OTHER_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"<!doctype", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"pk\x03\x04", "a zip archive, such as those that PyTorch writes"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x93numpy", "a NumPy array"),
)
_TEXT = bytes(range(32, 127)) + b"\t\n\r"
_PLAIN_DTYPES = ("<f2", "<f4", "<f8")
_LARGEST_MESSAGE = (1 << 31) - 1


Data = Any  # an mmap or bytes: what numpy.frombuffer reads
Read = TypeVar("Read")


@dataclass(frozen=True)
class StoredShape:
    """The shape of a blob as the file holds it; legacy blobs have four sizes."""

    shape: Tuple[int, ...]
    is_legacy: bool


class Weights(OrderedDict):  # type: ignore[type-arg]  # not generic at run time in Python 3.6
    """Layer name to list of arrays; what ``load`` gives.

    Attributes
    ----------
    layers : list of (str, list of StoredShape)
        All layers of the file, including those without blobs and those that a later one of the
        same name replaces. ``check`` needs it.
    replaced : dict
        Layer name to the list of arrays of each earlier layer of that name, in the order of the
        file. ``save`` writes them, too.
    """

    def __init__(self, layers: Iterable[Tuple[str, List[caffemodel.Blob]]]) -> None:
        layers = list(layers)
        super().__init__((name, [blob.array for blob in blobs]) for name, blobs in layers if blobs)
        self.layers = [
            (name, [StoredShape(blob.array.shape, blob.is_legacy) for blob in blobs])
            for name, blobs in layers
        ]
        by_name: Dict[str, List[List[np.ndarray]]] = {}
        for name, blobs in layers:
            if blobs:
                by_name.setdefault(name, []).append([blob.array for blob in blobs])
        self.replaced = {name: groups[:-1] for name, groups in by_name.items() if groups[1:]}


def occurrences(weights: Mapping[str, Sequence[np.ndarray]]
                ) -> List[Tuple[str, List[caffemodel.Blob]]]:
    """Every layer of some weights with its blobs, also where several have one name.

    Of plain dicts, any blob of four axes may be a legacy one.
    """
    if not isinstance(weights, Weights):
        return [(name, [caffemodel.Blob(np.asarray(array), True) for array in arrays])
                for name, arrays in weights.items()]
    layers: List[Tuple[str, List[caffemodel.Blob]]] = []
    counts: Dict[str, int] = {}
    for name, stored in weights.layers:
        if not stored or name not in weights:
            layers.append((name, []))
            continue
        earlier = weights.replaced.get(name, [])
        counts[name] = counts.get(name, -1) + 1
        arrays = earlier[counts[name]] if counts[name] < len(earlier) else weights[name]
        legacy = [shape.is_legacy for shape in stored]
        legacy += [True] * (len(arrays) - len(legacy))
        layers.append((name, [caffemodel.Blob(array, is_legacy)
                              for array, is_legacy in zip(arrays, legacy)]))
    return layers


def load(path: Path) -> Weights:
    """Read the weights of a net.

    The arrays are views of the mapped file, which take no memory before they are read. Writing
    to them changes a private copy, never the file. They have the precision of the file: a
    float32 copy of float16 values would be twice as large.

    Parameters
    ----------
    path : str or os.PathLike
        A ``.caffemodel`` (V0, V1, V2, or NVCaffe's with ``raw_data``) or a ``.caffemodel.h5``;
        the contents decide, not the name.

    Returns
    -------
    Weights
        Layer name to list of arrays, float32 (or float16 or float64 if the file holds that), in
        the order of the file; layers without weights are left out. Of layers that share a name
        the last one counts, as Caffe copies them one after the other. Legacy blobs keep their
        four axes.

    Raises
    ------
    WeightsError
        If the file cannot be read or is another kind of file; the message tells which.
    """
    path = os.fspath(path)
    data = _map(path)
    if data[:8] == _HDF5:
        return _load_hdf5(path, data)
    layers = _walk(path, lambda: list(caffemodel.layers(data, path)))
    if not layers:
        raise WeightsError(f"{path}: no layers in it, so it is not a caffemodel", subject=path)
    return Weights(layers)


def save(path: Path, weights: Mapping[str, Sequence[np.ndarray]],
         types: Optional[Mapping[str, str]] = None) -> None:
    """Write weights as a V2 ``.caffemodel`` that Caffe loads; it appears only when complete.

    Parameters
    ----------
    path : str or os.PathLike
    weights : dict
        Layer name to list of arrays; they are written as float32, one at a time.
    types : dict, optional
        Layer name to layer type. Caffe copies weights by name and does not need it.

    Raises
    ------
    WeightsError
        If there is nothing to write, or more than protobuf's 2 GB.
    InputError
        If the file cannot be written.
    """
    path = os.fspath(path)
    if not weights:
        raise WeightsError(f"{path}: there are no weights to save", subject=path)
    pieces = []
    for name, arrays in _all_layers(weights):
        pieces += caffemodel.layer_pieces(name, arrays, (types or {}).get(name, ""))
    size = sum(map(caffemodel.piece_size, pieces))
    if size > _LARGEST_MESSAGE:
        raise WeightsError(
            f"{path}: {size / 1e9:.1f} GB of weights, and Caffe reads at most 2 GB", subject=path
        )
    with replacing(path) as file:
        for piece in pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            else:
                file.write(np.ascontiguousarray(piece, "<f4").data)


def _all_layers(weights: Mapping[str, Sequence[np.ndarray]]
                ) -> Iterator[Tuple[str, Sequence[np.ndarray]]]:
    """The layers with blobs; those of one name one after the other, as the file had them."""
    replaced = getattr(weights, "replaced", {})
    for name, arrays in weights.items():
        for earlier in replaced.get(name, ()):
            yield name, earlier
        yield name, arrays


def read_mean(path: Path) -> np.ndarray:
    """Read a mean image, a ``.binaryproto`` as ``compute_image_mean`` writes it.

    Returns
    -------
    numpy.ndarray
        C x H x W, float32.

    Raises
    ------
    WeightsError
        If the file cannot be read or does not hold a single image.
    """
    path = os.fspath(path)
    data = _map(path)
    mean = _walk(path, lambda: caffemodel.blob(data, 0, len(data), path)).array
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise WeightsError(
            f"{path}: a mean image is channels x height x width, and this is "
            f"{caffemodel.format_shape(mean.shape)}", subject=path
        )
    return np.array(mean, np.float32)


def _map(path: str) -> Data:
    """The bytes of a file, mapped; writing to them changes a private copy."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise WeightsError(f"{path}: the file is empty", subject=path)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", subject=path) from None
    head = data[:200]
    for start, description in _OTHER_FILES:
        if head.lstrip().lower().startswith(start):
            raise WeightsError(f"{path}: {description}", subject=path)
    if not head.translate(None, _TEXT):
        raise WeightsError(f"{path}: text, perhaps a prototxt; weights are binary", subject=path)
    return data


def _walk(path: str, read: Callable[[], Read]) -> Read:
    """What a reader gives; damage in the file becomes an error that tells what is wrong."""
    try:
        return read()
    except caffemodel.Broken as error:
        if 0 < error.missing <= _LARGEST_MESSAGE:
            problem = f"cut off, at least {error.missing} bytes are missing; fetch it again"
        else:
            problem = f"not written by Caffe, or damaged at byte {error.position}"
    raise WeightsError(f"{path}: {problem}", subject=path)


def _load_hdf5(path: str, data: Data) -> Weights:
    """``Net::ToHDF5`` writes data/LAYER/INDEX; a name with slashes makes groups in groups."""
    try:
        import h5py
    except ImportError:
        raise WeightsError(f"{path}: reading HDF5 needs h5py; pip install h5py",
                           subject=path) from None
    items: List[Tuple[str, Any]] = []
    layers: Dict[str, Dict[int, caffemodel.Blob]] = OrderedDict()
    try:
        with h5py.File(path, "r") as file:
            file["data"].visititems(lambda name, item: items.append((name, item)))
            for name, item in items:
                if isinstance(item, h5py.Dataset):
                    layer_name, _, index = name.rpartition("/")
                    layers.setdefault(layer_name, {})[int(index)] = _dataset(item, data)
                elif not len(item):
                    layers[name] = {}
    except (KeyError, ValueError, AttributeError):
        raise WeightsError(f"{path}: HDF5, but not Caffe's data/LAYER/INDEX",
                           subject=path) from None
    except OSError as error:
        raise WeightsError(f"{path}: HDF5 that cannot be read: {error}", subject=path) from None
    for layer_name, blobs in layers.items():
        if sorted(blobs) != list(range(len(blobs))):
            raise WeightsError(
                f"{path}: layer {layer_name} shares a blob with another layer, which HDF5 leaves "
                "out; save the net as .caffemodel", subject=path
            )
    return Weights(
        (name, [blobs[index] for index in sorted(blobs)]) for name, blobs in layers.items()
    )


def _dataset(item: Any, data: Data) -> caffemodel.Blob:
    """The values of a dataset: a view where they lie in the file as they are."""
    start, count = item.id.get_offset(), item.size
    is_plain = item.dtype.str in _PLAIN_DTYPES and start is not None
    if is_plain and start + count * item.dtype.itemsize <= len(data):
        array = np.frombuffer(data, item.dtype, count, start).reshape(item.shape)
    else:
        array = item[()].astype(np.float32, copy=False)
    return caffemodel.Blob(array, False)
