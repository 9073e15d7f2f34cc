"""Outputs of a batch, made without a net."""

import hashlib
import io
import json

import cv2
import numpy as np

from caffe_gradcam.batch.output import checksums
from caffe_gradcam.batch.output.plan import Content, Plan
from caffe_gradcam.batch.output.rows import COLUMNS, pack
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.explaining.explanation import Explanation
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.model.geometry import Geometry

SIZE = (60, 80)
NAMES = ("cat", "dog", "owl")
DEPENDS = {"model": "Pets", "prototxt_sha256": "a" * 64, "inputs": {"data": {"mean": [104.0]}}}


def image(index, folder, size=SIZE):
    """Write a picture and return its path."""
    pixels = np.random.RandomState(index).randint(90, 160, size + (3,)).astype(np.uint8)
    path = folder / f"{index:04d}.png"
    assert cv2.imwrite(str(path), pixels)
    return path


def explanation(class_index, corner=(0, 0), probability=0.9, method="grad-cam", names=NAMES,
                cells=(6, 8)):
    """An explanation whose heat lies in one cell and its neighbours."""
    cam = np.zeros(cells, np.float32)
    cam[corner[0]:corner[0] + 2, corner[1]:corner[1] + 2] = 2
    cam[-1, -1] = -1
    name = names[class_index]
    return Explanation(f"{class_index} {name}", class_index, name, 4.5, probability, method,
                       "conv5", cam, Geometry(SIZE, (0, 0, SIZE[1], SIZE[0])), None, "data")


def rows_of(item, status="ok", true_label=None, predicted=0, explanations=None, **fields):
    """The rows of an item; its map lies in the upper left corner."""
    row = dict.fromkeys(COLUMNS)
    row.update({"item": item.number, "id": item.id, "path": item.path, "status": status,
                "true_label": true_label, "predicted": predicted, **fields})
    if status in ("unreadable", "failed"):
        return [dict(row, predicted=None)]
    with open(item.path, "rb") as file:
        row.setdefault("sha256", None)
        row["sha256"] = row["sha256"] or hashlib.sha256(file.read()).hexdigest()
    return [dict(row, **_of_explanation(shown))
            for shown in explanations or [explanation(predicted)]]


def _of_explanation(shown):
    cam, scale = pack(shown.cam)
    return {
        "status": shown.status, "question": shown.question, "class": shown.class_index,
        "class_name": shown.class_name, "score": shown.score, "probability": shown.probability,
        "method": shown.method, "layer": shown.layer, "cam": cam,
        "cam_shape": list(shown.cam.shape), "cam_scale": scale,
        "positive_mass": shown.positive_mass, "negative_mass": shown.negative_mass,
        "input": shown.input, "image_size": list(shown.geometry.image_size),
        "rectangle": list(map(float, shown.geometry.rectangle))}


def write(folder, items, rows, part_size=1000, class_names=NAMES, finished=None):
    """Write an output; only so many of its parts, if that is given.

    ``rows`` holds a list of rows for each item.
    """
    output = open_folder(str(folder))
    content = Content("pictures", Recipe(ModelChoice("model")).to_dict(), DEPENDS,
                      part_size=part_size,
                      model={"class_names": class_names and list(class_names),
                             "origins": {"mean": "readme.md"}})
    plan = Plan.make(output, items, content, "npz")
    for part in range(plan.parts if finished is None else finished):
        selected = rows[part * part_size:(part + 1) * part_size]
        write_part(output, part, [row for of_item in selected for row in of_item])
    plan.add_run({"started": "2026-01-02T03:04:05Z", "command": ["caffe-gradcam", "batch"],
                  "versions": {"numpy": "2.0"}, "devices": ["cpu"], "seconds": 1.5}, None)
    return folder


def write_part(output, part, rows):
    """Write a part in the form that needs no pyarrow."""
    maps = [np.frombuffer(row["cam"] or b"", "<f2") for row in rows]
    stream = io.BytesIO()
    np.savez_compressed(stream, cam=np.concatenate(maps),
                        ends=np.cumsum([cam.size for cam in maps]).astype(np.int64))
    lines = (json.dumps({name: value for name, value in row.items() if name != "cam"})
             for row in rows)
    checksums.write(output, f"parts/part-{part:06d}.npz", stream.getvalue())
    checksums.write(output, f"parts/part-{part:06d}.jsonl",
                    "".join(line + "\n" for line in lines).encode("ascii"))


def items(folder, count, **fields):
    """So many items with pictures in a folder."""
    folder.mkdir(exist_ok=True)
    return [Item(number, f"{number:04d}.png", str(image(number, folder)), **fields)
            for number in range(count)]


def pets(folder, **options):
    """Four images: two right, one wrong, one unreadable."""
    several = items(folder / "pictures", 4)
    (folder / "pictures" / "0003.png").write_text("nonsense")
    rows = [
        rows_of(several[0], "ok", 0, 0,
                [explanation(0, (0, 0), 0.9), explanation(1, (2, 2), 0.05)]),
        rows_of(several[1], "ok", 0, 0,
                [explanation(0, (0, 0), 0.8), explanation(1, (2, 2), 0.1)]),
        rows_of(several[2], "ok", 2, 1,
                [explanation(1, (4, 6), 0.6), explanation(2, (2, 2), 0.3)]),
        rows_of(several[3], "unreadable", 1, error="not an image"),
    ]
    return write(folder / "out", several, rows, **options)
