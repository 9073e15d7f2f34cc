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
_YOLO = ("yolo", "region")


def named(given: Given, file_name: Optional[str], layout: ScoreLayout,
          count: Optional[int], link: str) -> Tuple[ScoreLayout, Names]:
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

    Raises
    ------
    ModelError
        ``outputs`` has another number of names than the net has outputs.
    """
    if given.sets("outputs"):
        names = _read(given.take("outputs", lambda: (None, "")))
        if count is not None and len(names) != count:
            raise ModelError(f"outputs names {len(names)} outputs, but the score blob has {count}",
                             given.section.path)
        given.origins["labels"] = given.origins["outputs"]
        return dataclasses.replace(layout, kind=OUTPUTS), names
    class_names = _class_names(given, file_name, count, link)
    if class_names is None and count == 1 and link == "none":
        layout = dataclasses.replace(layout, kind=OUTPUTS)
    return layout, class_names


def yolo_names(graph: Graph, score: str, layout: ScoreLayout, count: Optional[int],
               class_names: Names) -> Names:
    """Names of the channels of a YOLO detector; None for other nets.

    Each anchor has x, y, width, height, objectness, and a score for each class (Redmon and Farhadi
    2016, "YOLO9000", section 2). A net has such channels if a layer named after YOLO or its region
    layer reads them.
    """
    readers = [graph.net.layers[index] for index in graph.readers(score)]
    is_read = any(word in layer.type.lower() for layer in readers for word in _YOLO)
    if count is None or layout.positions != PLACES or not is_read:
        return None
    classes = list(class_names or ())
    for anchors in range(1, _MOST_ANCHORS + 1):
        of_anchor, rest = divmod(count, anchors)
        rest += of_anchor <= len(_OF_ANCHOR)
        fits = of_anchor - len(_OF_ANCHOR) == len(classes) if classes else anchors == 1
        if not rest and (fits or of_anchor - len(_OF_ANCHOR) in (20, 80)):
            return _channels(anchors, of_anchor - len(_OF_ANCHOR), classes)
    return None


def _channels(anchors: int, count: int, classes: List[str]) -> Tuple[str, ...]:
    classes = classes if len(classes) == count else [f"class {index}" for index in range(count)]
    return tuple(f"anchor {anchor} {name}" for anchor in range(anchors)
                 for name in list(_OF_ANCHOR) + classes)


def _read(source: object) -> Tuple[str, ...]:
    return tuple(label_files.load(source)) if isinstance(source, str) else tuple(
        source)  # type: ignore[arg-type]  # a tuple of names


def _class_names(given: Given, file_name: Optional[str], count: Optional[int], link: str) -> Names:
    path = folder.find_labels(given.folder, file_name)
    default = (path, "found: " + os.path.basename(path)) if path else (None, "found: none")
    source = given.take("labels", lambda: default)
    if source is None:
        return None
    names = _read(source)
    problem = label_problem(names, count, link)
    if problem:
        file = source if isinstance(source, str) else "labels"
        given.warnings.append(f"{file}: {problem}")
        return None
    return names


def label_problem(names: Sequence[str], count: Optional[int], link: str) -> Optional[str]:
    """Why names cannot belong to so many scores, or None; see ``labels.are_sides``."""
    if count is None or len(names) == count or labels.are_sides(names, count, link):
        return None
    hints: Mapping[int, str] = {
        count - 1: "; a line for the background may be missing",
        count + 1: "; there may be a line for the background, an empty line or a heading too many"}
    return (f"{len(names)} labels for {count} classes, so classes are shown as numbers"
            + hints.get(len(names), ""))
