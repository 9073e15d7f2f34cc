"""What the numbers of a score blob are called: names of classes, of outputs, of YOLO's channels."""

import dataclasses
import os
from typing import List, Mapping, Optional, Sequence, Tuple

from caffe_gradcam.model import folder, label_files, labels
from caffe_gradcam.model.given import Given
from caffe_gradcam.model.layouts import OUTPUTS, PLACES, ScoreLayout
from prototxt_tools.errors import ModelError
from prototxt_tools.net.graph import Graph

Names = Optional[Tuple[str, ...]]
# What YOLO predicts of each anchor before the classes.
_OF_ANCHOR = ("x", "y", "width", "height", "objectness")
_MOST_ANCHORS = 9
_USUAL_CLASSES = (20, 80)
_YOLO = ("yolo", "region")


def named(given: Given, file_name: Optional[str], layout: ScoreLayout, count: Optional[int],
          link: str, is_yolo: bool = False) -> Tuple[ScoreLayout, Names]:
    """The layout with what the names tell of it, and a name for each class or output.

    Parameters
    ----------
    given : Given
    file_name : str or None
        The labels file that other files name.
    layout : ScoreLayout
    count : int or None
        Of classes, where it is known.
    link : str
    is_yolo : bool
        See :func:`is_yolo`.

    Raises
    ------
    ModelError
        ``outputs`` has another number of names than the net has outputs.
    """
    as_outputs = dataclasses.replace(layout, kind=OUTPUTS)
    if given.sets("outputs"):
        names = _read(given.take("outputs", lambda: (None, "")))
        if count is not None and len(names) != count:
            raise ModelError(f"outputs names {len(names)} outputs, but the score blob has {count}",
                             given.section.path)
        given.origins["labels"] = given.origins["outputs"]
        return as_outputs, names
    source, class_names = _class_names(given, file_name)
    if is_yolo and count is not None:
        channels = yolo_names(count, class_names)
        if channels is not None:
            given.origins["labels"] = "found: the channels of YOLO"
            return as_outputs, channels
    problem = label_problem(class_names, count, link) if class_names is not None else None
    if problem:
        given.warnings.append(f"{source}: {problem}")
        class_names = None
    if class_names is None and (is_yolo or (count == 1 and link == "none")):
        return as_outputs, None
    return layout, class_names


def is_yolo(graph: Graph, score: str, layout: ScoreLayout) -> bool:
    """Whether a layer named after YOLO, or its region layer, reads a map of scores."""
    readers = [graph.net.layers[index] for index in graph.readers(score)]
    return layout.positions == PLACES and any(
        word in layer.type.lower() for layer in readers for word in _YOLO)


def yolo_names(count: int, class_names: Names) -> Names:
    """Names of the channels of a YOLO detector; None where their number does not tell them.

    Each anchor has x, y, width, height, objectness, and a score for each class (Redmon and Farhadi
    2016, "YOLO9000", section 2).

    Parameters
    ----------
    count : int
        Of channels.
    class_names : tuple of str or None
        Without them, there are 20 classes, as in VOC, or 80, as in COCO.
    """
    expected = _USUAL_CLASSES if class_names is None else (len(class_names),)
    for anchors in range(1, _MOST_ANCHORS + 1):
        of_anchor, rest = divmod(count, anchors)
        if not rest and of_anchor - len(_OF_ANCHOR) in expected:
            return _channels(anchors, of_anchor - len(_OF_ANCHOR), list(class_names or ()))
    return None


def _channels(anchors: int, count: int, classes: List[str]) -> Tuple[str, ...]:
    classes = classes if len(classes) == count else [f"class {index}" for index in range(count)]
    return tuple(f"anchor {anchor} {name}" for anchor in range(anchors)
                 for name in list(_OF_ANCHOR) + classes)


def _read(source: object) -> Tuple[str, ...]:
    return tuple(label_files.load(source)) if isinstance(source, str) else tuple(
        source)  # type: ignore[arg-type]  # a tuple of names


def _class_names(given: Given, file_name: Optional[str]) -> Tuple[str, Names]:
    """The names that a file or the caller gives, and what messages call their source."""
    path = folder.find_labels(given.folder, file_name)
    default = (path, "found: " + os.path.basename(path)) if path else (None, "found: none")
    source = given.take("labels", lambda: default)
    if source is None:
        return "", None
    return source if isinstance(source, str) else "labels", _read(source)


def label_problem(names: Sequence[str], count: Optional[int], link: str) -> Optional[str]:
    """Why names cannot belong to so many scores, or None; see ``labels.are_sides``."""
    if count is None or len(names) == count or labels.are_sides(names, count, link):
        return None
    hints: Mapping[int, str] = {
        count - 1: "; a line for the background may be missing",
        count + 1: "; there may be a line for the background, an empty line or a heading too many"}
    return (f"{len(names)} labels for {count} classes, so classes are shown as numbers"
            + hints.get(len(names), ""))
