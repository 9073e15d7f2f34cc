"""From explanations to figures, and figures to files."""

import os

from caffe_gradcam.model import images
from caffe_gradcam.pictures import boxes, render
from prototxt_tools.files import write_bytes

KINDS = ("side-by-side", "overlay", "grid")
FORMATS = ("png", "jpg", "webp", "svg", "pdf")
_VECTOR = ("svg", "pdf")


def heat(explanation, look):
    """The map that a look draws: [0, 1] or, for colour maps with two ends, [-1, 1]."""
    signed = look.colour_map is not None and render.colour_map(look.colour_map).signed
    return explanation.signed_heatmap if signed else explanation.heatmap


def one(photograph, explanation, look, boxed=None, kind="side-by-side"):
    """The figure of one explanation.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    explanation : Explanation
    look : render.Look
    boxed : float, optional
        Draw boxes around what is at least this part of the hottest.
    kind : str
        "side-by-side", or "overlay" for the bare picture at the photograph's size.

    Returns
    -------
    render.Sheet or numpy.ndarray
        An array for "overlay".
    """
    map_ = heat(explanation, look)
    found = boxes.find(explanation.heatmap, boxed) if boxed else []
    if kind == "overlay":
        return render.draw_boxes(render.overlay(photograph, map_, look), found)
    return render.side_by_side(
        photograph, map_, title(explanation), note(explanation), look, found)


def grid(photograph, explanations, look):
    """All explanations of a photograph: a row for each question, a column for each map.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    explanations : list of Explanation
    look : render.Look

    Returns
    -------
    render.Sheet
    """
    rows = dict.fromkeys((explanation.question for explanation in explanations))
    targets = list(dict.fromkeys(explanation.target for explanation in explanations))
    columns = sorted(dict.fromkeys((one.target, one.method) for one in explanations),
                     key=lambda column: targets.index(column[0]))
    captions, cells = {}, {}
    for explanation in explanations:
        captions[explanation.question] = _name(explanation), _answer(explanation)
        cells[explanation.question, explanation.target, explanation.method] = render.Panel(
            photograph, heat(explanation, look),
            caption="empty" if explanation.status == "empty" else "")
    panels = [[render.Panel(photograph) if index == 0 else None]
              + [cells.get((row,) + column) for column in columns]
              for index, row in enumerate(rows)]
    return render.grid(panels, [captions[row] for row in rows], [("", "")] + columns,
                       look=look)


def crop_and_whole(photograph, rectangle, whole, crop, look):
    """What the net says of a photograph, beside what it says of a part of it.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    rectangle : (int, int, int, int)
        x, y, width, height of the part.
    whole, crop : Explanation
    look : render.Look

    Returns
    -------
    render.Sheet
    """
    text = f"{title(whole)}, cut out: {title(crop)}"
    return render.crop_and_whole(
        photograph, rectangle, heat(crop, look), (title(whole), title(crop)), text, note(crop),
        heat(whole, look), look)


def write(path, figure):
    """Write a figure; the extension of the name says in which format.

    Parameters
    ----------
    path : str
    figure : render.Sheet or numpy.ndarray

    Raises
    ------
    InputError
        The place cannot be written, the format is unknown, or its library is missing.
    """
    extension = os.path.splitext(path)[1][1:].lower()
    if extension in _VECTOR:
        from caffe_gradcam.pictures.render.vector import vector

        sheet = figure if isinstance(figure, render.Sheet) else render.Sheet(
            [[render.Panel(figure)]])
        write_bytes(path, vector(sheet, extension))
    else:
        images.write(path, render.draw(figure) if isinstance(figure, render.Sheet) else figure)


def title(explanation):
    """What was asked, and how sure the net is of it."""
    return f"{_name(explanation)}  {_answer(explanation)}"


def _name(explanation):
    name = explanation.question
    if explanation.class_index is None or explanation.label:
        return name
    index = str(explanation.class_index)
    return name.replace(index, "class " + index, 1)


def _answer(explanation):
    if explanation.probability is None:
        return f"score {explanation.score:.4g}"
    return percent(explanation.probability)


def percent(probability):
    """A probability for people, never rounded to certainty."""
    if probability < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def note(explanation):
    """The method, the blob, and whether there is anything to see."""
    text = f"{explanation.method} at {explanation.target}"
    if explanation.status == "empty":
        text += ": empty, no place speaks for it"
    return text
