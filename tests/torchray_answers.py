"""A program: TorchRay's pointing game on made-up data sets, as JSON.

Reads a list of ``{"kind", "data", "points", "flags"}`` from standard input, where points are
``[image, class, x, y]``. TorchRay itself is imported; of torchvision, which it needs, only the
names of the classes that it derives from.
"""

import contextlib
import io
import json
import sys
import types
from pathlib import Path
from xml.etree import ElementTree


def stand_in_for_torchvision():
    def module(name, **names):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(names)
        return sys.modules[name]

    class Base:
        pass

    classes = {name: type(name, (Base,), {})
               for name in ("ImageFolder", "VOCDetection", "CocoDetection")}
    module("torchvision", __version__="0.20.0", datasets=module("torchvision.datasets", **classes),
           models=module("torchvision.models"), transforms=module("torchvision.transforms"))
    # What the pointing game does not use.
    module("matplotlib", pyplot=module("matplotlib.pyplot"))
    return classes


def as_dictionary(element):
    """What torchvision makes of VOC's XML: repeated elements become lists."""
    children = list(element)
    if not children:
        return (element.text or "").strip()
    values = {}
    for child in children:
        values.setdefault(child.tag, []).append(as_dictionary(child))
    return {tag: many[0] if len(many) == 1 else many for tag, many in values.items()}


def voc_labels(data):
    folder = Path(data) / "VOCdevkit" / "VOC2007" / "Annotations"
    return {path.stem: {"annotation": as_dictionary(ElementTree.parse(str(path)).getroot())}
            for path in folder.glob("*.xml")}


def coco_labels(coco):
    return {coco.loadImgs(number)[0]["file_name"].rsplit(".", 1)[0]:
            coco.loadAnns(coco.getAnnIds(number)) for number in coco.getImgIds()}


def play(question, classes):
    """What the game answers for every point, and comes to."""
    import torch
    from torchray.benchmark import datasets, pointing_game

    if question["kind"] == "voc":
        data, labels = classes["VOCDetection"](), voc_labels(question["data"])
    else:
        from pycocotools.coco import COCO

        data = classes["CocoDetection"]()
        with contextlib.redirect_stdout(io.StringIO()):
            data.coco = COCO(str(Path(question["data"]) / "annotations/instances_val2014.json"))
        labels = coco_labels(data.coco)
        # The made-up set has other ids of its categories than COCO.
        datasets._COCO_CLASS_TO_INDEX.clear()
        datasets._COCO_CLASS_TO_INDEX.update(
            (number, index) for index, number in enumerate(sorted(data.coco.getCatIds())))
    games = {"all": pointing_game.PointingGameBenchmark(data),
             "difficult": pointing_game.PointingGameBenchmark(data)}
    games["difficult"].difficult, games["difficult"].difficult_flags = True, question["flags"]
    answers = {name: [] for name in games}
    for image, class_index, x, y in question["points"]:
        for name, game in games.items():
            hit = game.evaluate(labels[image], class_index, torch.tensor([x, y]))
            game.aggregate(hit, class_index)
            answers[name].append(hit)
    return {name: {"hits": answers[name], "accuracy": float(game.accuracy)}
            for name, game in games.items()}


if __name__ == "__main__":
    questions = json.load(sys.stdin)
    stand_ins = stand_in_for_torchvision()
    print(json.dumps([play(question, stand_ins) for question in questions]))
