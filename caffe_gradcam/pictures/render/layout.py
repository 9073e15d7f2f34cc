"""Where everything on a sheet stands, in pixels: the same for every kind of figure."""

from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.colormaps import colormap
from caffe_gradcam.pictures.render.sheets import Caption, Sheet
from caffe_gradcam.pictures.render.text import Style

WidthOf = Callable[[str, Style], float]
# The pictures of a sheet's panels.
Drawn = List[List[Optional[np.ndarray]]]

MARGIN, GAP = 16, 8
FRAME = (200, 200, 200)
_LINE = 18
_NARROWEST = 640
_WIDEST_CAPTION = 200
_BAR, _SHORTEST_BAR = 12, 96


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, its upper left corner at x, y, with a thin frame around it."""

    x: int
    y: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Words:
    """One line of text: its left end, its base line, and the width it may fill."""

    x: int
    y: int
    text: str
    style: Style
    room: int


@dataclass(frozen=True, eq=False)
class Layout:
    """The height and width of a figure, and what stands on it."""

    size: Tuple[int, int]
    pictures: List[Picture]
    words: List[Words]


@dataclass(frozen=True)
class _Tracks:
    """The rows and columns of a sheet: where they begin, and how large they are."""

    xs: List[int]
    ys: List[int]
    widths: List[int]
    heights: List[int]
    right: int
    bottom: int


def arrange(sheet: Sheet, width_of: WidthOf) -> Layout:
    """Place a sheet's panels and texts.

    Parameters
    ----------
    sheet : Sheet
    width_of : callable
        The width of a text in a style: ``width_of(text, style)`` in pixels.

    Returns
    -------
    Layout
    """
    drawn: Drawn = [[None if panel is None else panel.picture(*sheet.sides) for panel in row]
                    for row in sheet.panels]
    beside = _row_captions_width(sheet.rows, width_of)
    tracks = _tracks(sheet, drawn, MARGIN + (beside + 2 * GAP if beside else 0))
    pictures, words = _panels(sheet, drawn, tracks)
    words += _column_captions(sheet.columns, tracks)
    words += _row_captions(sheet.rows, tracks, beside)
    right = tracks.right
    if sheet.bar:
        left, top, height = right + 2 * GAP, tracks.ys[0], tracks.heights[0]
        pictures.append(_bar(sheet.bar, left, top, height))
        words += _ticks(sheet.bar, left + _BAR + 5, top, height)
        right = left + _BAR + 28
    width, height = right + MARGIN, tracks.bottom + MARGIN
    if sheet.title or sheet.note:
        width, height = max(width, _NARROWEST), tracks.bottom + 66
        for line, style, base in ((sheet.title, text.TITLE, 30), (sheet.note, text.NOTE, 50)):
            words.append(Words(MARGIN, tracks.bottom + base, line, style, width - 2 * MARGIN))
    return Layout((height, width), pictures, [line for line in words if line.text])


def _tracks(sheet: Sheet, drawn: Drawn, left: int) -> _Tracks:
    """Each row is as high, and each column as wide, as the largest panel in it."""
    sizes = [[(0, 0) if pixels is None else pixels.shape[:2] for pixels in row] for row in drawn]
    heights = [max(size[0] for size in row) for row in sizes]
    widths = [max(size[1] for size in column) for column in zip(*sizes)]
    if sheet.bar:
        heights[0] = max(heights[0], _SHORTEST_BAR)
    below = [_LINE if any(panel is not None and panel.caption for panel in row) else 0
             for row in sheet.panels]
    top = MARGIN + _LINE * _header_lines(sheet.columns)
    xs = left + np.concatenate([[0], np.cumsum(np.add(widths, GAP))])
    ys = top + np.concatenate([[0], np.cumsum(np.add(np.add(heights, below), GAP))])
    return _Tracks(xs[:-1].tolist(), ys[:-1].tolist(), widths, heights, int(xs[-1]) - GAP,
                   int(ys[-1]) - GAP)


def _panels(sheet: Sheet, drawn: Drawn,
            tracks: _Tracks) -> Tuple[List[Picture], List[Words]]:
    pictures, words = [], []
    for row, panels, y in zip(drawn, sheet.panels, tracks.ys):
        for pixels, panel, x, room in zip(row, panels, tracks.xs, tracks.widths):
            if panel is not None and pixels is not None:
                pictures.append(Picture(x, y, pixels))
                base = y + pixels.shape[0] + _LINE - 4
                words.append(Words(x, base, panel.caption, text.NOTE, room))
    return pictures, words


def _lines(caption: Caption) -> List[str]:
    return [caption] if isinstance(caption, str) else list(caption)


def _header_lines(columns: Sequence[Caption]) -> int:
    return max([len(lines) for lines in map(_lines, columns) if any(lines)] or [0])


def _column_captions(columns: Sequence[Caption], tracks: _Tracks) -> List[Words]:
    """A line per column, and above it the headings over the columns that share one."""
    depth, words = _header_lines(columns), []
    y = MARGIN + _LINE * depth - 6
    for index, lines in enumerate(map(_lines, columns)):
        words.append(
            Words(tracks.xs[index], y, lines[-1], text.CAPTION, tracks.widths[index]))
        follows = index > 0 and _lines(columns[index - 1])[:-1] == lines[:-1]
        if len(lines) > 1 and not follows:
            end = index
            while end + 1 < len(columns) and _lines(columns[end + 1])[:-1] == lines[:-1]:
                end += 1
            room = tracks.xs[end] + tracks.widths[end] - tracks.xs[index]
            words.append(Words(tracks.xs[index], y - _LINE, lines[0], text.HEADING, room))
    return words


def _row_captions_width(rows: Sequence[Caption], width_of: WidthOf) -> int:
    widths = [
        width_of(line, text.NOTE if index else text.CAPTION)
        for caption in rows for index, line in enumerate(_lines(caption))
    ]
    return int(min(np.ceil(max(widths or [0])), _WIDEST_CAPTION))


def _row_captions(rows: Sequence[Caption], tracks: _Tracks, room: int) -> List[Words]:
    """The lines beside the middle of each row, the first of them darker."""
    words = []
    for caption, y, height in zip(rows, tracks.ys, tracks.heights):
        lines = _lines(caption)
        start = y + (height - _LINE * len(lines)) // 2 + _LINE - 5
        for index, line in enumerate(lines):
            style = text.NOTE if index else text.CAPTION
            words.append(Words(MARGIN, start + _LINE * index, line, style, room))
    return words


def _bar(name: str, x: int, y: int, height: int) -> Picture:
    """The colours of a map, the highest heat at the top."""
    table = colormap(name).table
    rows = np.rint(np.linspace(1, 0, height) * (len(table) - 1)).astype(int)
    return Picture(x, y, np.repeat(table[rows][:, np.newaxis], _BAR, axis=1))


def _ticks(name: str, x: int, y: int, height: int) -> List[Words]:
    labels = ("1", "0", "-1") if colormap(name).signed else ("1", "0.5", "0")
    base_lines = (y + 9, y + height // 2 + 4, y + height)
    return [Words(x, base, label, text.TICK, 24) for base, label in zip(base_lines, labels)]
