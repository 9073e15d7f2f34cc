"""MS COCO 2014, the validation images, with outlines of objects."""

import math
import os
from typing import Any, Dict, List, Optional

from caffe_gradcam.measuring.annotations import read_json_object
from caffe_gradcam.measuring.protocols import difficulty, layout
from caffe_gradcam.measuring.protocols.subjects import (
    DataSet,
    Polygons,
    Runs,
    Shape,
    Size,
    Subject,
    Target,
)
from prototxt_tools.errors import InputError

MOST_BYTES = 1 << 30
_FILE = os.path.join("annotations", "instances_val2014.json")
_IMAGES = "val2014"
_LONGEST_SIDE = 1 << 14

Entry = Dict[str, Any]


def read(data: str, flags: Optional[difficulty.Flags] = None, limit: Optional[int] = None
         ) -> DataSet:
    """Read the annotations of the validation images.

    Parameters
    ----------
    data : str
        The folder that holds ``annotations`` and ``val2014``.
    flags : dict, optional
        See ``difficulty.read``.
    limit : int, optional
        Take only the first images.

    Raises
    ------
    InputError
        A file or folder is missing or damaged; the message names it, and the annotation.
    """
    root = layout.root(data, ("coco", "coco2014"), _FILE)
    images = layout.folder(os.path.join(root, _IMAGES), "a .jpg for each image")
    path = os.path.join(root, _FILE)
    document = read_json_object(path, "with images, annotations and categories", MOST_BYTES)
    categories = _by_id(document, "categories", path)
    indices = {_id(entry, path): index for index, entry in enumerate(categories)}
    by_image: Dict[int, List[Entry]] = {}
    for entry in _entries(document, "annotations", path):
        by_image.setdefault(_id(entry, path, "image_id"), []).append(entry)
    subjects = []
    for image in _by_id(document, "images", path)[:limit]:
        subjects.append(_subject(image, by_image.get(_id(image, path), []), indices, path))
    layout.check_unique([subject.name for subject in subjects], path)
    return DataSet(
        tuple(str(entry.get("name", "")) for entry in categories),
        tuple(_finished(subject, images, flags) for subject in subjects if subject.targets))


def _subject(image: Entry, entries: List[Entry], indices: Dict[int, int], path: str) -> Subject:
    """An image with the file's own name in place of its path."""
    position = f"{path}: image {_id(image, path)}"
    file_name = layout.plain_name(str(image.get("file_name", "")), position)
    size = _id(image, path, "height"), _id(image, path, "width")
    if not all(0 < side <= _LONGEST_SIDE for side in size):
        raise InputError(f"{position}: no image has {size[0]}x{size[1]} pixels", path)
    shapes: Dict[int, List[Shape]] = {}
    for entry in entries:
        category = _id(entry, path, "category_id")
        if category not in indices:
            raise InputError(f"{position}: there is no category {category}", path)
        shapes.setdefault(indices[category], []).append(_shape(entry, size, position))
    targets = tuple(Target(index, tuple(of_class)) for index, of_class in sorted(shapes.items()))
    return Subject(os.path.splitext(file_name)[0], file_name, size, targets)


def _finished(subject: Subject, images: str, flags: Optional[difficulty.Flags]) -> Subject:
    """The subject with its path, and with the flags of a list."""
    targets = tuple(
        Target(target.class_index, target.shapes, False,
               difficulty.listed(flags, subject.name, target.class_index))
        for target in subject.targets)
    return Subject(subject.name, os.path.join(images, subject.path), subject.size, targets)


def _shape(entry: Entry, size: Size, position: str) -> Shape:
    """An annotation's outlines, or the mask of a crowd."""
    segmentation = entry.get("segmentation")
    position = f"{position}: annotation {entry.get('id')}"
    if isinstance(segmentation, dict):
        lengths = segmentation.get("counts")
        if (segmentation.get("size") != list(size) or not isinstance(lengths, list)
                or not all(_is_whole(length) and length >= 0 for length in lengths)
                or sum(lengths) != size[0] * size[1]):
            raise InputError.about(position, "its runs must be whole numbers whose sum is the "
                                             "number of the image's pixels")
        return Runs(lengths)
    outlines = segmentation if isinstance(segmentation, list) else []
    most = 2.0 * _LONGEST_SIDE
    if not outlines or not all(
            isinstance(outline, list) and len(outline) >= 6 and len(outline) % 2 == 0
            and all(_is_number(value) and abs(value) <= most for value in outline)
            for outline in outlines):
        raise InputError.about(position, "its segmentation must be outlines of at least three "
                                         "corners, x and y of each in turn")
    return Polygons(outlines)


def _entries(document: Entry, name: str, path: str) -> List[Entry]:
    entries = document.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: {name} must be a list of objects", path)
    return entries


def _by_id(document: Entry, name: str, path: str) -> List[Entry]:
    """Entries in the order of their numbers, each of which may come only once."""
    entries = sorted(_entries(document, name, path), key=lambda entry: _id(entry, path))
    for entry, following in zip(entries, entries[1:]):
        if entry["id"] == following["id"]:
            raise InputError(f"{path}: {name}: the id {entry['id']} comes twice", path)
    return entries


def _id(entry: Entry, path: str, name: str = "id") -> int:
    number = entry.get(name)
    if not _is_whole(number):
        raise InputError(f"{path}: an entry's {name} must be a whole number, not "
                         f"{str(number)[:40]!r}", path)
    return int(number)  # type: ignore[arg-type]  # a whole number


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
