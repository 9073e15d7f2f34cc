"""Writes the figures of explain, and the entries of its report."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np

from caffe_gradcam.commands.requests import Answer, Request
from caffe_gradcam.explaining.provenance import Provenance
from caffe_gradcam.pictures import boxes, figures, outputs
from prototxt_tools.errors import InputError, Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel

    Run = Tuple[Recipe, LoadedModel]

Row = Dict[str, Any]


def sentence_about(name: str, error: Optional[InputError]) -> str:
    """What went wrong with an image, which is named once."""
    message = str(error)
    return message if name in message else f"{name}: {message}"


def write_with_its_score(explanation: "Explanation", image: np.ndarray, base: str,
                         provenance: Provenance, options: figures.FigureOptions,
                         npz: bool) -> Row:
    """Write the figure of an explanation, and with ``npz`` its arrays and its own score; returns
    its entry in the report."""
    text = provenance.text(explanation)
    path = f"{base}.{options.format}"
    figure = figures.draw_explanation(image, explanation, options)
    figures.write(path, figures.encode(path, figure, text))
    arrays = base + ".npz" if npz else None
    if arrays:
        figures.write(arrays, outputs.encode_arrays(
            explanation, np.array([explanation.score]), text))
    return outputs.explanation_row(explanation, path, arrays)


class Writer:
    """Writes what becomes of each request into a folder.

    Parameters
    ----------
    folder : str
    options : figures.FigureOptions
    npz : bool
        Whether to write the arrays of each explanation too.
    several_scores : bool
        Whether names tell the score blob, since there are several.
    """

    def __init__(self, folder: str, options: figures.FigureOptions, npz: bool = False,
                 several_scores: bool = False) -> None:
        self._folder, self._options, self._npz = folder, options, npz
        self.several_scores = several_scores
        self._boxes: List[Row] = []

    def write(self, request: Request, stem: str, outcome: Outcome[Answer],
              run: "Run") -> Row:
        """Write the figures of one request, explained by the recipe and model of ``run``; returns
        its entry in the report."""
        _, model = run
        if self.several_scores:
            stem = f"{stem}.{outputs.slug(model.score)}"
        row = outcome.then(self._write, request, stem, run)
        if row.ok:
            return row.unwrap()
        return {"path": request.name, "score_blob": model.score,
                "error": sentence_about(request.name, row.error)}

    def finish(self) -> None:
        """Write the table of all boxes."""
        if self._options.heat_boxes is not None:
            boxes.write(os.path.join(self._folder, "boxes.csv"), self._boxes)

    def _write(self, answer: Answer, request: Request, stem: str, run: "Run") -> Row:
        recipe, model = run
        rectangle = answer.images.rectangle
        provenance = Provenance(recipe, self._options, request.name, rectangle)
        row = outputs.image_row(request.name, answer.results[-1], model)
        if request.item.true_label is not None:
            row["true_label"] = request.item.true_label
        if rectangle is not None:
            row["crop"] = list(rectangle)
        hash8 = provenance.hash8()
        grid, subject = None, _subject(request, answer, model)
        if self._options.kind == "grid":
            grid = self._write_grid(answer, f"{stem}.grid.{hash8}", provenance, subject)
        explanations = answer.results[-1].explanations
        bases = outputs.bases(explanations, hash8, len(model.inputs) > 1)
        row["explanations"] = [
            self._write_explanation((answer, index), f"{stem}.{base}", provenance, grid, subject)
            for index, base in enumerate(bases)]
        for entry, explanation in zip(row["explanations"], explanations):
            if self._options.heat_boxes is not None:
                entry["boxes"] = self._list_boxes(request, explanation, model.score)
        return row

    def _write_grid(self, answer: Answer, base: str, provenance: Provenance,
                    subject: figures.Subject) -> str:
        explanations = answer.results[-1].explanations
        figure = figures.grid(
            answer.images.of_input(explanations[0].input), explanations, self._options.look)
        drawn = figures.with_subject(figure, subject, self._options)
        path = self._path(base, self._options.format)
        figures.write(path, figures.encode(path, drawn, provenance.text()))
        return path

    def _write_explanation(self, numbered: Tuple[Answer, int], base: str, provenance: Provenance,
                           grid: Optional[str], subject: figures.Subject) -> Row:
        """Write the files of one explanation, but no figure where it stands in a grid."""
        answer, index = numbered
        result = answer.results[-1]
        explanation = result.explanations[index]
        text = provenance.text(explanation)
        path = grid or self._path(base, self._options.format)
        if grid is None:
            figure = figures.with_subject(self._figure(answer, index), subject, self._options)
            figures.write(path, figures.encode(path, figure, text))
        npz = None
        if self._npz:
            npz = self._path(base, "npz")
            figures.write(npz, outputs.encode_arrays(explanation, result.scores, text))
        return outputs.explanation_row(explanation, path, npz)

    def _figure(self, answer: Answer, index: int) -> figures.Figure:
        explanation = answer.results[-1].explanations[index]
        images = answer.images
        if images.rectangle is not None and self._options.kind != "overlay":
            whole = answer.results[0].explanations
            return figures.crop_and_whole(
                images.of_whole(), images.rectangle, whole[min(index, len(whole) - 1)],
                explanation, self._options.look)
        return figures.draw_explanation(
            images.of_input(explanation.input), explanation, self._options)

    def _list_boxes(self, request: Request, explanation: "Explanation", score: str) -> List[Row]:
        threshold = self._options.heat_boxes
        assert threshold is not None
        hot = boxes.find(explanation.heatmap, threshold)
        score_blob = {"score_blob": score} if self.several_scores else {}
        self._boxes += boxes.rows(
            hot, path=request.name, **score_blob, question=explanation.question,
            method=explanation.method, layer=explanation.layer)
        return [dataclasses.asdict(box) for box in hot]

    def _path(self, base: str, extension: str) -> str:
        return os.path.join(self._folder, f"{base}.{extension}")


def _subject(request: Request, answer: Answer, model: "LoadedModel") -> figures.Subject:
    """What figures say of an image."""
    label = request.item.true_label
    if label is None:
        return figures.Subject(request.name)
    try:
        index = model.find_class(str(label))
    except QuestionError:
        return figures.Subject(request.name, str(label))
    return figures.Subject(request.name, model.class_name(index) or f"class {index}",
                           index != answer.results[-1].predicted)
