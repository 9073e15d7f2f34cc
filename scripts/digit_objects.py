"""Scenes of digits with everything that is true of them: pixels, parts, and what removal changes.

A scene is drawn again without each digit, and without each quarter of a digit's box, on the same
paper among the same clutter. So one can ask a net what each of them does to its answer.
"""

import json
from typing import Any, NamedTuple

import digit_scenes
import numpy as np

# Beside each other; with a slip of paper over a part of each; one across the other.
KINDS = ("apart", "occluded", "overlapping")
INK = 0.5  # from here on a pixel belongs to a digit
LEAST = 6  # pixels of a part
HIDDEN = (0.25, 0.45)  # of a digit's height or width


class Part(NamedTuple):
    """Pixels of a scene (SIDE x SIDE bool), and the scene without the ink there (uint8)."""

    mask: Any
    without: Any


class Object(NamedTuple):
    """A digit: its label, its box, all of it and its parts."""

    label: int
    box: tuple
    whole: Part
    parts: list


class TrueScene(NamedTuple):
    """A picture (SIDE x SIDE uint8) with its kind, one of KINDS, and its objects."""

    image: Any
    kind: str
    objects: list


def true_scenes(count, seed=2, kinds=KINDS):
    """Draw scenes with two held-out digits of different classes, the kinds in turn.

    Parameters
    ----------
    count : int
    seed : int
    kinds : sequence of str
        Of KINDS.

    Yields
    ------
    TrueScene
    """
    rng = np.random.RandomState(seed)
    images, labels = digit_scenes.load_digits()[1]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        first = rng.randint(len(labels))
        others = np.flatnonzero(labels != labels[first])
        second = others[rng.randint(len(others))]
        draft = digit_scenes.compose(
            rng, images, [(labels[i], images[i]) for i in (first, second)],
            place=across_place if kind == "overlapping" else None)
        if kind == "occluded":
            draft = draft._replace(pieces=[_partly_hidden(rng, piece) for piece in draft.pieces])
        yield TrueScene(digit_scenes.render(draft), kind, [
            _object(draft, index) for index in range(len(draft.pieces))])


def across_place(rng, shape, side, taken):
    """The box of a patch: across the one before, by a quarter to a half of its width."""
    if not taken:
        return digit_scenes.free_place(rng, shape, side, taken)
    (height, width), (left, top, across, down) = shape, taken[-1]
    shared = int((0.25 + 0.25 * rng.random_sample()) * min(width, across))
    to_right = left + across - shared
    x = to_right if to_right + width <= side else max(left + shared - width, 0)
    y = min(max(top + rng.randint(-down // 4, down // 4 + 1), 0), side - height)
    return int(x), int(y), width, height


def write(scenes, folder):
    """Write scenes, and all that is true of them, into a folder (pathlib.Path).

    The scenes go to the folder ``scenes``; ``objects.json`` and ``boxes.json`` are as
    ``caffe-gradcam evaluate`` reads them.

    Returns
    -------
    dict
        The name of each picture -> its kind.
    """
    import cv2

    (folder / "scenes").mkdir(parents=True)
    objects, boxes, kinds = {}, {}, {}
    for index, scene in enumerate(scenes):
        name = f"{index:04d}.png"
        cv2.imwrite(str(folder / "scenes" / name), scene.image)
        kinds[name] = scene.kind
        boxes[name] = [{"class": item.label, "box": item.box} for item in scene.objects]
        objects[name] = []
        for number, item in enumerate(scene.objects):
            prefix = f"{index:04d}-{number}"
            entry = _write_part(item.whole, folder, prefix)
            entry["class"] = item.label
            entry["parts"] = [_write_part(part, folder, f"{prefix}-{position}")
                              for position, part in enumerate(item.parts)]
            objects[name].append(entry)
    (folder / "objects.json").write_text(json.dumps(objects))
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return kinds


def _write_part(part, folder, prefix):
    import cv2

    names = {"mask": prefix + "-mask.png", "without": prefix + "-without.png"}
    cv2.imwrite(str(folder / names["mask"]), part.mask.astype(np.uint8) * 255)
    cv2.imwrite(str(folder / names["without"]), part.without)
    return names


def _partly_hidden(rng, piece):
    """A digit with a slip of paper over one end of it."""
    ink = piece.ink.copy()
    share = HIDDEN[0] + (HIDDEN[1] - HIDDEN[0]) * rng.random_sample()
    upright = ink if rng.randint(2) else ink.T
    upright = upright if rng.randint(2) else upright[::-1]
    upright[: int(share * len(upright))] = 0
    return piece._replace(ink=ink)


def _object(draft, index):
    piece = draft.pieces[index]
    height, width = piece.ink.shape
    parts = []
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            inside = np.zeros(piece.ink.shape, bool)
            inside[rows, columns] = True
            if (piece.ink[inside] > INK).sum() >= LEAST:
                parts.append(_part(draft, index, inside))
    whole = _part(draft, index, np.ones(piece.ink.shape, bool))
    return Object(piece.label, piece.box, whole, parts)


def _part(draft, index, inside):
    """The part of a digit where `inside`, of the shape of its ink, is True."""
    piece = draft.pieces[index]
    x, y, width, height = piece.box
    mask = np.zeros(draft.clutter.shape, bool)
    mask[y : y + height, x : x + width] = inside & (piece.ink > INK)
    pieces = list(draft.pieces)
    pieces[index] = piece._replace(ink=np.where(inside, 0, piece.ink))
    return Part(mask, digit_scenes.render(draft._replace(pieces=pieces)))
