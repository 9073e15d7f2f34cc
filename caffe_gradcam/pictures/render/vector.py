"""Sheets as SVG and PDF, by Matplotlib, with text that stays text."""

import io
import warnings
from typing import TYPE_CHECKING, Callable, Tuple

from caffe_gradcam.model import choices
from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.layout import FRAME, arrange
from caffe_gradcam.pictures.render.sheets import Sheet
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

FORMATS = ("svg", "pdf")
# DejaVu Sans at this size has the capitals of OpenCV's fonts at scale 1.
_POINTS = 28.0
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "caffe-gradcam",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
}


def vector(sheet: Sheet, kind: str = "svg", description: str = "") -> bytes:
    """Draw a sheet in a vector format.

    A pixel of :func:`draw` is a point here. The pictures are embedded pixel by pixel; the text is
    Unicode, in DejaVu Sans: in a PDF, letters that this font lacks appear as boxes. The same sheet
    gives the same bytes.

    Parameters
    ----------
    sheet : Sheet
    kind : str
        "svg" or "pdf".
    description : str
        ASCII text that the file carries in its metadata.

    Returns
    -------
    bytes

    Raises
    ------
    QuestionError
        Another format, or Matplotlib is not installed.
    """
    choices.check([kind], FORMATS, "vector format")
    try:
        import matplotlib
    except ImportError:
        raise QuestionError(
            f"{kind.upper()} figures need Matplotlib; run: pip install matplotlib", "matplotlib"
        ) from None
    file = io.BytesIO()
    # Without a date, the same sheet gives the same bytes.
    metadata = {"Date": None, "Description": description or None} if kind == "svg" else {
        "CreationDate": None, "Subject": description or None}
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        _plot(sheet).savefig(file, format=kind, metadata=metadata)
    return file.getvalue()


def _plot(sheet: Sheet) -> "Figure":
    """A Matplotlib figure whose units are the layout's pixels."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    width_of = _ruler()
    layout = arrange(sheet, width_of)
    height, width = layout.size
    figure = Figure(figsize=(width / 72.0, height / 72.0), dpi=72, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for picture in layout.pictures:
        x, y, (h, w) = picture.x, picture.y, picture.pixels.shape[:2]
        axes.imshow(picture.pixels[:, :, ::-1], extent=(x, x + w, y + h, y), interpolation="none",
                    aspect="auto")
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), w + 1, h + 1, fill=False, linewidth=1,
                                 edgecolor=_colour(FRAME)))
    for words in layout.words:
        line = text.cut(_printable(words.text), words.room, words.style, width_of)
        # A bare dollar sign would begin a formula.
        axes.text(words.x, words.y, line.replace("$", r"\$"), fontproperties=_font(words.style),
                  color=_colour(words.style.colour), verticalalignment="baseline")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure


def _ruler() -> "Callable[[str, text.Style], float]":
    """A function that measures text as Matplotlib draws it."""
    from matplotlib.backends.backend_agg import RendererAgg

    renderer = RendererAgg(1, 1, 72)

    def width_of(line: str, style: text.Style) -> float:
        return renderer.get_text_width_height_descent(_printable(line), _font(style), False)[0]

    return width_of


def _font(style: text.Style) -> "FontProperties":
    from matplotlib.font_manager import FontProperties

    weight = "bold" if style.weight > 1 else "normal"
    return FontProperties(size=_POINTS * style.scale, weight=weight)


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _colour(blue_first: Tuple[int, int, int]) -> Tuple[float, ...]:
    return tuple(value / 255.0 for value in reversed(blue_first))
