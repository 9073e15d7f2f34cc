"""What is written of an explanation: figure, arrays, and a row of the report."""

import io
import os
import re

import numpy as np

from caffe_gradcam import images, labels, render
from caffe_gradcam.explain import ranking
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
            candidate = "{}-{}".format(name, number)
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


def file_name(stem, explanation, target):
    """``cat.class-281-tiger_cat.fire9_concat``, for the stem and the target's name given."""
    label = slug(labels.names(explanation.label or "")[0])[:_LONGEST_LABEL]
    shown = "-".join(part for part in ("class", str(explanation.class_index), label) if part)
    return ".".join((stem, shown, target))


def slug(text):
    """Letters, digits, dots and hyphens; anything else becomes an underscore."""
    return re.sub("[^A-Za-z0-9.-]+", "_", render.to_ascii(text).replace("?", " ").strip())


def write(base, photograph, explanation, scores, with_arrays):
    """Write an explanation's figure, and its arrays if asked for.

    Parameters
    ----------
    base : str
        The path without extension.
    photograph : numpy.ndarray
    explanation : Explanation
    scores : numpy.ndarray
        One per class.
    with_arrays : bool
        Whether to write ``cam`` (h x w float32, signed), ``heatmap`` (H x W float32 in [0, 1])
        and ``scores`` to an .npz file.

    Returns
    -------
    figure, npz : str or None
        The paths.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    heatmap = explanation.heatmap
    figure, npz = base + ".png", base + ".npz" if with_arrays else None
    images.write(figure, render.figure(photograph, heatmap, title(explanation), note(explanation)))
    if npz:
        data = io.BytesIO()
        np.savez_compressed(data, cam=explanation.cam, heatmap=heatmap, scores=scores)
        write_bytes(npz, data.getvalue())
    return figure, npz


def title(explanation):
    """The class and how sure the net is of it."""
    index, label = explanation.class_index, explanation.label
    name = "{} {}".format(index, label) if label else "class {}".format(index)
    if explanation.probability is None:
        return "{}  score {:.4g}".format(name, explanation.score)
    return "{}  {}".format(name, percent(explanation.probability))


def percent(probability):
    """A probability for people, never rounded to certainty."""
    if probability < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if probability > 0.999 else "{:.1f} %".format(100 * probability)


def note(explanation):
    """The method, the blob, and whether there is anything to see."""
    text = "{} at {}".format(explanation.method, explanation.target)
    if explanation.status == "empty":
        text += ": empty, nothing here speaks for the class"
    return text


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
        "class": explanation.class_index,
        "label": explanation.label,
        "method": explanation.method,
        "target": explanation.target,
        "cam_shape": list(explanation.cam.shape),
        "cam_max": float(explanation.cam.max()),
        "status": explanation.status,
        "figure": figure,
        "npz": npz,
    }
