"""Dry runs of every protocol on ten made-up pictures: caffe-gradcam evaluate --protocol."""

import dataclasses
import json
import os

import cv2
import definitions
import numpy as np
import protocol_sets
import pytest
from explaining import open_explainer
from test_protocol_rules import plain_localisation

from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.asking.questions import Top
from caffe_gradcam.commands import cli
from caffe_gradcam.measuring.protocols import voc
from caffe_gradcam.measuring.protocols.subjects import Box
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import weights

NET = """
name: "small"
layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: 1 dim: 3 dim: 32 dim: 32 }} }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param {{ num_output: 6 kernel_size: 5 stride: 4 }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "pool" type: "Pooling" bottom: "conv1" top: "pool"
        pooling_param {{ pool: AVE {pooling} }} }}
layer {{ name: "score" {score} bottom: "pool" top: "score" }}
layer {{ name: "prob" type: "Softmax" bottom: "score" top: "prob" }}
"""


DENSE = 'type: "InnerProduct" inner_product_param {{ num_output: {} }}'
WINDOWS = 'type: "Convolution" convolution_param {{ num_output: {} kernel_size: 1 }}'


def write_net(folder, classes, score=DENSE, pooling="global_pooling: true"):
    text = NET.format(score=score.format(classes), pooling=pooling)
    folder.mkdir()
    (folder / "deploy.prototxt").write_text(text)
    weights.save(str(folder / "net.caffemodel"), definitions.random_weights(text))


@pytest.fixture
def place(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="the nets of these runs are ONNX Runtime's")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


def evaluate(protocol, *arguments):
    return cli.main(["evaluate", "net", "--protocol", protocol, "--data", "data", "-o", "out",
                     "--engine", "onnx", "-q"] + list(arguments))


