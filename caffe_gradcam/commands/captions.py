"""caffe-gradcam explain --caption: sentences about images, explained word by word."""

import os
import sys
from typing import TYPE_CHECKING, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.batch.sources.reading import read_image
from caffe_gradcam.commands.requests import Request
from caffe_gradcam.commands.writing import Row, sentence_about, write_with_its_score
from caffe_gradcam.explaining.captions import Caption, Captioner, check_asking
from caffe_gradcam.explaining.provenance import Provenance
from caffe_gradcam.pictures import figures, outputs, strips
from caffe_gradcam.report.explained import Shown
from prototxt_tools.errors import Outcome

if TYPE_CHECKING:
    from caffe_gradcam.commands.reporting import Collector
    from caffe_gradcam.explaining.explanation import Explanation
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.pictures.figures import FigureOptions

Described = Tuple[np.ndarray, Caption]


class CaptionWriter:
    """Describes images, and writes what becomes of each into a folder.

    Parameters
    ----------
    folder : str
    recipe : Recipe
        With ``asking.caption`` or ``asking.sentence``.
    options : figures.FigureOptions
    npz : bool
        Whether to write the arrays of each explanation too.
    quiet : bool
        Whether to print errors only.
    collector : Collector, optional
        Of a page that lists the words.

    Raises
    ------
    QuestionError
        The recipe also asks about classes, or a beam of no width.
    """

    def __init__(self, folder: str, recipe: "Recipe", options: "FigureOptions",
                 npz: bool = False, quiet: bool = False,
                 collector: "Optional[Collector]" = None) -> None:
        check_asking(recipe.asking)
        self._folder, self._recipe, self._options = folder, recipe, options
        self._npz, self._quiet, self._collector = npz, quiet, collector

    def run(self, model: "LoadedModel", requests: Sequence[Request]) -> List[Row]:
        """Describe all images; the rows of the report."""
        stems = outputs.unique(outputs.stem(*request.item.paths) for request in requests)
        rows = []
        with Captioner(model, self._recipe.explaining, self._recipe.running) as captioner:
            self.engine = captioner.description
            for request, stem in zip(requests, stems):
                described = Outcome.of(self._describe, captioner, request)
                outcome = described.then(self._row, request, stem)
                rows.append(outcome.unwrap() if outcome.ok else {
                    "path": request.name, "error": sentence_about(request.name, outcome.error)})
                self._print(rows[-1])
                if self._collector is not None:
                    self._collector.add(request, described.then(_shown))
        return rows

    def _describe(self, captioner: Captioner, request: Request) -> Described:
        asking = self._recipe.asking
        image = read_image(request.item, captioner.model.inputs)
        image = image[captioner.model.input] if isinstance(image, dict) else image
        return image, captioner.caption(image, asking.beam or 1, asking.sentence)

    def _row(self, described: Described, request: Request, stem: str) -> Row:
        """Write the figures of an image; its entry in the report."""
        image, caption = described
        provenance = Provenance(self._recipe, self._options, request.name)
        words = [{"word": word.text, "number": word.number, "step": word.step,
                  "score": word.score, "probability": word.probability,
                  "explanations": self._maps(image, word.explanations, stem, provenance)}
                 for word in caption.words]
        return {
            "path": request.name, "caption": caption.text,
            "log_probability": caption.log_probability, "probability": caption.probability,
            "words": words,
            "sentence": self._maps(image, caption.explanations, stem, provenance),
            "figures": self._strips(image, caption, stem, provenance)}

    def _strips(self, image: np.ndarray, caption: Caption, stem: str,
                provenance: Provenance) -> List[str]:
        """One strip for each method and layer."""
        paths = []
        for index, whole in enumerate(caption.explanations):
            name = ".".join(filter(None, (stem, "caption", outputs.slug(whole.layer),
                                          whole.method, provenance.hash8())))
            path = os.path.join(self._folder, f"{name}.{self._options.format}")
            sheet = strips.caption_strip(image, caption, self._options.look, index)
            figures.write(path, figures.encode(path, sheet, provenance.text()))
            paths.append(path)
        return paths

    def _maps(self, image: np.ndarray, explanations: "Sequence[Explanation]", stem: str,
              provenance: Provenance) -> List[Row]:
        """The files and the entries of some explanations."""
        rows = []
        for explanation in explanations:
            name = ".".join(filter(None, (
                stem, outputs.slug(explanation.question), outputs.slug(explanation.layer),
                explanation.method, provenance.hash8())))
            rows.append(write_with_its_score(explanation, image, os.path.join(self._folder, name),
                                             provenance, self._options, self._npz))
        return rows

    def _print(self, row: Row) -> None:
        if "error" in row:
            print("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
        elif not self._quiet:
            words = ", ".join("{} {}".format(word["word"], figures.percent(word["probability"]))
                              for word in row["words"])
            print("{}: {} ({})".format(row["path"], row["caption"] or "an empty sentence",
                                       figures.percent(row["probability"])))
            print(f"  {words} -> {', '.join(row['figures'])}")


def _shown(described: Described) -> Shown:
    """What a page shows of an image: the whole sentence, then its words."""
    image, caption = described
    of_words = [explanation for word in caption.words for explanation in word.explanations]
    return Shown(image, [*caption.explanations, *of_words])
