"""Pictures for batches to explain, and tables of what came of them."""

import cv2
import numpy as np

from caffe_gradcam import batch
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.storage import open_folder


def picture(path, blue=90, green=90, red=90, size=(12, 16)):
    """A picture of one colour whose upper left quarter is brighter."""
    image = np.empty(size + (3,), np.uint8)
    image[:] = (blue, green, red)
    image[:size[0] // 2, :size[1] // 2, :2] += 40
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def pictures(folder, count):
    """So many pictures of different colours, by turns bluer and greener."""
    for index in range(count):
        blue, green = (100 + index % 50, 80) if index % 2 == 0 else (80, 100 + index % 50)
        picture(folder / f"{index:04d}.png", blue, green)
    return folder


def explain(model, source, output, **options):
    """Run a batch with the fake engine, batches of four, parts of six."""
    options = dict({"engine": "torch", "batch": 4, "shard_size": 6, "workers": 1}, **options)
    return batch.run(str(model), str(source), str(output), **options)


def plan_of(output):
    return Plan.open(open_folder(str(output)))


def table(output, columns=None):
    """All rows of an output, in order."""
    plan = plan_of(output)
    return [row for shard in sorted(plan.done()) for row in parts.read(plan, shard, columns)]


def column(output, name):
    return [row[name] for row in table(output, [name])]
