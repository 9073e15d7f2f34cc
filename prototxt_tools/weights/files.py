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

from prototxt_tools import signatures
from prototxt_tools.errors import WeightsError
from prototxt_tools.files import Path, open_regular, replacing
from prototxt_tools.weights import caffemodel, hdf5

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TEXT = bytes(range(32, 127)) + b"\t\n\r"
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
    may_lack_shared : bool
        Whether the file is HDF5, which holds a blob that layers share only once.
    gaps : dict
        Layer name to the indices of blobs that HDF5 leaves out, because another layer holds
        them. ``rewrite.separate`` fills them in.
    """

    def __init__(self, layers: Iterable[Tuple[str, List[caffemodel.Blob]]],
                 may_lack_shared: bool = False) -> None:
        layers = list(layers)
        self.may_lack_shared = may_lack_shared
        super().__init__((name, [blob.array for blob in blobs]) for name, blobs in layers if blobs)
        self.layers = [
            (name, [StoredShape(blob.array.shape, blob.is_legacy) for blob in blobs])
            for name, blobs in layers
        ]
        self.gaps = {name: tuple(index for index, blob in enumerate(blobs) if blob.is_absent)
                     for name, blobs in layers if any(blob.is_absent for blob in blobs)}
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
        gaps = weights.gaps.get(name, ())
        layers.append((name, [caffemodel.Blob(array, is_legacy, index in gaps)
                              for index, (array, is_legacy) in enumerate(zip(arrays, legacy))]))
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
        return Weights(hdf5.layers(data, path), may_lack_shared=True)
    problem = caffemodel.other_message(data)
    if problem:
        raise WeightsError(f"{path}: {problem}", subject=path)
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
    for name in getattr(weights, "gaps", ()):
        raise WeightsError(
            f"{path}: layer {name} shares a blob with another layer, and HDF5 does not tell with "
            "which; name the net as well", subject=path)
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
        with open_regular(path, WeightsError) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise WeightsError(f"{path}: the file is empty", subject=path)
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", subject=path) from None
    problem = _other_kind_of_file(data)
    if problem:
        raise WeightsError(f"{path}: {problem}", subject=path)
    return data


def _other_kind_of_file(data: Data) -> Optional[str]:
    """What a file is that holds certainly no weights, or None."""
    head = data[:signatures.HEAD]
    kind = signatures.kind_of(head)
    if kind:
        return kind
    if not head[:200].translate(None, _TEXT):
        return "text, perhaps a prototxt; weights are binary (.caffemodel)"
    if not head.strip(b"\0"):
        return "it begins with zeros only, so the download failed; fetch it again"
    if head.startswith(b"\r\n"):
        return "damaged by a transfer as text, which changes line ends; fetch it again as binary"
    return None


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
