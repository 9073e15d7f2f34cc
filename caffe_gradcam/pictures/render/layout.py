"""Where everything of a sheet stands, in pixels: the same for every kind of figure."""

from typing import Any, List, NamedTuple, Tuple

import numpy as np

from caffe_gradcam.pictures.render import text
from caffe_gradcam.pictures.render.colours import colour_map

MARGIN, GAP = 16, 8
FRAME = (200, 200, 200)
_LINE = 18
_NARROWEST = 640
_WIDEST_CAPTION = 200
_BAR, _SHORTEST_BAR = 12, 96


class Picture(NamedTuple):
    """A picture, its upper left corner at x, y, with a thin frame around it."""

    x: int
    y: int
    pixels: Any


class Words(NamedTuple):
    """One line of text: its left end, its base line, and the width it may fill."""

    x: int
    y: int
    text: str
    style: text.Style
    room: int


class Layout(NamedTuple):
    """The size of a figure and what stands on it."""

    size: Tuple[int, int]
    pictures: List[Picture]
    words: List[Words]


def arrange(sheet, width_of):
    """Place a sheet's panels and texts.

    Parameters
    ----------
    sheet : Sheet
    width_of : callable
        How wide a text is in a style: ``width_of(text, style)`` in pixels.

    Returns
    -------
    Layout
    """
    drawn = [[one and one.picture(*sheet.sides) for one in row] for row in sheet.panels]
    heights, widths = _tracks(drawn)
    if sheet.bar:
        heights[0] = max(heights[0], _SHORTEST_BAR)
    below = [_LINE if any(one and one.caption for one in row) else 0 for row in sheet.panels]
    beside = _row_captions_width(sheet.rows, width_of)
    left = MARGIN + (beside + 2 * GAP if beside else 0)
    top = MARGIN + _LINE * _header_lines(sheet.columns)
    xs = left + np.concatenate([[0], np.cumsum(np.add(widths, GAP))])
    ys = top + np.concatenate([[0], np.cumsum(np.add(np.add(heights, below), GAP))])
    pictures, words = [], []
    for row, panels, y in zip(drawn, sheet.panels, ys.tolist()):
        for pixels, panel, x, room in zip(row, panels, xs.tolist(), widths):
            if panel is not None:
                pictures.append(Picture(x, y, pixels))
                base = y + pixels.shape[0] + _LINE - 4
                words.append(Words(x, base, panel.caption, text.NOTE, room))
    words += _column_captions(sheet.columns, xs.tolist(), widths)
    words += _row_captions(sheet.rows, ys.tolist(), heights, beside)
    right, bottom = int(xs[-1]) - GAP, int(ys[-1]) - GAP
    if sheet.bar:
        at = right + 2 * GAP
        pictures.append(_bar(sheet.bar, at, top, heights[0]))
        words += _ticks(sheet.bar, at + _BAR + 5, top, heights[0])
        right = at + _BAR + 28
    width, height = right + MARGIN, bottom + MARGIN
    if sheet.title or sheet.note:
        width, height = max(width, _NARROWEST), bottom + 66
        words.append(Words(MARGIN, bottom + 30, sheet.title, text.TITLE, width - 2 * MARGIN))
        words.append(Words(MARGIN, bottom + 50, sheet.note, text.NOTE, width - 2 * MARGIN))
    return Layout((height, width), pictures, [one for one in words if one.text])


def _tracks(drawn):
    """The height of each row and the width of each column: those of the largest in it."""
    sizes = [[(0, 0) if one is None else one.shape[:2] for one in row] for row in drawn]
    heights = [max(size[0] for size in row) for row in sizes]
    widths = [max(size[1] for size in column) for column in zip(*sizes)]
    return heights, widths


def _lines(caption):
    return [caption] if isinstance(caption, str) else list(caption)


def _header_lines(columns):
    return max([len(_lines(one)) for one in columns if any(_lines(one))] or [0])


def _column_captions(columns, xs, widths):
    """A line per column, and above it the headings over the columns that share one."""
    depth, words = _header_lines(columns), []
    for index, lines in enumerate(map(_lines, columns)):
        y = MARGIN + _LINE * depth - 6
        words.append(Words(xs[index], y, lines[-1], text.CAPTION, widths[index]))
        follows = index > 0 and _lines(columns[index - 1])[:-1] == lines[:-1]
        if len(lines) > 1 and not follows:
            end = index
            while end + 1 < len(columns) and _lines(columns[end + 1])[:-1] == lines[:-1]:
                end += 1
            room = xs[end] + widths[end] - xs[index]
            words.append(Words(xs[index], y - _LINE, lines[0], text.HEADING, room))
    return words


def _row_captions_width(rows, width_of):
    shown = [
        width_of(line, text.NOTE if index else text.CAPTION)
        for caption in rows for index, line in enumerate(_lines(caption))
    ]
    return int(min(np.ceil(max(shown or [0])), _WIDEST_CAPTION))


def _row_captions(rows, ys, heights, room):
    """The lines beside the middle of each row, the first of them darker."""
    words = []
    for caption, y, height in zip(rows, ys, heights):
        lines = _lines(caption)
        start = y + (height - _LINE * len(lines)) // 2 + _LINE - 5
        for index, line in enumerate(lines):
            style = text.NOTE if index else text.CAPTION
            words.append(Words(MARGIN, start + _LINE * index, line, style, room))
    return words


def _bar(name, x, y, height):
    """The colours of a map, the highest heat at the top."""
    rows = np.rint(np.linspace(1, 0, height) * (len(colour_map(name).table) - 1)).astype(int)
    return Picture(x, y, np.repeat(colour_map(name).table[rows][:, np.newaxis], _BAR, axis=1))


def _ticks(name, x, y, height):
    labels = ("1", "0", "-1") if colour_map(name).signed else ("1", "0.5", "0")
    places = (y + 9, y + height // 2 + 4, y + height)
    return [Words(x, at, label, text.TICK, 24) for at, label in zip(places, labels)]
