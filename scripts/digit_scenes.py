"""Scenes of handwritten digits on cluttered paper, the same to the last bit everywhere.

Training, the shipped samples and the tests draw from this one module. Its arithmetic is elementwise
float64 in operations that IEEE 754 rounds exactly, and its random numbers come from
``numpy.random.RandomState``, whose streams are frozen: a seed gives the same scenes with every
NumPy, with or without Caffe. The digits are scikit-learn's ``load_digits``.
"""
from typing import Any, NamedTuple

import numpy as np

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

SIDE = 96  # of the paper, in pixels
PEN = 44  # side of the square a digit is written in; its ink is about 24 high
CLUTTER = 12  # pieces on full paper
TRIES = 100  # places tried before a piece is left out


class Scene(NamedTuple):
    """A picture and what is in it.

    ``image`` is a uint8 array of SIDE x SIDE, dark ink on light paper; ``digits`` is a list of
    ``(label, (x, y, width, height))``: the class and the tight box of the digit's ink, in pixels.
    """

    image: Any
    digits: list


def load_digits():
    """Read the handwritten digits and part them.

    Returns
    -------
    training, held_out : tuple of (ndarray, ndarray)
        For each part the images (N x 8 x 8 int64, 0 is paper and 16 is ink) and labels (N int64).
        Every fifth digit is held out.
    """
    from sklearn import datasets

    data = datasets.load_digits()
    images, labels = data.images.astype(np.int64), data.target.astype(np.int64)
    held_out = np.arange(len(labels)) % 5 == 4
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def training_scenes(digits, rng, side=SIDE):
    """Yield scenes with one digit each, for ever.

    Parameters
    ----------
    digits : (ndarray, ndarray)
        One part of `load_digits`.
    rng : numpy.random.RandomState
    side : int
        Of the paper, in pixels; smaller paper has less clutter.

    Yields
    ------
    Scene
    """
    images, labels = digits
    while True:
        index = rng.randint(len(labels))
        yield draw(rng, images, [(labels[index], images[index])], side)


def evaluation_scenes(count=200, seed=1):
    """Draw scenes with two held-out digits of different classes, whose boxes do not overlap.

    Parameters
    ----------
    count : int
    seed : int

    Returns
    -------
    list of Scene
    """
    rng = np.random.RandomState(seed)
    images, labels = load_digits()[1]
    scenes = []
    for _ in range(count):
        first = rng.randint(len(labels))
        others = np.flatnonzero(labels != labels[first])
        second = others[rng.randint(len(others))]
        scenes.append(draw(rng, images, [(labels[i], images[i]) for i in (first, second)], SIDE))
    return scenes


def draw(rng, images, digits, side=SIDE):
    """Paste `digits`, pairs of label and 8 x 8 image, on paper with clutter.

    `images` supplies the fragments of digits among the clutter. Nothing covers a digit.
    """
    draft = compose(rng, images, digits, side)
    return Scene(render(draft), [(piece.label, piece.box) for piece in draft.pieces])


class Piece(NamedTuple):
    """A digit on the paper: its class, its box and its ink, 0 to 1, in the box."""

    label: int
    box: tuple
    ink: Any


class Draft(NamedTuple):
    """What a scene is made of.

    ``pieces`` are the digits; ``clutter`` is all other ink, 0 to 1, ``paper`` how bright the paper
    is and ``grain`` what is added to it, all of SIDE x SIDE; ``darkness`` is that of the ink.
    """

    pieces: list
    clutter: Any
    paper: Any
    darkness: float
    grain: Any


