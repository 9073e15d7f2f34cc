"""Sheets as SVG and PDF, by Matplotlib, with text that stays text."""

import io
import warnings

from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.layout import FRAME, arrange
from prototxt_tools.errors import InputError

FORMATS = ("svg", "pdf")
# DejaVu Sans at this size has the capitals of OpenCV's fonts at scale 1.
_POINTS = 28.0
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "caffe-gradcam",
    "pdf.fonttype": 42,
    "font.family": "DejaVu Sans",
}


def vector(sheet, kind="svg"):
    """Draw a sheet in a vector format.

    A pixel of :func:`draw` is a point here. The pictures are embedded pixel by pixel; the text is
    Unicode, in DejaVu Sans: a PDF shows letters that this font lacks as boxes. The same sheet
    gives the same bytes.

    Parameters
    ----------
    sheet : Sheet
    kind : str
        "svg" or "pdf".

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        Another format, or no Matplotlib.
    """
    if kind not in FORMATS:
        raise InputError(f"no vector format {kind!r}; take svg or pdf")
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            f"{kind.upper()} figures need Matplotlib; run: pip install matplotlib"
        ) from None
    file = io.BytesIO()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        _plot(sheet).savefig(file, format=kind, metadata=dates[kind])
    return file.getvalue()


def _plot(sheet):
    """A Matplotlib figure whose units are the layout's pixels."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    width_of = _ruler()
    layout = arrange(sheet, width_of)
    height, width = layout.size
    figure = Figure(figsize=(width / 72.0, height / 72.0), dpi=72, facecolor="white")
    axes = figure.add_axes([0, 0, 1, 1])
    axes.axis("off")
    for x, y, pixels in layout.pictures:
        h, w = pixels.shape[:2]
        axes.imshow(pixels[:, :, ::-1], extent=(x, x + w, y + h, y), interpolation="none",
                    aspect="auto")
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), w + 1, h + 1, fill=False, linewidth=1,
                                 edgecolor=_colour(FRAME)))
    for words in layout.words:
        shown = text.cut(_printable(words.text), words.room, words.style, width_of)
        # A bare dollar sign would begin a formula.
        axes.text(words.x, words.y, shown.replace("$", r"\$"), fontproperties=_font(words.style),
                  color=_colour(words.style.colour), verticalalignment="baseline")
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return figure


def _ruler():
    """A function that measures text as Matplotlib draws it."""
    from matplotlib.backends.backend_agg import RendererAgg

    renderer = RendererAgg(1, 1, 72)

    def width_of(line, style):
        return renderer.get_text_width_height_descent(_printable(line), _font(style), False)[0]

    return width_of


def _font(style):
    from matplotlib.font_manager import FontProperties

    weight = "bold" if style.weight > 1 else "normal"
    return FontProperties(size=_POINTS * style.scale, weight=weight)


def _printable(line):
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _colour(blue_first):
    return tuple(value / 255.0 for value in reversed(blue_first))
