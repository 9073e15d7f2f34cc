"""Names of output files, the arrays of an explanation, and rows of the report."""

import io
import os
import re

import numpy as np

from caffe_gradcam.asking.questions import ranking
from caffe_gradcam.model import labels
from caffe_gradcam.pictures import render
from prototxt_tools.files import write_bytes

_LONGEST_STEM, _LONGEST_LABEL = 100, 40
_SHOWN = 5


def unique(names):
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


def stems(paths):
    """A name for the outputs of each image: its own, short, printable and unlike the others."""
    names = []
    for path in paths:
        name = os.path.splitext(os.path.basename(path))[0]
        name = "".join(letter if letter.isprintable() else "_" for letter in name)
        names.append(name.encode("utf-8", "replace")[:_LONGEST_STEM].decode("utf-8", "ignore"))
    return unique(names)


def bases(explanations):
    """A file name without stem and extension for each explanation of a photograph.

    ``class-281-tiger_cat.fire9_concat``; where there are several methods the method follows.

    Parameters
    ----------
    explanations : list of Explanation

    Returns
    -------
    list of str
        Unlike each other.
    """
    several = len({one.method for one in explanations}) > 1
    return unique([".".join([_asked(one), slug(one.target)] + [one.method] * several)
                   for one in explanations])


def _asked(explanation):
    plain = explanation.class_index is not None and explanation.question.startswith(
        str(explanation.class_index))
    if not plain:
        return slug(explanation.question)[:2 * _LONGEST_LABEL]
    label = slug(labels.names(explanation.label or "")[0])[:_LONGEST_LABEL]
    rest = explanation.question.partition(" at ")[2]
    return "-".join(part for part in (
        "class", str(explanation.class_index), label, rest and "at_" + slug(rest)) if part)


def slug(text):
    """Letters, digits, dots and hyphens; anything else becomes an underscore."""
    return re.sub("[^A-Za-z0-9.-]+", "_", render.to_ascii(text).replace("?", " ").strip())


def write_arrays(path, explanation, scores):
    """Write what an explanation is made of as an .npz file.

    Parameters
    ----------
    path : str
    explanation : Explanation
        Gives ``cam`` (h x w float32, signed) and ``heatmap`` (H x W float32 in [0, 1]).
    scores : numpy.ndarray
        One per class.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    data = io.BytesIO()
    np.savez_compressed(
        data, cam=explanation.cam, heatmap=explanation.heatmap, scores=scores)
    write_bytes(path, data.getvalue())


def image_row(path, result, model):
    """The report's entry for an image, its explanations still to come."""
    top = []
    for index in ranking(result.scores)[:_SHOWN]:
        has = result.probabilities is not None
        top.append({
            "class": index,
            "label": model.label(index),
            "score": float(result.scores[index]),
            "probability": float(result.probabilities[index]) if has else None,
        })
    return {"path": path, "top": top, "explanations": []}


def explanation_row(explanation, figure, npz):
    """The report's entry for an explanation."""
    return {
        "question": explanation.question,
        "class": explanation.class_index,
        "label": explanation.label,
        "score": explanation.score,
        "probability": explanation.probability,
        "method": explanation.method,
        "target": explanation.target,
        "cam_shape": list(explanation.cam.shape),
        "cam_max": float(explanation.cam.max()),
        "positive_mass": explanation.positive_mass,
        "negative_mass": explanation.negative_mass,
        "status": explanation.status,
        "figure": figure,
        "npz": npz,
    }
