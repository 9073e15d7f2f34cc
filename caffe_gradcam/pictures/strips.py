"""Strips: panels in reading order, such as the words of a sentence or the frames of a clip."""

import math
from typing import TYPE_CHECKING, List, Optional, Sequence

import numpy as np

from caffe_gradcam.pictures import figures, render
from caffe_gradcam.pictures.render import Look, Panel, Sheet

if TYPE_CHECKING:
    from caffe_gradcam.explaining.captions import Caption
    from caffe_gradcam.explaining.clips import ClipExplanation
    from caffe_gradcam.explaining.explanation import Explanation

# The panels of one row at most.
_ACROSS = 7
_MOST_FRAMES = 8


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


def filmstrip(frames: Sequence[np.ndarray], explanation: "ClipExplanation", look: Look) -> Sheet:
    """Frames of a clip, and below each its overlay.

    Parameters
    ----------
    frames : sequence of numpy.ndarray
        H x W x 3 uint8, blue first, as many as the net takes.
    explanation : ClipExplanation
    look : render.Look

    Returns
    -------
    render.Sheet
        Of at most 8 frames, spread over the clip.
    """
    count = min(_MOST_FRAMES, len(frames))
    shown = [int((index + 0.5) * len(frames) / count) for index in range(count)]
    heatmaps = explanation.heatmaps()
    above = [Panel(frames[index]) for index in shown]
    below = [Panel(frames[index], heatmaps[index], look=look) for index in shown]
    note = f"{explanation.method} at {explanation.layer}"
    if explanation.status == "empty":
        note += ": empty, no region stands out"
    return render.grid([above, below], columns=[("", f"frame {index + 1}") for index in shown],
                       title=_title(explanation), note=note, look=look)


def overlays(frames: Sequence[np.ndarray], explanation: "ClipExplanation", look: Look
             ) -> List[np.ndarray]:
    """Each frame with its heatmap laid over it, at the frame's size."""
    return [render.overlay(frame, heat, look)
            for frame, heat in zip(frames, explanation.heatmaps())]


def _title(explanation: "ClipExplanation") -> str:
    value = (f"score {explanation.score:.4g}" if explanation.probability is None
             else figures.percent(explanation.probability))
    return f"{explanation.question}  {value}"


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
