"""From explanations to figures, and figures to files."""

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.model import choices, images
from caffe_gradcam.pictures import boxes, metadata, render, signals
from caffe_gradcam.pictures.render import Look, Panel, Sheet
from prototxt_tools.errors import InputError, QuestionError
from prototxt_tools.files import write_bytes

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explanation import Explanation

Figure = Union[Sheet, np.ndarray]

KINDS = ("side-by-side", "overlay", "grid")
FORMATS = ("png", "jpg", "webp", "svg", "pdf")
_VECTOR = ("svg", "pdf")
_END = 1 << 20


@dataclass(frozen=True)
class FigureOptions:
    """How figures are drawn, and as what kind of file.

    Attributes
    ----------
    kind : str
        "side-by-side", "overlay" for the bare overlay at the image's size, or "grid".
    look : Look
    heat_boxes : float, optional
        Draw boxes around what reaches this fraction of the highest heat.
    format : str
        One of ``FORMATS``.
    named : bool
        Whether the file name and the true class of the image stand below it.

    Raises
    ------
    QuestionError
        An unknown kind or format, or a threshold out of range.
    """

    kind: str = "side-by-side"
    look: Look = Look()
    heat_boxes: Optional[float] = None
    format: str = "png"
    named: bool = False

    def __post_init__(self) -> None:
        choices.check([self.kind], KINDS, "figure")
        choices.check([self.format], FORMATS, "format")
        if self.heat_boxes is not None:
            boxes.check_threshold(self.heat_boxes)

    def to_dict(self) -> Dict[str, Any]:
        """What is not the default, as JSON values; the format is that of the file itself."""
        values = dict(self.look.settings, figure=self.kind, style=self.look.style,
                      heat_boxes=self.heat_boxes, named=self.named)
        plain = {"figure": "side-by-side", "style": "fade", "heat_boxes": None, "named": False}
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in sorted(values.items()) if value != plain.get(name)}


@dataclass(frozen=True)
class Subject:
    """What is known of the image that a figure shows.

    Attributes
    ----------
    name : str
        Of its file.
    true_class : str or None
        In words.
    is_wrong : bool
        Whether the net gives it another class.
    """

    name: str
    true_class: Optional[str] = None
    is_wrong: bool = False


def with_subject(figure: Figure, subject: Subject, options: FigureOptions) -> Figure:
    """A figure whose note says that the answer is wrong, and with ``named`` what the image is;
    a bare overlay has no room for words and stays as it is."""
    words = ["wrong answer"] if subject.is_wrong else []
    if options.named:
        words.append(os.path.basename(subject.name))
        words += [] if subject.true_class is None else [f"true class: {subject.true_class}"]
    if not words or not isinstance(figure, Sheet):
        return figure
    return dataclasses.replace(figure, note="; ".join(filter(None, [figure.note, *words])))


def heat(explanation: "Explanation", look: Look) -> np.ndarray:
    """The map that a look draws: in [0, 1] or, for a signed colormap, in [-1, 1]."""
    signed = look.scale is not None and render.colormap(look.scale).signed
    heatmap = explanation.signed_heatmap if signed else explanation.heatmap
    return without_outliers(heatmap) if explanation.layer == explanation.input else heatmap


def without_outliers(heatmap: np.ndarray, percentile: float = 99.0) -> np.ndarray:
    """A map of single pixels without the few that outshine all others.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 3.1: values above
    a percentile are capped, here of the absolute values that are not 0.

    Parameters
    ----------
    heatmap : numpy.ndarray
        H x W, in [0, 1] or [-1, 1].
    percentile : float
        What stays, of 100.
    """
    strengths = np.abs(heatmap[heatmap != 0])
    if not strengths.size:
        return heatmap
    top = np.percentile(strengths, percentile)
    capped: np.ndarray = np.clip(heatmap / top, -1, 1).astype(np.float32)
    return capped


def draw_explanation(image: np.ndarray, explanation: "Explanation",
                     options: FigureOptions = FigureOptions()) -> Figure:
    """The figure of one explanation.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first; or H x W x C of any type, shown as ``signals.shown`` tells.
    explanation : Explanation
    options : FigureOptions
        Of the kind "side-by-side" or "overlay".

    Returns
    -------
    render.Sheet or numpy.ndarray
        An array for "overlay".
    """
    rectangles = [] if options.heat_boxes is None else signals.shown_boxes(image, [
        box.rectangle for box in boxes.find(explanation.heatmap, options.heat_boxes)])
    image, heatmap = signals.shown(image, heat(explanation, options.look))
    if explanation.box is not None:
        rectangles.append(whole_pixels(explanation.box))
    if options.kind == "overlay":
        return render.draw_boxes(render.overlay(image, heatmap, options.look), rectangles)
    return render.side_by_side(
        image, heatmap, title(explanation), note(explanation), options.look, rectangles)


def whole_pixels(box: Sequence[float]) -> Tuple[int, int, int, int]:
    """x, y, width and height of a box, rounded to pixels."""
    x, y, width, height = box
    left, top = int(round(x)), int(round(y))
    return left, top, int(round(x + width)) - left, int(round(y + height)) - top


