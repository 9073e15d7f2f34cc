"""A ``.caffemodel.h5``: data/LAYER/INDEX, as ``Net::ToHDF5`` in ``src/caffe/net.cpp`` writes it.

A file may come from anywhere. HDF5 can refer to other files, and small files can describe arrays
of terabytes; both are refused before anything is read.
"""

from collections import OrderedDict
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from prototxt_tools.errors import WeightsError
from prototxt_tools.weights.caffemodel import Blob, Data

_PLAIN_DTYPES = ("<f2", "<f4", "<f8")
_MAX_OBJECTS, _MAX_DEPTH = 100000, 100
# Compressed weights may be so many times as large as the file, and so many bytes more. Those of
# pruned nets are 20 times as large.
_MAX_RATIO, _MAX_EXTRA = 64, 64 << 20
# The numbers of HDF5's own filters: deflate, shuffle, fletcher32, szip, nbit, scaleoffset; LZF.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}


class _Unusable(Exception):
    """Why a file cannot be used."""


def layers(data: Data, path: str) -> List[Tuple[str, List[Blob]]]:
    """The name and the blobs of each layer of a file.

    Parameters
    ----------
    data : mmap.mmap or bytes
        The whole file; arrays are views of it where they lie in it as they are.
    path : str

    Raises
    ------
    WeightsError
        If the file cannot be read, is not Caffe's, refers to other files, or describes more data
        than a file of its size holds.
    """
    try:
        import h5py
    except ImportError:
        raise WeightsError(f"{path}: reading HDF5 needs h5py; pip install h5py",
                           subject=path) from None
    try:
        with h5py.File(path, "r") as file:
            return _layers(h5py, file, data)
    except _Unusable as error:
        problem = str(error)
    except MemoryError:
        problem = "HDF5 that describes more data than the memory holds"
    except Exception as error:  # A damaged file makes h5py raise almost anything.
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        problem = f"HDF5 that cannot be read, damaged or cut off: {reason}"
    raise WeightsError(f"{path}: {problem}", subject=path)


def _layers(h5py: Any, file: Any, data: Data) -> List[Tuple[str, List[Blob]]]:
    if "history" in file and "data" not in file:
        raise _Unusable("a solver state, which holds no weights; use the snapshot beside it")
    if not isinstance(file.get("data", getclass=True), type) or (
            file.get("data", getclass=True) is not h5py.Group):
        raise _Unusable("HDF5, but not Caffe's data/LAYER/INDEX")
    found: Dict[str, Dict[int, Blob]] = OrderedDict()
    allowance = _MAX_EXTRA + _MAX_RATIO * len(data)
    for name, item in _objects(h5py, file["data"]):
        if isinstance(item, h5py.Group):
            found.setdefault(name, OrderedDict())
            continue
        layer_name, _, index = name.rpartition("/")
        if not layer_name or not index.isdigit() or len(index) > 4:
            raise _Unusable("HDF5, but not Caffe's data/LAYER/INDEX")
        allowance -= item.size * item.dtype.itemsize
        if allowance < 0:
            raise _Unusable(f"HDF5 that describes far more data than its {len(data)} bytes hold")
        found.setdefault(layer_name, OrderedDict())[int(index)] = _blob(item, data)
    if not found:
        raise _Unusable("HDF5 without any layers")
    return [(name, _in_order(blobs)) for name, blobs in found.items()]


def _objects(h5py: Any, root: Any) -> Iterator[Tuple[str, Any]]:
    """Every dataset and every group without members, with its path."""
    stack = [("", root, 0)]
    count = 0
    while stack:
        name, group, depth = stack.pop()
        if depth > _MAX_DEPTH:
            raise _Unusable(f"HDF5 with groups nested over {_MAX_DEPTH} deep")
        members = []
        for key in group:
            count += 1
            if count > _MAX_OBJECTS:
                raise _Unusable(f"HDF5 with over {_MAX_OBJECTS} objects")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise _Unusable(f"HDF5 in which {name}{key} is a link, to another file perhaps; "
                                "Caffe writes none")
            members.append((f"{name}{key}", group[key]))
        if not members and name:
            yield name[:-1], group
        groups = []
        for path, item in members:
            if isinstance(item, h5py.Group):
                groups.append((path + "/", item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                yield path, item
            else:
                raise _Unusable(f"HDF5 in which {path} is neither a group nor an array")
        stack += reversed(groups)


def _blob(item: Any, data: Data) -> Blob:
    """The values of a dataset: a view where they lie in the file as they are."""
    settings = item.id.get_create_plist()
    if settings.get_external_count() or getattr(item, "is_virtual", False):
        raise _Unusable(f"HDF5 in which {item.name} lies in other files, which are not read")
    if item.dtype.kind not in "fiu" or item.shape is None:
        raise _Unusable(f"HDF5 in which {item.name} holds no plain numbers, but {item.dtype}")
    filters = {settings.get_filter(index)[0] for index in range(settings.get_nfilters())}
    if filters - _FILTERS:
        raise _Unusable(f"HDF5 in which {item.name} is packed with a filter that is not HDF5's own")
    start, count = item.id.get_offset(), item.size
    if start is not None:
        if start + count * item.dtype.itemsize > len(data):
            raise _Unusable(f"HDF5 in which {item.name} lies beyond the end; fetch the file again")
        if item.dtype.str in _PLAIN_DTYPES:
            return Blob(np.frombuffer(data, item.dtype, count, start).reshape(item.shape), False)
    elif count and not item.id.get_storage_size():
        raise _Unusable(f"HDF5 in which {item.name} has a size, {count} values, and no values")
    return Blob(item[()].astype(np.float32, copy=False), False)


def _in_order(blobs: Dict[int, Blob]) -> List[Blob]:
    """The blobs by index; an absent one where the file leaves out a blob that is shared."""
    if blobs and max(blobs) > 100:
        raise _Unusable("HDF5 with blobs numbered over 100; Caffe's layers have a few")
    absent = Blob(np.zeros(0, np.float32), False, True)
    return [blobs.get(index, absent) for index in range(max(blobs) + 1)] if blobs else []
