"""Images in a dataset of an HDF5 file."""

import contextlib
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from caffe_gradcam.batch.sources.item import Item, Label
from caffe_gradcam.model.array_files import check_storage
from prototxt_tools.errors import InputError
from prototxt_tools.files import byte_limit, too_long

# What an HDF5 file may call its images and their true labels, the usual names first.
_IMAGES = ("images", "image", "data", "x")
_LABELS = ("true_label", "label", "labels", "y")
_MOST_OBJECTS = 1000
_MOST_BYTES = 1 << 28

_open_files: Dict[str, Any] = {}


def split(source: str) -> Tuple[str, Optional[str]]:
    """``file.h5:dataset`` as its two halves; the dataset is None where none is named."""
    path, colon, name = source.rpartition(":")
    return (path, name) if colon and os.path.isfile(path) else (source, None)


def hdf5(path: str, name: Optional[str] = None) -> Iterator[Item]:
    """The images of an HDF5 file.

    Parameters
    ----------
    path : str
    name : str, optional
        The dataset, N x H x W x C, N x C x H x W or N x H x W of uint8; channels are blue first
        unless the dataset has an attribute ``color`` with the value ``RGB``. Without it, the only
        such dataset.
    """
    with _translated(path), _open(path) as file:
        datasets = _datasets(file)
        name = name or _image_dataset(datasets, path)
        if name not in datasets:
            raise InputError(f"{path}: no dataset {name!r}; there are {_listed(datasets)}", path)
        count = _checked(datasets[name], path, name).shape[0]
        labels = next((datasets[label] for label in _LABELS if label in datasets), None)
        for index in range(count):
            yield Item.of(f"{path}/{name}/{index}", id=f"{name}/{index}", archive=path,
                          position=("hdf5", name, index), true_label=_label(labels, index, count))


def read(path: str, name: str, index: int) -> "np.ndarray":
    """An image of a dataset: H x W x 3 uint8, blue first."""
    with _translated(f"{path}/{name}/{index}"):
        if path not in _open_files:
            _open_files[path] = _open(path)
        dataset = _checked(_datasets(_open_files[path])[name], path, name)
        pixels = np.asarray(dataset[index])
        color = dataset.attrs.get("color", "BGR")
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    elif pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if color in ("RGB", b"RGB"):
        pixels = pixels[..., ::-1]
    return np.ascontiguousarray(np.broadcast_to(pixels, pixels.shape[:2] + (3,)))


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Make one sentence of whatever h5py raises for a damaged file, which may be anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # noqa: B902
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise InputError(f"{name}: cannot be read, damaged or cut off: {reason}", name) from None


def _open(path: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: HDF5 needs h5py; pip install h5py", path) from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: this HDF5 file cannot be read: {error}", path) from None


def _datasets(file: Any) -> Dict[str, Any]:
    """All datasets by name; links to other files are not followed."""
    import h5py

    datasets: Dict[str, Any] = {}
    groups: List[Tuple[str, Any]] = [("", file)]
    objects = 0
    for prefix, group in groups:
        for name in group:
            objects += 1
            if objects > _MOST_OBJECTS:
                return datasets
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            member = group[name]
            if isinstance(member, h5py.Dataset):
                datasets[prefix + name] = member
            elif isinstance(member, h5py.Group):
                groups.append((prefix + name + "/", member))
    return datasets


def _image_dataset(datasets: Dict[str, Any], path: str) -> str:
    """The dataset whose shape and type are those of images."""
    names = [name for name, dataset in datasets.items() if _is_images(dataset)]
    usual = [name for name in _IMAGES if name in names]
    if len(names) == 1 or usual:
        return (usual or names)[0]
    if names:
        raise InputError(f"{path}: several datasets hold images; name one, such as "
                         f"{path}:{names[0]}", path)
    raise InputError(
        f"{path}: no dataset holds images, which are N x H x W x C or N x C x H x W values of "
        f"uint8; there are {_listed(datasets)}. Values that were prepared for a net's HDF5Data "
        "layer are not images any more", path)


def _is_images(dataset: Any) -> bool:
    shape: Tuple[int, ...] = dataset.shape or ()
    if dataset.dtype != np.uint8:
        return False
    return len(shape) == 3 or (len(shape) == 4 and (shape[3] in (1, 3) or shape[1] in (1, 3)))


def _checked(dataset: Any, path: str, name: str) -> Any:
    """The dataset, if its images can be read from this file alone and in bounded memory."""
    if not _is_images(dataset):
        raise InputError(f"{path}: {name} holds {_described(dataset)}, not images of uint8", path)
    check_storage(dataset, path, name, InputError)
    sizes = [int(np.prod(dataset.shape[1:], dtype=np.float64))]
    sizes += [int(np.prod(dataset.chunks, dtype=np.float64))] if dataset.chunks else []
    limit = byte_limit(_MOST_BYTES)
    if max(sizes) > limit:
        raise InputError(f"{path}: an image or a chunk of {name} takes "
                         f"{too_long(max(sizes), limit)}", path)
    return dataset


def _label(labels: Any, index: int, count: int) -> Label:
    """The true label of an image, where there is one whole number for each."""
    if labels is None or not labels.shape or labels.shape[0] != count or (
            np.prod(labels.shape[1:], dtype=np.int64) != 1 or labels.dtype.kind not in "iuf"):
        return None
    value = float(np.ravel(labels[index])[0])
    return int(value) if value == int(value) and abs(value) < 1 << 31 else None


def _listed(datasets: Dict[str, Any]) -> str:
    shown = [f"{name} ({_described(dataset)})" for name, dataset in datasets.items()][:5]
    return ", ".join(shown) or "none"


def _described(dataset: Any) -> str:
    return " x ".join(map(str, dataset.shape or ())) + f" {dataset.dtype}"
