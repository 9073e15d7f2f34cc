"""The objects in an image: their pixels, their parts, and the image without them."""

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from caffe_gradcam.measuring.annotations import read_json_object
from caffe_gradcam.model import images
from caffe_gradcam.model.arrays import Image
from prototxt_tools.errors import InputError

StrPath = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True, eq=False)
class Part:
    """Some pixels of an image, and the image without what they show.

    Attributes
    ----------
    mask : numpy.ndarray
        H x W bool, of the image's size.
    without : numpy.ndarray, optional
        H x W x 3 uint8, blue first.
    """

    mask: np.ndarray
    without: Optional[Image] = None


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object of a class.

    Attributes
    ----------
    class_index : int
    whole : Part
    parts : tuple of Part
    """

    class_index: int
    whole: Part
    parts: Tuple[Part, ...] = ()


@dataclass(frozen=True)
class _Files:
    """The files of a part, as paths."""

    mask: str
    without: Optional[str]


@dataclass(frozen=True)
class ObjectFiles:
    """The files of an object, read by :meth:`read`."""

    class_index: int
    whole: _Files
    parts: Tuple[_Files, ...]

    def read(self) -> SceneObject:
        """Read the masks and images.

        Raises
        ------
        InputError
            A file cannot be read, a mask has no pixel, or sizes differ.
        """
        return SceneObject(self.class_index, _read(self.whole),
                           tuple(_read(part) for part in self.parts))


def read_object_files(path: StrPath, find_class: Callable[[str], int]
                      ) -> Dict[str, List[ObjectFiles]]:
    """Read a file that names the objects of images.

    Parameters
    ----------
    path : str or os.PathLike
        JSON: image -> list of objects with "class" and "mask", and if they are there "without"
        and "parts", a list of objects with "mask" and "without". A mask is an image that is not
        black on the object; "without" is the image without it. Files are relative to the folder of
        this one and lie in it.
    find_class : callable
        Number or class name -> class index; raises InputError.

    Returns
    -------
    dict
        Image, as the file names it -> its objects.

    Raises
    ------
    InputError
        The file cannot be read, or an entry is not an object.
    """
    path = os.fspath(path)
    document = read_json_object(path, "image -> list of objects")
    if not any(document.values()):
        raise InputError(f"{path}: the file holds no objects", path)
    return {image: [_object_files(entry, f"{path}: {image}", path, find_class)
                    for entry in (entries if isinstance(entries, list) else [None])]
            for image, entries in document.items()}


def objects_of(path: str, objects: Dict[str, List[ObjectFiles]]) -> List[ObjectFiles]:
    """The objects of an image: by its path, otherwise by its file name; [] where there are none."""
    by_name = {os.path.basename(image): files for image, files in objects.items()}
    return objects.get(path) or by_name.get(os.path.basename(path)) or []


def _object_files(entry: Any, position: str, path: str, find_class: Callable[[str], int]
                  ) -> ObjectFiles:
    folder = os.path.dirname(path)
    parts = entry.get("parts", []) if isinstance(entry, dict) else None
    if not isinstance(parts, list) or "class" not in entry:
        raise InputError(f'{position}: must be a list of objects {{"class": ..., "mask": "..."}}',
                         path)
    try:
        class_index = find_class(str(entry["class"]))
    except InputError as error:
        raise InputError(f"{position}: {error}", path) from None
    return ObjectFiles(class_index, _files(entry, position, folder),
                       tuple(_files(part, position, folder) for part in parts))


def _files(entry: Any, position: str, folder: str) -> _Files:
    names = [entry.get(key) for key in ("mask", "without")] if isinstance(entry, dict) else [None]
    if not isinstance(names[0], str) or not isinstance(names[1], (str, type(None))):
        raise InputError.about(position, 'an object or part needs "mask", the name of an image '
                                         'file, and "without", where there is one, must be such a '
                                         'name too')
    for name in filter(None, names):
        normal = os.path.normpath(name)
        if os.path.isabs(normal) or normal.split(os.sep)[0] == os.pardir:
            raise InputError.about(position, f"{name} must lie in the folder of this file")
    return _Files(os.path.join(folder, names[0]), names[1] and os.path.join(folder, names[1]))


def _read(files: _Files) -> Part:
    mask = np.asarray(images.read(files.mask).any(axis=2))
    if not mask.any():
        raise InputError(f"{files.mask}: the mask is black everywhere, so it marks no object",
                         files.mask)
    without = None if files.without is None else images.read(files.without)
    if without is not None and without.shape[:2] != mask.shape:
        raise InputError(f"{files.without}: must be as large as the mask {files.mask}",
                         files.without)
    return Part(mask, without)
