"""Names of output files, the arrays of an explanation, and the entries of the JSON report."""

import io
import os
import re
import zipfile
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence

import numpy as np

from caffe_gradcam.asking.context import likeliest
from caffe_gradcam.model import labels
from caffe_gradcam.pictures import metadata, render

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation, Result
    from caffe_gradcam.model.model import LoadedModel

_LONGEST_STEM, _LONGEST_NAME, _LONGEST_QUESTION = 100, 40, 80
_TOP_CLASSES = 5
# What a ZIP archive's comment may hold.
_LONGEST_COMMENT = 65535


def unique(names: Iterable[str]) -> List[str]:
    """Tell equal names apart by a number: ``cat, cat-2``; case does not count."""
    taken, result = set(), []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def stem(*paths: str) -> str:
    """The beginning of the output names of an image, or of one for each input: short and
    printable."""
    name = "+".join(os.path.splitext(os.path.basename(path))[0] for path in paths)
    name = "".join(letter if letter.isprintable() else "_" for letter in name)
    return name.encode("utf-8", "replace")[:_LONGEST_STEM].decode("utf-8", "ignore")


def stems(paths: Iterable[str]) -> List[str]:
    """The beginning of the output names of each image, all different."""
    return unique(stem(path) for path in paths)


def bases(explanations: "Sequence[Explanation]", hash8: str = "",
          several_inputs: bool = False) -> List[str]:
    """The file name of each explanation of an image, without its stem and its extension.

    ``class-281-tiger_cat.fire9_concat.grad-cam``: the class, or else the question, the layer and
    the method.

    Parameters
    ----------
    explanations : sequence of Explanation
    hash8 : str
        Follows the method, where the recipe is not the default.
    several_inputs : bool
        Whether the name of the input stands in front.

    Returns
    -------
    list of str
        All different.
    """
    names = []
    for explanation in explanations:
        parts = [slug(explanation.input) if several_inputs else "", _question(explanation),
                 slug(explanation.layer), explanation.method, hash8]
        names.append(".".join(part for part in parts if part))
    return unique(names)


def _question(explanation: "Explanation") -> str:
    """``class-281-tiger_cat``, or the words of a question that is not about one class."""
    question, index = explanation.question, explanation.class_index
    if index is None or not question.startswith(str(index)):
        return slug(question)[:_LONGEST_QUESTION]
    name = slug(labels.names(explanation.class_name or "")[0])[:_LONGEST_NAME]
    region = question.partition(" at ")[2]
    parts = ("class", str(index), name, region and "at_" + slug(region))
    return "-".join(part for part in parts if part)


def slug(text: str) -> str:
    """Letters, digits, dots and hyphens; anything else becomes an underscore."""
    return re.sub("[^A-Za-z0-9.-]+", "_", render.to_ascii(text).replace("?", " ").strip())


def encode_arrays(explanation: "Explanation", scores: np.ndarray, text: str = "") -> bytes:
    """What an explanation is computed from, as the bytes of an .npz file.

    Parameters
    ----------
    explanation : Explanation
        Provides ``cam`` (h x w float32, signed) and ``heatmap`` (H x W float32 in [0, 1]).
    scores : numpy.ndarray
        One per class.
    text : str
        ASCII that the file carries as the archive's comment: see :mod:`metadata`.
    """
    file = io.BytesIO()
    np.savez_compressed(
        file, cam=explanation.cam, heatmap=explanation.heatmap, scores=scores)
    if text:
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = f"{metadata.KEYWORD} {text}".encode("ascii")[:_LONGEST_COMMENT]
    return file.getvalue()


def image_row(path: str, result: "Result", model: "LoadedModel") -> Dict[str, Any]:
    """The report's entry for an image, without its explanations."""
    top = []
    for index in likeliest(result.scores, result.probabilities, model.layout)[:_TOP_CLASSES]:
        probabilities = result.probabilities
        top.append({
            "class": index,
            "class_name": model.class_name(index),
            "score": float(result.scores[index]),
            "probability": None if probabilities is None else float(probabilities[index]),
        })
    return {"path": path, "score_blob": model.score, "top": top, "explanations": []}


def explanation_row(explanation: "Explanation", figure: str,
                    npz: Optional[str]) -> Dict[str, Any]:
    """The report's entry for an explanation."""
    row: Dict[str, Any] = {
        "question": explanation.question,
        "class": explanation.class_index,
        "class_name": explanation.class_name,
        "score": explanation.score,
        "probability": explanation.probability,
        "method": explanation.method,
        "layer": explanation.layer,
        "input": explanation.input,
        "cam_shape": list(explanation.cam.shape),
        "cam_max": float(explanation.cam.max()),
        "positive_mass": explanation.positive_mass,
        "negative_mass": explanation.negative_mass,
        "status": explanation.status,
        "figure": figure,
        "npz": npz,
    }
    if explanation.box is not None:
        row["box"] = list(explanation.box)
    if explanation.position:
        row["position"] = dict(explanation.position)
    if explanation.words:
        row["words"] = [{"word": word.text, "position": word.position,
                         "relevance": word.relevance} for word in explanation.words]
    return row
