"""Side-by-side sheets of compared images."""

from typing import List, Optional, Sequence

import cv2
import numpy as np

from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render import Look, Panel
from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.entries import ImageEntry, MapEntry, Report

ROWS = 8


def draw(entries: Sequence[ImageEntry], report: Report) -> List[np.ndarray]:
    """Sheets with a row for each image: the image, its map before, and its map after.

    Parameters
    ----------
    entries : sequence of ImageEntry
        As ``comparison.most_different`` gives them; those without a picture are left out.
    report : Report
        Gives classes their names.

    Returns
    -------
    list of numpy.ndarray
        h x w x 3 uint8, blue first; each with up to ``ROWS`` images.
    """
    shown = [entry for entry in entries if entry.picture is not None and entry.maps]
    return [_sheet(shown[start:start + ROWS], report) for start in range(0, len(shown), ROWS)]


def _sheet(entries: Sequence[ImageEntry], report: Report) -> np.ndarray:
    panels, captions = [], []
    for entry in entries:
        image = thumbnails.from_jpeg(entry.picture or b"")
        panels.append([Panel(image), *(
            _panel(image, _first(entry.maps, side)) for side in ("before", "after"))])
        answers = [report.class_text(entry.before), report.class_text(entry.predicted)]
        alike = "" if entry.alike is None else f"similarity {entry.alike:.2f}"
        truth = "" if entry.true_label is None else f"true: {report.class_text(entry.true_label)}"
        captions.append([entry.id, *answers[:1 if answers[0] == answers[1] else 2], truth, alike])
    return render.draw(render.grid(
        panels, [[line for line in caption if line] for caption in captions],
        ["image", "before", "after"], look=Look()))


def _first(maps: Sequence[MapEntry], side: str) -> Optional[MapEntry]:
    return next((shown for shown in maps if shown.method.startswith(side)
                 and shown.heat is not None), None)


def _panel(image: np.ndarray, shown: Optional[MapEntry]) -> Optional[Panel]:
    if shown is None or shown.heat is None:
        return None
    heat = cv2.resize(shown.heat.astype(np.float32) / 255, image.shape[1::-1],
                      interpolation=cv2.INTER_LINEAR)
    return Panel(image, heat, caption=shown.question)