def compose(rng, images, digits, side=SIDE, place=None):
    """Draft a scene as `draw` does, with a `place` of one's own for digits.

    Parameters
    ----------
    place : callable, optional
        ``place(rng, shape, side, taken)`` gives the box of ink of a shape, beside boxes `taken`.
    """
    clutter = np.zeros((side, side))
    pieces = []
    for label, digit in digits:
        patch = _write(rng, digit)
        box = (place or free_place)(rng, patch.shape, side, [piece.box for piece in pieces])
        pieces.append(Piece(int(label), box, patch))
    boxes = [piece.box for piece in pieces]
    for _ in range(CLUTTER * side * side // SIDE // SIDE):
        make = (_stroke, _stroke, _blob, _fragment)[rng.randint(4)]
        patch = make(rng, images)
        box = free_place(rng, patch.shape, side, boxes)
        if box is not None:
            paste(clutter, box, patch)

    way = np.arange(side) / (side - 1.0)
    nw, ne, sw, se = 150 + 90 * rng.random_sample(4)
    left, right = nw + (sw - nw) * way, ne + (se - ne) * way
    paper = left[:, None] * (1 - way) + right[:, None] * way
    darkness = 0.55 + 0.35 * rng.random_sample()
    grain = np.frombuffer(rng.bytes(side * side), np.uint8).reshape(side, side) / 10.0 - 12.75
    return Draft(pieces, clutter, paper, darkness, grain)


def render(draft):
    """The picture of a draft: side x side uint8."""
    ink = draft.clutter.copy()
    for piece in draft.pieces:
        paste(ink, piece.box, piece.ink)
    image = draft.paper * (1 - draft.darkness * ink) + draft.grain
    return np.clip(image, 0, 255).astype(np.uint8)


def paste(ink, box, patch):
    """Add the patch to the ink in a box."""
    x, y, width, height = box
    place = ink[y : y + height, x : x + width]
    np.maximum(place, patch, out=place)


def free_place(rng, shape, side, taken):
    """The box of a patch at a random place clear of the boxes `taken`.

    None where no such place was found; a digit always finds one.
    """
    height, width = shape
    x, y = rng.randint(side - width + 1, size=TRIES), rng.randint(side - height + 1, size=TRIES)
    clear = np.ones(TRIES, bool)
    for left, top, across, down in taken:
        beside = (x + width <= left) | (x >= left + across)
        clear &= beside | (y + height <= top) | (y >= top + down)
    if not clear.any():
        return None
    return int(x[clear.argmax()]), int(y[clear.argmax()]), width, height


def _write(rng, digit):
    """The ink, 0 to 1, of a digit, stretched and slanted at random, without the paper around it."""
    y, x = np.mgrid[:PEN, :PEN] / (PEN - 1.0) - 0.5
    high, wide = (13, 10.5) + 4 * rng.random_sample(2)
    lean, climb = 4 * rng.random_sample(2) - 2
    digit = np.pad(digit, 4, "constant")
    ink = sample(digit, 7.5 + high * y + climb * x, 7.5 + wide * x + lean * y)
    ink = np.clip(ink / 6.0 - 0.6 - 0.4 * rng.random_sample(), 0, 1)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fragment(rng, images):
    """A quarter of a digit, turned, too little of it to be read."""
    ink = _write(rng, images[rng.randint(len(images))])
    height, width = ink.shape[0] // 2, ink.shape[1] // 2
    y, x = rng.randint(2) * height, rng.randint(2) * width
    return np.rot90(ink[y : y + height, x : x + width], rng.randint(1, 4))


def _stroke(rng, _):
    """A straight line of the width of a pen."""
    height, width = rng.randint(3, 40), rng.randint(3, 40)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    if rng.randint(2):
        x = width - 1 - x
    across, along = width - 1.0, height - 1.0
    distance = np.abs(along * x - across * y) / np.sqrt(along * along + across * across)
    return np.clip(1.5 + rng.random_sample() - distance, 0, 1)


def _blob(rng, _):
    """An ellipse with a soft edge."""
    height, width = rng.randint(4, 14), rng.randint(4, 14)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = (2 * y + 1) / height - 1, (2 * x + 1) / width - 1
    return np.clip(2 * (1 - x * x - y * y), 0, 1)


def sample(grid, y, x):
    """Bilinear values of the grid at the places `y`, `x`; beyond its edge the edge goes on."""
    y, x = np.clip(y, 0, grid.shape[0] - 1), np.clip(x, 0, grid.shape[1] - 1)
    top = np.minimum(y.astype(np.int64), grid.shape[0] - 2)
    left = np.minimum(x.astype(np.int64), grid.shape[1] - 2)
    y, x = y - top, x - left
    upper = grid[top, left] * (1 - x) + grid[top, left + 1] * x
    lower = grid[top + 1, left] * (1 - x) + grid[top + 1, left + 1] * x
    return upper * (1 - y) + lower * y
