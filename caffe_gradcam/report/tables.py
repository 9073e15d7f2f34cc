"""What a batch came to, in the forms of other tools: CSV, COCO, pandas."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from caffe_gradcam.batch.output.rows import POSITIONS
from caffe_gradcam.pictures import boxes
from caffe_gradcam.report.entries import ImageEntry, MapEntry
from prototxt_tools.errors import InputError, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation
    from caffe_gradcam.report.output import Output

COLUMNS = ("item", "id", "path", "sha256", "status", "error", "note", "true_label", "predicted",
           "question", "class", "class_name", *POSITIONS, "score", "probability", "method",
           "layer", "positive_mass", "negative_mass", "x", "y", "width", "height", "sentence")
# Of the box that a detector found.
_BOX = ("x", "y", "width", "height")
SEGMENTS = ("polygons", "masks")
# Spreadsheets take cells that begin like this for formulas, and run them.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows(output: "Output") -> Iterator[Dict[str, Any]]:
    """A row for each map, and one for each image without: values of ``COLUMNS``."""
    for entry in output.entries():
        for shown in entry.maps or [None]:  # type: ignore[list-item]
            yield _row(entry, shown)


def _row(entry: ImageEntry, shown: Optional[MapEntry]) -> Dict[str, Any]:
    row = dict.fromkeys(COLUMNS)
    row.update({
        "item": entry.number, "id": entry.id, "path": entry.path, "sha256": entry.sha256,
        "status": entry.status, "error": entry.error, "note": entry.note,
        "true_label": entry.true_label, "predicted": entry.predicted})
    if shown is not None:
        row.update({
            "question": shown.question, "class": shown.class_index, "score": shown.score,
            "class_name": shown.class_name or None, "probability": shown.probability,
            "method": shown.method, "layer": shown.layer, "status": shown.status,
            "positive_mass": shown.positive_mass, "negative_mass": shown.negative_mass,
            "sentence": shown.sentence, **shown.position,
            **dict(zip(_BOX, shown.detected_box or ()))})
    return row


def to_csv(output: "Output") -> bytes:
    """The rows as CSV with a heading, in UTF-8.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    file = io.StringIO(newline="")
    # With the lines of RFC 4180, csv quotes both characters that may end a line.
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows(output):
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return file.getvalue().encode("utf-8", "backslashreplace")


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULAS):
        return "'" + value
    return value


def to_frame(output: "Output") -> Any:
    """The rows as a pandas frame; whole numbers that may be missing are of the type ``Int64``.

    Raises
    ------
    InputError
        pandas is missing.
    """
    try:
        import pandas
    except ImportError:
        raise InputError("to_frame needs pandas; run: pip install pandas", "pandas") from None
    frame = pandas.DataFrame(list(rows(output)), columns=list(COLUMNS))
    return frame.astype({name: "Int64" for name in (
        "item", "true_label", "predicted", "class", *POSITIONS)})


def to_coco(output: "Output", threshold: float = boxes.THRESHOLD, segments: str = "polygons"
            ) -> bytes:
    """Boxes and outlines of the heat as COCO's JSON, with the highest class score as ``score``.

    Parameters
    ----------
    output : Output
    threshold : float
        The fraction of a map's maximum that a pixel must reach; see ``boxes.find``.
    segments : str
        "polygons", or "masks": run lengths of the hot pixels.

    Returns
    -------
    bytes
        "images", "annotations" and "categories". Categories are the classes, with their numbers;
        maps of questions that are not about one class are left out. An annotation also has the
        ``heat``, the highest inside, and ``method`` and ``layer``.
    """
    boxes.check_threshold(threshold)
    if segments not in SEGMENTS:
        raise QuestionError(f"segments must be one of {', '.join(SEGMENTS)}, not {segments!r}")
    images: Dict[int, Dict[str, Any]] = {}
    annotations: List[Dict[str, Any]] = []
    names: Dict[int, str] = dict(output.class_names)
    for entry, explanation in output.explanations():
        height, width = explanation.geometry.image_size
        images.setdefault(entry.number, {
            "id": entry.number, "file_name": entry.path, "height": height, "width": width})
        if explanation.class_index is None:
            continue
        names.setdefault(explanation.class_index, f"class {explanation.class_index}")
        for annotation in _annotations(explanation, threshold, segments):
            annotations.append(dict(annotation, id=len(annotations) + 1, image_id=entry.number,
                                    category_id=explanation.class_index))
    document = {
        "info": {"description": f"heat of {output.path}"}, "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": index, "name": name} for index, name in sorted(names.items())]}
    return (json.dumps(document) + "\n").encode("ascii")


def _annotations(explanation: "Explanation", threshold: float, segments: str
                 ) -> Iterator[Dict[str, Any]]:
    heatmap = explanation.heatmap
    score = explanation.score if explanation.probability is None else explanation.probability
    for box, mask in _parts(heatmap, threshold):
        yield {
            "bbox": list(box.rectangle), "area": box.area, "iscrowd": 0, "score": float(score),
            "heat": box.score, "method": explanation.method, "layer": explanation.layer,
            "segmentation": run_lengths(mask) if segments == "masks" else _polygons(mask, box)}


def _parts(heatmap: np.ndarray, threshold: float) -> Iterator[Tuple[boxes.Box, np.ndarray]]:
    """Each box, and a mask (H x W uint8) of its hot part."""
    import cv2

    found = boxes.find(heatmap, threshold)
    if not found:
        return
    hot = (heatmap >= np.float32(threshold) * heatmap.max()).astype(np.uint8)
    _, parts, rectangles, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    numbers = {tuple(rectangle): number
               for number, rectangle in enumerate(rectangles.tolist()) if number}
    for box in found:
        number = numbers[box.rectangle + (box.area,)]
        yield box, (parts == number).astype(np.uint8)


def _polygons(mask: np.ndarray, box: boxes.Box) -> List[List[float]]:
    """The outline of a mask along the edges of its pixels; its box where it has none."""
    import cv2

    window = mask[box.y:box.y + box.height, box.x:box.x + box.width]
    # Twice as fine, so that an outline through the centres of pixels runs along edges.
    fine = np.pad(np.repeat(np.repeat(window, 2, 0), 2, 1), 1, "constant")
    contours = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
    polygons = [[float(value) for x, y in contour[:, 0].tolist()
                 for value in (box.x + (x - 0.5) / 2, box.y + (y - 0.5) / 2)]
                for contour in contours if len(contour) > 2]
    x, y, width, height = box.rectangle
    return polygons or [[float(value) for value in (
        x, y, x + width, y, x + width, y + height, x, y + height)]]


def run_lengths(mask: np.ndarray) -> Dict[str, Any]:
    """A mask (H x W, 0 or 1) as COCO's uncompressed run lengths, column by column, zeros first."""
    pixels = mask.T.ravel()
    ends = np.flatnonzero(np.diff(pixels)) + 1
    lengths = np.diff(np.concatenate([[0], ends, [pixels.size]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if pixels[0] else []) + lengths}
