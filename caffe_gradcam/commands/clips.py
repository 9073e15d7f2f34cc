"""caffe-gradcam explain for nets that take clips: filmstrips, and videos of overlays."""

import os
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import numpy as np

from caffe_gradcam.asking.asker import Asker
from caffe_gradcam.explaining.clips import ClipExplainer, ClipExplanation, asker_of
from caffe_gradcam.explaining.explanation import Result
from caffe_gradcam.explaining.provenance import Provenance
from caffe_gradcam.model import clip_files
from caffe_gradcam.pictures import figures, outputs, strips
from prototxt_tools.errors import Outcome

if TYPE_CHECKING:
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.pictures.figures import FigureOptions

Row = Dict[str, Any]


class ClipWriter:
    """Explains clips, and writes what becomes of each into a folder.

    Parameters
    ----------
    folder : str
    recipe : Recipe
    options : figures.FigureOptions
    video : str, optional
        "mp4" or "gif": also write the overlays of all frames as a video.
    quiet : bool
        Whether to print errors only.
    """

    def __init__(self, folder: str, recipe: "Recipe", options: "FigureOptions",
                 video: Optional[str] = None, quiet: bool = False) -> None:
        self._folder, self._recipe, self._options = folder, recipe, options
        self._video, self._quiet = video, quiet

    def run(self, model: "LoadedModel", arguments: Sequence[str]) -> List[Row]:
        """Explain all clips; the rows of the report.

        Parameters
        ----------
        model : LoadedModel
        arguments : sequence of str
            Videos, animated GIFs, TIFFs of several pages, and folders of frames or of videos.
        """
        listed = [(argument, Outcome.of(clip_files.names, argument)) for argument in arguments]
        clips = [(path, outcome) for argument, outcome in listed
                 for path in (outcome.unwrap() if outcome.ok else [argument])]
        stems = outputs.stems(path.rstrip(os.sep) for path, _ in clips)
        asker = asker_of(self._recipe.asking, model)
        rows = []
        with ClipExplainer(model, self._recipe.explaining, self._recipe.running) as explainer:
            self.engine = explainer.description
            for (path, outcome), stem in zip(clips, stems):
                row = outcome.then(lambda _, path=path, stem=stem: self._explain(
                    explainer, asker, path, stem))
                rows.append(row.unwrap() if row.ok else _error(path, row.error))
                self._print(rows[-1])
        return rows

    def _explain(self, explainer: ClipExplainer, asker: Asker, path: str, stem: str) -> Row:
        frames = clip_files.read(path, explainer.clip)
        result = explainer.explain(frames, asker.questions())
        answer = Result(result.scores, result.probabilities, [], int(result.scores.argmax()))
        row = outputs.image_row(path, answer, explainer.model)
        row["frames"] = len(frames)
        provenance = Provenance(self._recipe, self._options, path)
        row["explanations"] = [self._write(frames, explanation, stem, provenance)
                               for explanation in result.explanations]
        return row

    def _write(self, frames: Sequence[np.ndarray], explanation: ClipExplanation, stem: str,
               provenance: Provenance) -> Row:
        """Write the files of one explanation; its entry in the report."""
        name = ".".join(filter(None, (
            stem, outputs.slug(explanation.question), outputs.slug(explanation.layer),
            explanation.method, provenance.hash8())))
        base, look = os.path.join(self._folder, name), self._options.look
        figure = f"{base}.{self._options.format}"
        sheet = strips.filmstrip(frames, explanation, look)
        figures.write(figure, figures.encode(figure, sheet, provenance.text()))
        video = None
        if self._video is not None:
            video = f"{base}.{self._video}"
            clip_files.write(video, strips.overlays(frames, explanation, look))
        return {
            "question": explanation.question, "class": explanation.class_index,
            "class_name": explanation.class_name, "score": explanation.score,
            "probability": explanation.probability, "method": explanation.method,
            "layer": explanation.layer, "cam_shape": list(explanation.cams.shape),
            "status": explanation.status, "figure": figure, "video": video}

    def _print(self, row: Row) -> None:
        if "error" in row:
            print("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
        elif not self._quiet:
            for entry in row["explanations"]:
                value = (f"score {entry['score']:.4g}" if entry["probability"] is None
                         else figures.percent(entry["probability"]))
                files = ", ".join(filter(None, (entry["figure"], entry["video"])))
                print(f"{row['path']}: {entry['question']} ({value}), {entry['method']} at "
                      f"{entry['layer']} -> {files}")


def _error(path: str, error: Any) -> Row:
    message = str(error)
    return {"path": path, "error": message if path in message else f"{path}: {message}"}
