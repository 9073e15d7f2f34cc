"""ILSVRC 2012, the validation images, with the boxes of classification and localisation."""

import os
from typing import Dict, List, Optional, Tuple

from caffe_gradcam.measuring.protocols import layout, xml_annotations
from caffe_gradcam.measuring.protocols.subjects import DataSet, Subject, Target
from prototxt_tools.errors import InputError

_ANNOTATIONS = os.path.join("Annotations", "CLS-LOC", "val")
_IMAGES = os.path.join("Data", "CLS-LOC", "val")
_LIST = os.path.join("ImageSets", "CLS-LOC", "val.txt")
# Lists of WordNet's numbers and names in the order of the classes: of Kaggle's copy, and of Caffe.
_SYNSETS = ("LOC_synset_mapping.txt", "synset_words.txt")


def read(data: str, limit: Optional[int] = None) -> DataSet:
    """Read the annotations of the validation images.

    Parameters
    ----------
    data : str
        ``ILSVRC``, or a folder that holds it, with ``LOC_synset_mapping.txt`` or
        Caffe's ``synset_words.txt`` in either.
    limit : int, optional
        Take only the first images.

    Raises
    ------
    InputError
        A file or folder is missing or damaged; the message names it.
    """
    root = layout.root(data, ("ILSVRC",), _ANNOTATIONS)
    images = layout.folder(os.path.join(root, _IMAGES), "a .JPEG for each image")
    indices, names = _synsets(data, root)
    subjects = []
    for name in _names(root)[:limit]:
        path = os.path.join(root, _ANNOTATIONS, name + ".xml")
        objects = xml_annotations.read(path).objects
        unknown = [marked.name for marked in objects if marked.name not in indices]
        if unknown:
            raise InputError(f"{path}: {unknown[0][:40]!r} is not among the {len(names)} classes "
                             "of the list of synsets", path)
        targets = [
            Target(index, tuple(marked.box(0) for marked in objects
                                if indices[marked.name] == index))
            for index in sorted({indices[marked.name] for marked in objects})]
        subjects.append(Subject(name, os.path.join(images, name + ".JPEG"), None, tuple(targets)))
    return DataSet(names, tuple(subject for subject in subjects if subject.targets))


def _names(root: str) -> List[str]:
    """The images in the data set's order; without its list, by name."""
    path = os.path.join(root, _LIST)
    if os.path.isfile(path):
        return layout.names(path)
    folder = os.path.join(root, _ANNOTATIONS)
    names = [layout.plain_name(os.path.splitext(name)[0], folder)
             for name in sorted(os.listdir(folder)) if name.endswith(".xml")]
    if not names:
        raise InputError(f"{folder}: holds no .xml", folder)
    return names


def _synsets(data: str, root: str) -> Tuple[Dict[str, int], Tuple[str, ...]]:
    """WordNet's numbers of the classes with their indices; and the names, as far as given."""
    path = layout.first_file([os.path.join(folder, name)
                              for name in _SYNSETS for folder in (root, data)])
    if path is None:
        raise InputError(f"{data}: there is neither {' nor '.join(_SYNSETS)}, which list the "
                         "classes with WordNet's numbers; copy one of them into this folder", data)
    lines = layout.lines(path)
    indices = {synset: index for index, (synset, _) in enumerate(lines)}
    if len(indices) < len(lines):
        raise InputError(f"{path}: lists a class twice", path)
    # Names tell whether the net's classes are in another order.
    if not all(name for _, name in lines):
        raise InputError(f"{path}: each line must give WordNet's number and the class's name", path)
    return indices, tuple(name for _, name in lines)
