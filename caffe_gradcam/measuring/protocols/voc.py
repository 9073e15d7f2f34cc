"""PASCAL VOC 2007, the test images."""

import os
from typing import Dict, List, Optional, Tuple

from caffe_gradcam.measuring.protocols import difficulty, layout, xml_annotations
from caffe_gradcam.measuring.protocols.subjects import DataSet, Subject, Target
from caffe_gradcam.measuring.protocols.xml_annotations import Marked
from prototxt_tools.errors import InputError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor")
_CANDIDATES = ("VOC2007", os.path.join("VOCdevkit", "VOC2007"))
_LIST = os.path.join("ImageSets", "Main", "test.txt")
# Its pixels are counted from 1.
_FIRST = 1


def read(data: str, flags: Optional[difficulty.Flags] = None, limit: Optional[int] = None
         ) -> DataSet:
    """Read the annotations of the test images.

    A class of an image is skipped where all its objects are marked as difficult.

    Parameters
    ----------
    data : str
        ``VOCdevkit/VOC2007``, or a folder that holds it.
    flags : dict, optional
        See ``difficulty.read``.
    limit : int, optional
        Take only the first images.

    Raises
    ------
    InputError
        A file or folder is missing or damaged; the message names it.
    """
    root = layout.root(data, _CANDIDATES, _LIST)
    annotations = layout.folder(os.path.join(root, "Annotations"), "an .xml for each image")
    images = layout.folder(os.path.join(root, "JPEGImages"), "a .jpg for each image")
    subjects = []
    for name in layout.names(os.path.join(root, _LIST))[:limit]:
        path = os.path.join(annotations, name + ".xml")
        annotation = xml_annotations.read(path)
        targets = [
            Target(index, tuple(marked.box(_FIRST) for marked in objects),
                   all(marked.is_difficult for marked in objects),
                   difficulty.listed(flags, name, index))
            for index, objects in _by_class(annotation.objects, path)]
        subjects.append(Subject(name, os.path.join(images, name + ".jpg"), annotation.size,
                                tuple(targets)))
    return DataSet(CLASSES, tuple(subject for subject in subjects if subject.targets))


def _by_class(objects: Tuple[Marked, ...], path: str) -> List[Tuple[int, List[Marked]]]:
    groups: Dict[int, List[Marked]] = {}
    for marked in objects:
        if marked.name not in CLASSES:
            raise InputError(f"{path}: {marked.name[:40]!r} is not a class of VOC 2007", path)
        groups.setdefault(CLASSES.index(marked.name), []).append(marked)
    return sorted(groups.items())
