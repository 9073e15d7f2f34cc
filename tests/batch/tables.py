"""Images for batches to explain, and tables of what came of them."""

import dataclasses
import os

import cv2
import numpy as np

from caffe_gradcam import batch
from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.batch import Drawing, Options, Parts, Pipeline, Reporting
from caffe_gradcam.batch.output import parts
from caffe_gradcam.batch.output.plan import Plan
from caffe_gradcam.batch.storage import open_folder
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.explaining.settings import Explaining

# One net, with all cores.
_PIPELINE = Pipeline(batch=4, decoders=1, threads=len(os.sched_getaffinity(0)))
_PARTS = Parts(size=6)


def picture(path, blue=90, green=90, red=90, size=(12, 16)):
    """An image of one colour whose upper left quarter is brighter."""
    image = np.empty(size + (3,), np.uint8)
    image[:] = (blue, green, red)
    image[:size[0] // 2, :size[1] // 2, :2] += 40
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def pictures(folder, count):
    """So many images of different colours, by turns bluer and greener."""
    for index in range(count):
        blue, green = (100 + index % 50, 80) if index % 2 == 0 else (80, 100 + index % 50)
        picture(folder / f"{index:04d}.png", blue, green)
    return folder


def recipe(model, classes=(), methods=("grad-cam",), engine="torch", **running):
    """A recipe for the fake engine, which stands in for any."""
    return Recipe(ModelChoice(str(model)), Asking(tuple(classes)), Explaining(tuple(methods)),
                  Running(engine=engine, **running))


def explain(model, source, output, classes=(), methods=("grad-cam",), **fields):
    """Run a batch with the fake engine, batches of four, parts of six.

    The other keywords are the engine that it stands in for, and fields of Parts (``part_size`` is
    its ``size``), Pipeline, Drawing and Reporting.
    """
    engine = fields.pop("engine", "torch")
    if "part_size" in fields:
        fields["size"] = fields.pop("part_size")
    options = Options(*(_with(value, fields) for value in (
        _PARTS, _PIPELINE, Drawing(), Reporting())))
    assert not fields, fields
    return batch.run(
        recipe(model, classes, methods, engine), str(source), str(output), options)


def _with(value, fields):
    names = [field.name for field in dataclasses.fields(value)]
    return dataclasses.replace(
        value, **{name: fields.pop(name) for name in names if name in fields})


def plan_of(output):
    return Plan.open(open_folder(str(output)))


def table(output, columns=None):
    """All rows of an output, in order."""
    plan = plan_of(output)
    return [row for number in sorted(plan.done()) for row in parts.read(plan, number, columns)]


def column(output, name):
    return [row[name] for row in table(output, [name])]
