"""Strips: panels in reading order, such as the words of a sentence or the frames of a clip."""

import math
from typing import TYPE_CHECKING, List, Optional, Sequence

import numpy as np

from caffe_gradcam.pictures import figures, render
from caffe_gradcam.pictures.render import Look, Panel, Sheet

if TYPE_CHECKING:
    from caffe_gradcam.explaining.captions import Caption
    from caffe_gradcam.explaining.explanation import Explanation

# The panels of one row at most.
_ACROSS = 7


def caption_strip(image: np.ndarray, caption: "Caption", look: Look, index: int = 0) -> Sheet:
    """The image, then one overlay for each word and one for the whole sentence.

    Parameters
    ----------
    image : numpy.ndarray
        H x W x 3 uint8, blue first.
    caption : Caption
    look : render.Look
    index : int
        Which of each word's explanations, by method and layer.

    Returns
    -------
    render.Sheet
    """
    panels = [Panel(image, caption="image")]
    for word in caption.words:
        panels.append(_panel(image, word.explanations[index], look,
                             f"{word.text}  {figures.percent(word.probability)}"))
    whole = caption.explanations[index]
    panels.append(_panel(image, whole, look,
                         f"the sentence  {figures.percent(caption.probability)}"))
    return _sheet(panels, caption.text, figures.note(whole), look)


def _panel(image: np.ndarray, explanation: "Explanation", look: Look, text: str) -> Panel:
    empty = ", empty" if explanation.status == "empty" else ""
    return Panel(image, figures.heat(explanation, look), text + empty, look)


def _sheet(panels: Sequence[Panel], title: str, note: str, look: Look) -> Sheet:
    """The panels in rows of equal length."""
    rows = math.ceil(len(panels) / _ACROSS)
    across = math.ceil(len(panels) / rows)
    cells: List[Optional[Panel]] = list(panels)
    cells += [None] * (rows * across - len(panels))
    return render.grid([cells[start:start + across] for start in range(0, len(cells), across)],
                       title=title, note=note, look=look)
