"""caffe-gradcam explain --detections: the boxes that a detector finds, each with its heatmap."""

import os
import sys
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence

import numpy as np

from caffe_gradcam.batch.sources.reading import read_image
from caffe_gradcam.commands.requests import Request
from caffe_gradcam.commands.writing import Row, sentence_about, write_with_its_score
from caffe_gradcam.explaining.box_questions import box_question
from caffe_gradcam.explaining.detections import DetectionExplainer
from caffe_gradcam.explaining.provenance import Provenance
from caffe_gradcam.pictures import figures, outputs
from caffe_gradcam.report.explained import Shown
from prototxt_tools.errors import Outcome

if TYPE_CHECKING:
    from caffe_gradcam.commands.reporting import Collector
    from caffe_gradcam.explaining.explanation import Explanation
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.arrays import Image
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.pictures.figures import FigureOptions


class DetectionWriter:
    """Finds boxes in images, and writes a figure for each into a folder.

    Parameters
    ----------
    folder : str
    recipe : Recipe
        With ``asking.detections``.
    options : figures.FigureOptions
    npz : bool
        Whether to write the arrays of each explanation too.
    quiet : bool
        Whether to print errors only.
    collector : Collector, optional
        Of a page that lists the boxes.

    Raises
    ------
    QuestionError
        The recipe also asks about classes, or a score out of range.
    """

    def __init__(self, folder: str, recipe: "Recipe", options: "FigureOptions",
                 npz: bool = False, quiet: bool = False,
                 collector: "Optional[Collector]" = None) -> None:
        self._folder, self._recipe, self._options = folder, recipe, options
        self._npz, self._quiet, self._collector = npz, quiet, collector
        self._question = box_question(recipe.asking)
        self.engine: Dict[str, str] = {}

    def run(self, model: "LoadedModel", requests: Sequence[Request], batch: int) -> List[Row]:
        """Find and explain the boxes in all images; the rows of the report."""
        stems = outputs.unique(outputs.stem(*request.item.paths) for request in requests)
        rows: List[Row] = []
        with DetectionExplainer.open(model, self._recipe.explaining, self._question,
                                     self._recipe.running) as explainer:
            self.engine = explainer.engine.description
            if explainer.detector.note and not self._quiet:
                print(explainer.detector.note, file=sys.stderr)
            for start in range(0, len(requests), batch):
                part = requests[start:start + batch]
                images = [Outcome.of(read_image, request.item, model.inputs)
                          for request in part]
                for request, stem, image, found in zip(
                        part, stems[start:], images, explain_all(explainer, images)):
                    outcome = found.then(self._row, image, request, stem)
                    rows.append(outcome.unwrap() if outcome.ok else {
                        "path": request.name,
                        "error": sentence_about(request.name, outcome.error)})
                    self._print(rows[-1])
                    if self._collector is not None:
                        self._collector.add(request, found.then(self._shown, image))
        return rows

    def _shown(self, explanations: "List[Explanation]", image: "Outcome[Image]") -> Shown:
        """What a page shows of an image."""
        source = explanations[0].input if explanations else ""
        note = None if explanations else self._nothing
        return Shown(_pixels(image.unwrap(), source), explanations, note=note)

    @property
    def _nothing(self) -> str:
        return f"there is no box with a score of {self._question.min_score:g} or more"

    def _row(self, explanations: "List[Explanation]", image: "Outcome[Image]", request: Request,
             stem: str) -> Row:
        """Write the figures of an image; its entry in the report."""
        provenance = Provenance(self._recipe, self._options, request.name)
        bases = outputs.bases(explanations, provenance.hash8())
        detections: Dict[str, Row] = {}
        for explanation, base in zip(explanations, bases):
            detection = detections.setdefault(explanation.question, {
                "class": explanation.class_index, "class_name": explanation.class_name,
                "score": explanation.probability, "box": explanation.box, "explanations": []})
            detection["explanations"].append(write_with_its_score(
                explanation, _pixels(image.unwrap(), explanation.input),
                os.path.join(self._folder, f"{stem}.{base}"), provenance, self._options,
                self._npz))
        return {"path": request.name, "detections": list(detections.values())}

    def _print(self, row: Row) -> None:
        if "error" in row:
            print("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
        elif not self._quiet:
            if not row["detections"]:
                print(f"{row['path']}: {self._nothing}")
            for detection in row["detections"]:
                print(f"{row['path']}: {_described(detection)}")


def _pixels(image: "Image", name: str) -> np.ndarray:
    """The picture of an input, or the first one where there is no such input."""
    if not isinstance(image, dict):
        return image
    return image[name] if name in image else next(iter(image.values()))


def explain_all(explainer: DetectionExplainer, images: "Sequence[Outcome[Image]]"
                ) -> "List[Outcome[List[Explanation]]]":
    """The explanations of each image, or why there are none."""
    good = [image.unwrap() for image in images if image.ok]
    results = iter(explainer.explain(good))
    return [next(results) if image.ok else Outcome(error=image.error) for image in images]


def _described(detection: Row) -> str:
    """``15 person (93.1 %) at 34,50 120x300 -> figure.png``."""
    x, y, width, height = (round(number) for number in detection["box"])
    name = " ".join(str(part) for part in (detection["class"], detection["class_name"])
                    if part is not None)
    paths = ", ".join(entry["figure"] + (" (the map is empty)" if entry["status"] == "empty"
                                         else "") for entry in detection["explanations"])
    return f"{name} ({figures.percent(detection['score'])}) at {x},{y} {width}x{height} -> {paths}"