def grid(image: np.ndarray, explanations: "Sequence[Explanation]", look: Look) -> Sheet:
    """All explanations of an image: a row for each question, a column for each map.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    explanations : sequence of Explanation
    look : render.Look

    Returns
    -------
    render.Sheet
    """
    rows = list(dict.fromkeys(explanation.question for explanation in explanations))
    columns = _columns(explanations)
    captions: Dict[str, Tuple[str, str]] = {}
    cells: Dict[Tuple[str, str, str], Panel] = {}
    for explanation in explanations:
        captions[explanation.question] = _name(explanation), _answer(explanation)
        picture, heatmap = signals.shown(image, heat(explanation, look))
        cells[explanation.question, explanation.layer, explanation.method] = Panel(
            picture, heatmap,
            caption="empty" if explanation.status == "empty" else "")
    panels: List[List[Optional[Panel]]] = []
    for row in rows:
        first = None if panels else Panel(picture)
        panels.append([first, *(cells.get((row,) + column) for column in columns)])
    return render.grid(
        panels, [captions[row] for row in rows], [("", ""), *columns], look=look)


def _columns(explanations: "Sequence[Explanation]") -> List[Tuple[str, str]]:
    """Layer and method of each column; those of one layer stand together."""
    layers = list(dict.fromkeys(explanation.layer for explanation in explanations))
    pairs = dict.fromkeys(
        (explanation.layer, explanation.method) for explanation in explanations)
    return sorted(pairs, key=lambda pair: layers.index(pair[0]))


def crop_and_whole(image: np.ndarray, rectangle: Tuple[int, int, int, int],
                   whole: "Explanation", crop: "Explanation", look: Look) -> Sheet:
    """What the net sees in an image, beside what it sees in a crop of it.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    rectangle : (int, int, int, int)
        x, y, width and height of the crop.
    whole, crop : Explanation
    look : render.Look

    Returns
    -------
    render.Sheet
    """
    if signals.is_signal(image):
        raise QuestionError("--crop: a part of a signal is not drawn beside the whole", "--crop")
    image, _ = signals.shown(image, np.zeros(image.shape[:2]))
    x, y, width, height = rectangle
    return render.crop_and_whole(
        Panel(image, heat(whole, look), look=look, boxes=[rectangle]),
        Panel(image[y:y + height, x:x + width], heat(crop, look), look=look),
        (title(whole), title(crop)), f"{title(whole)}, cropped: {title(crop)}", note(crop))


def pixels(figure: Figure) -> np.ndarray:
    """A figure as h x w x 3 uint8, blue first."""
    return render.draw(figure) if isinstance(figure, Sheet) else figure


def encode(path: str, figure: Figure, text: str = "") -> bytes:
    """The bytes of a figure's file; the extension of its name decides the format.

    Parameters
    ----------
    path : str
    figure : render.Sheet or numpy.ndarray
    text : str
        ASCII that the file carries: see :mod:`metadata`.

    Raises
    ------
    InputError
        An unknown format, or one whose library is missing; or an image that is too large for it.
    """
    extension = os.path.splitext(path)[1][1:].lower()
    if extension in _VECTOR:
        from caffe_gradcam.pictures.render.vector import vector

        sheet = figure if isinstance(figure, Sheet) else Sheet([[Panel(figure)]])
        return vector(sheet, extension, metadata.KEYWORD + " " + text if text else "")
    data = images.encode(path, pixels(figure))
    return metadata.embed(data, extension, text) if text else data


def write(path: str, data: bytes) -> None:
    """Write a figure's file, or an array's, that may replace only one of the same recipe.

    Parameters
    ----------
    path : str
    data : bytes
        With the text of :mod:`metadata`.

    Raises
    ------
    QuestionError
        There is another file already.
    InputError
        The file cannot be written.
    """
    present = _ends(path) if os.path.isfile(path) else b""
    if present and metadata.digest_of(present) != metadata.digest_of(data):
        raise QuestionError(f"{path}: was made from another image or with other options; remove "
                            "it, or write to another folder with -o", path)
    write_bytes(path, data)


def _ends(path: str) -> bytes:
    """The beginning and the end of a file, where the text of a figure is."""
    try:
        with open(path, "rb") as file:
            start = file.read(_END)
            file.seek(max(file.seek(0, os.SEEK_END) - _END, len(start)))
            return start + file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be replaced: {error.strerror}", path) from None


def title(explanation: "Explanation") -> str:
    """What was asked, and what the net answers."""
    return f"{_name(explanation)}  {_answer(explanation)}"


def _name(explanation: "Explanation") -> str:
    question = explanation.question
    if explanation.class_index is None or explanation.class_name:
        return question
    index = str(explanation.class_index)
    return question.replace(index, "class " + index, 1)


def _answer(explanation: "Explanation") -> str:
    if explanation.probability is None:
        return f"score {explanation.score:.4g}"
    return percent(explanation.probability)


def percent(probability: float) -> str:
    """A probability for people, never rounded to certainty."""
    if probability < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def note(explanation: "Explanation") -> str:
    """The method, the layer, and whether there is anything to see."""
    text = f"{explanation.method} at {explanation.layer}"
    if explanation.status == "empty":
        text += ": empty, no region stands out"
    return text