def test_voc_in_two_workers_and_again(place, capsys):
    protocol_sets.make_voc(place / "data")
    write_net(place / "net", 20, WINDOWS, "kernel_size: 7 stride: 7")  # with a map of scores
    arguments = ["--method", "grad-cam,layer-cam", "--part-size", "11", "--published", "VGG-16"]
    assert evaluate("torchray-voc07", "--worker", "1/2", *arguments) == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert "1 of 2 parts are finished; the table is made when all of them are" in first.err
    assert "warped" not in first.err
    assert evaluate("torchray-voc07", "--worker", "2/2", *arguments) == 0
    table = capsys.readouterr().out.strip().split("\n")
    assert table[0].startswith("torchray-voc07: accuracy of the pointing game in percent, the mean "
                               "over classes, 10 images")
    assert table[2].split() == ["method", "layer", "all", "published", "difference", "difficult",
                                "published", "difference"]
    assert table[3].split()[:2] == ["grad-cam", "conv1"] and " 86.6 " in table[3]
    assert table[4].split()[:2] == ["layer-cam", "conv1"] and table[4].split()[-1] == "-"
    assert "extremal perturbation, the best" in table[6] and " 88 " in table[6]
    before = {name: os.stat(os.path.join("out", "parts", name)).st_mtime_ns
              for name in os.listdir("out/parts")}
    assert evaluate("torchray-voc07", "--json", *arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"]["model"]["overrides"] == {"resize": 224, "crop": "none"}
    assert report["images"] == 10 and report["failed"] == []
    cell = report["rows"][0]["cells"]["all"]
    assert cell["count"] == 20  # 21 pairs of an image and a class, one of which is skipped
    assert cell["difference"] == pytest.approx(cell["mean"] - 86.6)
    assert cell["low"] <= cell["mean"] <= cell["high"]
    assert before == {name: os.stat(os.path.join("out", "parts", name)).st_mtime_ns
                      for name in os.listdir("out/parts")}


def heats_of(explainer, path, question):
    """The classes and heatmaps of a picture, as a batch keeps them: of maps in half precision."""
    outcome, = explainer.explain([cv2.imread(str(path))], [question])
    return [(explanation.class_index, dataclasses.replace(
        explanation, cam=explanation.cam.astype(np.float16).astype(np.float32)).heatmap)
        for explanation in outcome.unwrap().explanations]


def plain_hit(heat, boxes):
    """Whether the hottest pixel is less than 15 pixels from a pixel of a box, counted from 1."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return any((x - 1 - column) ** 2 + (y - 1 - row) ** 2 < 15 ** 2
               for left, top, right, bottom in boxes
               for x in range(left, right + 1) for y in range(top, bottom + 1))


def test_voc_gives_the_accuracy_of_a_plain_implementation(place, capsys):
    base = protocol_sets.make_voc(place / "data")
    write_net(place / "net", 20, WINDOWS, "kernel_size: 7 stride: 7")
    assert evaluate("torchray-voc07", "--json") == 0
    cell = json.loads(capsys.readouterr().out)["rows"][0]["cells"]["all"]
    hits = {}
    model = LoadedModel.load("net", resize=224, crop="none")
    with open_explainer(model, "onnx", placement="stretch") as explainer:
        for index in range(protocol_sets.COUNT):
            objects = {}
            for name, *edges, difficult in protocol_sets.voc_objects(index):
                objects.setdefault(voc.CLASSES.index(name), []).append((edges, difficult))
            for class_index, marked in objects.items():
                if all(difficult for _, difficult in marked):
                    continue
                (_, heat), = heats_of(explainer, base / "JPEGImages" / f"{index + 1:06d}.jpg",
                                      parse(f"{class_index} at its peak", int))
                hits.setdefault(class_index, []).append(plain_hit(heat, [
                    edges for edges, _ in marked]))
    expected = 100 * np.mean([np.mean(of_class) for of_class in hits.values()])
    assert cell["mean"] == pytest.approx(expected)
    assert 0 < expected < 100


def test_ilsvrc_gives_the_errors_of_a_plain_implementation(place, capsys):
    base = protocol_sets.make_ilsvrc(place / "data")
    write_net(place / "net", 20)
    assert evaluate("gradcam-ilsvrc", "--json") == 0
    cells = json.loads(capsys.readouterr().out)["rows"][0]["cells"]
    wrong = {"top-1": [], "top-5": []}
    model = LoadedModel.load("net", resize=(32, 32), crop="none")
    with open_explainer(model, "onnx", placement="stretch") as explainer:
        for index in range(protocol_sets.COUNT):
            truths = [Box(*edges) for _, *edges, _ in protocol_sets.ilsvrc_objects(index)]
            guesses = heats_of(
                explainer, base / f"Data/CLS-LOC/val/ILSVRC2012_val_{index + 1:08d}.JPEG", Top(5))
            right = [class_index == index and plain_localisation(heat, truths)
                     for class_index, heat in guesses]
            wrong["top-1"].append(not right[0])
            wrong["top-5"].append(not any(right))
    assert {name: cells[name]["mean"] for name in wrong} == {
        name: pytest.approx(100 * np.mean(errors)) for name, errors in wrong.items()}


def test_coco_with_the_list_of_difficult_images(place, capsys):
    pytest.importorskip("pycocotools")
    protocol_sets.make_coco(place / "data")
    write_net(place / "net", 80, pooling="kernel_size: 3 stride: 2")
    flags = ["COCO_val2014_{:012d}\t{}".format(index, "\t".join("10" * 40))
             for index in range(1, 11)]
    (place / "difficult.txt").write_text("\n".join(flags) + "\n")
    assert evaluate("torchray-coco14", "--difficult", "difficult.txt", "--json") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    cells = report["rows"][0]["cells"]
    assert (cells["all"]["count"], cells["difficult"]["count"]) == (80, 40)
    assert (report["net"], cells["all"]["published"], cells["all"]["difference"]) == (
        None, None, None)
    assert "takes images of one size only, so they are warped to 32x32" in captured.err
    assert json.loads((place / "out" / "protocol.json").read_text()) == report


def test_ilsvrc_with_an_image_that_cannot_be_read(place, capsys):
    base = protocol_sets.make_ilsvrc(place / "data")
    write_net(place / "net", 20)
    (base / "Data/CLS-LOC/val/ILSVRC2012_val_00000004.JPEG").write_bytes(b"\xff\xd8 no picture")
    assert evaluate("gradcam-ilsvrc", "--published", "GoogLeNet") == 1
    captured = capsys.readouterr()
    assert captured.err.count("ILSVRC2012_val_00000004.JPEG") == 1
    table = captured.out.strip().split("\n")
    assert table[0].startswith("gradcam-ilsvrc: localisation error in percent, 9 images")
    assert table[2].split()[2:] == ["top-1", "published", "difference", "top-5", "published",
                                    "difference"]
    assert " 60.09 " in table[3] and " 49.34 " in table[3]
    assert "a replication" in table[5] and "56.89" in table[5]


def test_cam_on_ilsvrc_in_ten_crops(place, capsys):
    protocol_sets.make_ilsvrc(place / "data")
    write_net(place / "net", 20)
    assert evaluate("cam-ilsvrc", "--published", "GoogLeNet-GAP", "--method", "cam", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["recipe"]["model"]["overrides"] == {
        "resize": [256, 256], "crop": [32, 32], "crops": 10}
    cells = report["rows"][0]["cells"]
    assert (cells["top-1"]["published"], cells["top-5"]["published"]) == (56.40, 43.00)
    assert cells["top-1"]["count"] == 10


@pytest.mark.parametrize("arguments, message", [
    (["--protocol", "torchray-voc08"], "did you mean torchray-voc07"),
    (["--protocol", "torchray-voc07"], "--protocol needs --data DIR"),
    (["--protocol", "torchray-voc07", "--data", "data"], "--protocol needs -o OUT"),
    (["--protocol", "torchray-voc07", "--data", "data", "-o", "out"], "ImageSets/Main/test.txt"),
    (["--protocol", "torchray-voc07", "--data", "no", "-o", "out"], "no: there is no such folder"),
    (["x.jpg", "--protocol", "torchray-voc07", "--data", "data", "-o", "out"], "leave out x.jpg"),
    (["--protocol", "torchray-voc07", "--data", "data", "-o", "out", "--class", "1"],
     "leave out --class"),
    (["--protocol", "torchray-voc07", "--data", "data", "-o", "out", "--metrics", "deletion"],
     "--metrics cannot be used with --protocol"),
    (["--protocol", "gradcam-ilsvrc", "--data", "data", "-o", "out", "--difficult", "x"],
     "knows no difficult images"),
    (["--protocol", "gradcam-ilsvrc", "--data", "data", "-o", "out", "--published", "VGG-19"],
     "did you mean VGG-16"),
    (["x.jpg", "--data", "data"], "--data needs --protocol"),
])
def test_unusable_arguments_are_explained_in_one_line(tmp_path, monkeypatch, capsys, arguments,
                                                      message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_net(tmp_path / "net", 20)
    assert cli.main(["evaluate", "net", "-q"] + arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("missing, message", [
    ("JPEGImages/000001.jpg", "000001.jpg: no such file; the images belong beside"),
    ("Annotations/000002.xml", "000002.xml: no such file")])
def test_data_that_is_incomplete_is_named_before_a_net_runs(tmp_path, monkeypatch, capsys, missing,
                                                            message):
    monkeypatch.chdir(tmp_path)
    (protocol_sets.make_voc(tmp_path / "data") / missing).unlink()
    write_net(tmp_path / "net", 20)
    assert evaluate("torchray-voc07") == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_net_of_other_classes_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    protocol_sets.make_voc(tmp_path / "data")
    write_net(tmp_path / "net", 10)
    assert evaluate("torchray-voc07") == 2
    assert "for a net with 20 classes, and this net has 10" in capsys.readouterr().err
