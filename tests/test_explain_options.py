"""What explain is asked, how it answers, and what it draws, on a real model."""

import csv
import json
import os
import shutil

import cv2
import numpy as np
import pytest

from caffe_gradcam.commands import cli
from prototxt_tools import weights

pytest.importorskip("torch")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIGITS = os.path.join(ROOT, "models", "digits")
SCENE = os.path.join(DIGITS, "scenes", "3-5.png")


@pytest.fixture
def report(tmp_path, capsys):
    """Runs explain with --json in a fresh folder; gives the report of the only image."""
    def run(*arguments, **where):
        model, images = where.get("model", DIGITS), where.get("images", [SCENE])
        folder = str(tmp_path / "out")
        shutil.rmtree(folder, ignore_errors=True)
        code = cli.main(["explain", model] + images + ["-o", folder, "--engine", "torch", "--json"]
                        + list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        if code:
            return captured.err
        printed, = json.loads(captured.out)["images"]
        assert all(os.path.isfile(entry["figure"]) for entry in printed["explanations"])
        return printed

    return run


def questions(printed):
    return [entry["question"] for entry in printed["explanations"]]


def test_classes_may_be_asked_about_together(report):
    printed = report("--class", "three+5", "--class", "weighted:2")
    assert questions(printed) == ["3 three + 5 five", "top 2 weighted"]
    assert [entry["class"] for entry in printed["explanations"]] == [None, None]


def test_one_class_may_be_set_against_another(report):
    versus, = report("--versus", "three", "five")["explanations"]
    three, five = report("--class", "3", "--class", "5")["explanations"]
    assert versus["question"] == "3 three versus 5 five"
    assert versus["score"] == pytest.approx(three["score"] - five["score"], abs=1e-4)
    assert versus["negative_mass"] > 0.1 * versus["positive_mass"]


def test_the_counterfactual_turns_the_map_over(report):
    plain, = report("--class", "3")["explanations"]
    against, = report("--class", "3", "--counterfactual")["explanations"]
    assert against["question"] == "against 3 three"
    assert against["positive_mass"] == pytest.approx(plain["negative_mass"], rel=1e-4)
    assert against["score"] == pytest.approx(-plain["score"])


def test_a_probability_may_be_asked_for(report):
    entry, = report("--class", "3", "--probability")["explanations"]
    assert entry["question"] == "probability of 3 three"
    assert entry["score"] == pytest.approx(entry["probability"], rel=1e-5)


def test_an_embedding_is_compared_with_that_of_another_image(report):
    same, = report("--like", SCENE, "--cosine")["explanations"]
    other, = report("--like", os.path.join(DIGITS, "scenes", "9-0.png"), "--cosine")["explanations"]
    assert same["score"] == pytest.approx(1, abs=1e-5) and other["score"] < 0.9
    assert same["question"] == "cosine with the reference"


def test_methods_and_layers_are_combined(report):
    printed = report("--class", "3", "--method", "layer-cam,saliency", "--layer", "conv2",
                     "--layer", "conv3")
    assert [(entry["method"], entry["layer"]) for entry in printed["explanations"]] == [
        ("layer-cam", "conv2"), ("layer-cam", "conv3"), ("saliency", "data")]
    names = [os.path.basename(entry["figure"]) for entry in printed["explanations"]]
    assert names[0] == "3-5.class-3-three.conv2.layer-cam.png" and len(set(names)) == 3


def test_layers_are_fused_into_one_map(report):
    entry, = report("--class", "3", "--layer", "conv1", "--layer", "conv3", "--fuse", "product")[
        "explanations"]
    assert entry["layer"] == "conv1+conv3" and entry["cam_shape"] == [48, 48]


def test_only_positive_gradients_may_count(report):
    plain, = report("--class", "3")["explanations"]
    positive, = report("--class", "3", "--gradient", "positive")["explanations"]
    assert plain["negative_mass"] > 0 and positive["negative_mass"] == 0


def test_a_part_is_asked_about_alone_and_shown_beside_the_whole(report):
    printed = report("--crop", "0,0,60,90")
    assert printed["crop"] == [0, 0, 60, 90]
    entry, = printed["explanations"]
    assert cv2.imread(entry["figure"]).shape[1] > 320 + 200
    whole = report()["explanations"][0]
    assert entry["cam_shape"] == whole["cam_shape"] and entry["score"] != whole["score"]


def test_ten_crops_are_merged(report):
    entry, = report("--resize", "120", "--crop-size", "96x96", "--crops", "10")["explanations"]
    # A cell is 4 pixels of 120.
    assert entry["cam_shape"] == [30, 30]


def test_boxes_are_drawn_and_listed(report):
    printed = report("--class", "3", "--class", "5", "--heat-boxes")
    folder = os.path.dirname(printed["explanations"][0]["figure"])
    with open(os.path.join(folder, "boxes.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["question"] for row in rows if row["score"] == "1.0"] == ["3 three", "5 five"]
    assert len(rows) == sum(len(entry["boxes"]) for entry in printed["explanations"])


@pytest.mark.parametrize("extension", ["jpg", "webp"])
def test_the_format_may_be_chosen(report, extension):
    entry, = report("--format", extension, "--figure", "overlay")["explanations"]
    assert entry["figure"].endswith("." + extension)
    assert cv2.imread(entry["figure"]).shape == cv2.imread(SCENE).shape


def test_a_grid_is_one_figure_for_all_maps(report):
    printed = report("--class", "top:2", "--method", "grad-cam,random", "--figure", "grid")
    assert len({entry["figure"] for entry in printed["explanations"]}) == 1
    assert len(printed["explanations"]) == 4


def test_signed_maps_show_what_speaks_against_in_blue(report):
    entry, = report("--versus", "3", "5", "--colormap", "blue-white-red", "--style", "bare",
                  "--figure", "overlay")["explanations"]
    blue, _, red = cv2.split(cv2.imread(entry["figure"]).astype(int))
    assert (blue - red).max() > 80 and (red - blue).max() > 80


@pytest.mark.parametrize("arguments, message", [
    (["--method", "gradcam"], "there is no method 'gradcam'; did you mean grad-cam"),
    (["--placement", "center"], "there is no placement 'center'; did you mean centres?"),
    (["--fuse", "sum"], "there is no fusion 'sum'; known: mean, max, product"),
    (["--figure", "pair"], "there is no figure 'pair'"),
    (["--format", "gif"], "there is no format 'gif'"),
    (["--style", "fancy"], "there is no style 'fancy'"),
    (["--colormap", "jett"], "there is no colormap 'jett'; did you mean jet?"),
    (["--class", "3+3"], "'3+3' names a class twice"),
    (["--class", "1 versus 2 versus 3"], "more than two sides"),
    (["--crop", "227x227"], "--crop needs X,Y,WIDTH,HEIGHT in whole pixels"),
    (["--crop", "90,90,60,60"], "the crop 90,90,60,60 reaches beyond the image of 96x96"),
    (["--at", "5"], "--at needs X,Y or X,Y,WIDTH,HEIGHT"),
    (["--at", "5,5"], "cannot be asked about a region; cut the region out of the image instead"),
    (["--class", "3+5", "--probability"], "only one class has a probability, not several together"),
    (["--crops", "5"], "crops must be 1 or 10"),
    (["--layer", "conv1", "--layer", "score"], "blob score (10x1x1) has no spatial extent"),
])
def test_what_makes_no_sense_is_one_sentence(report, arguments, message):
    said = report(*arguments)
    assert message in said and said.count("\n") == 1


def test_cam_is_refused_where_the_head_is_another(report, tmp_path):
    model = write_net(tmp_path / "net", TWO_LINEAR, ["data"])
    said = report("--method", "cam", model=model)
    assert "cam needs scores made by average pooling and at most one linear layer" in said


TWO_LINEAR = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 3 kernel_size: 4 stride: 4 } }
layer { name: "fc1" type: "InnerProduct" bottom: "conv" top: "fc1"
        inner_product_param { num_output: 5 } }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
        inner_product_param { num_output: 2 } }
"""
DENSE = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 4 stride: 4 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "classes" type: "Convolution" bottom: "conv" top: "classes"
        convolution_param { num_output: 3 kernel_size: 1 } }
layer { name: "prob" type: "Softmax" bottom: "classes" top: "prob" }
"""
PAIR = """
layer { name: "conv_l" type: "Convolution" bottom: "left" top: "conv_l"
        param { name: "w" } param { name: "b" }
        convolution_param { num_output: 3 kernel_size: 4 stride: 4 } }
layer { name: "conv_r" type: "Convolution" bottom: "right" top: "conv_r"
        param { name: "w" } param { name: "b" }
        convolution_param { num_output: 3 kernel_size: 4 stride: 4 } }
layer { name: "both" type: "Concat" bottom: "conv_l" bottom: "conv_r" top: "both" }
layer { name: "pool" type: "Pooling" bottom: "both" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 2 } }
"""
INPUT = """layer {{ name: "{0}" type: "Input" top: "{0}"
        input_param {{ shape {{ dim: 1 dim: 3 dim: 32 dim: 32 }} }} }}
"""


def write_net(folder, layers, inputs):
    """A net with random weights, in a folder."""
    from prototxt_tools import shapes
    from prototxt_tools.net.net import Net
    from prototxt_tools.text.document import Document

    folder.mkdir()
    text = "".join(INPUT.format(name) for name in inputs) + layers
    (folder / "deploy.prototxt").write_text(text)
    net, random = Net.parse(Document.parse(text)), np.random.RandomState(0)
    wanted = shapes.parameters(net, shapes.infer(net))
    weights.save(str(folder / "net.caffemodel"), {
        name: [random.randn(*shape).astype(np.float32) for shape in own]
        for name, own in wanted.items()})
    return str(folder)


def test_a_net_with_a_map_of_scores_is_asked_about_one_place(report, tmp_path):
    model = write_net(tmp_path / "dense", DENSE, ["data"])
    entry, = report("--at", "10,80,3,3", "--class", "1", "--npz", model=model)["explanations"]
    assert entry["question"] == "1 at 10,80,3,3"
    with np.load(entry["npz"]) as arrays:
        cam = arrays["cam"]
    # The scores at a place depend on that place alone: hires-cam would be zero elsewhere; the
    # mean gradient is what that place gives, spread over 64 cells.
    assert cam.shape == (8, 8)
    hires, = report("--at", "10,80,3,3", "--class", "1", "--npz", "--method", "hirescam",
                    model=model)["explanations"]
    with np.load(hires["npz"]) as arrays:
        assert np.argwhere(arrays["cam"]).tolist() == [[6, 0]]


def test_a_mask_chooses_places_too(report, tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    mask[:48, 48:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    model = write_net(tmp_path / "dense", DENSE, ["data"])
    entry, = report("--mask", str(tmp_path / "mask.png"), "--class", "2", "--npz", "--method",
                  "hirescam", model=model)["explanations"]
    with np.load(entry["npz"]) as arrays:
        assert not arrays["cam"][4:].any() and not arrays["cam"][:, :4].any()
        assert arrays["cam"][:4, 4:].any()


def test_a_net_with_two_inputs_has_a_map_for_each(report, tmp_path):
    model = write_net(tmp_path / "pair", PAIR, ["left", "right"])
    other = os.path.join(DIGITS, "scenes", "9-0.png")
    printed = report(model=model, images=["left=" + SCENE, "right=" + other])
    assert [entry["layer"] for entry in printed["explanations"]] == ["conv_l", "conv_r"]
    assert printed["path"] == f"{SCENE} {other}"
    said = report(model=model, images=["left=" + SCENE])
    assert ("the net has several inputs and needs an image for each: left=IMAGE right=IMAGE; there "
            "are 1 for left, 0 for right") in said


def test_a_public_model_may_be_named_and_is_not_fetched_offline(report, tmp_path, monkeypatch):
    monkeypatch.setenv("CAFFE_GRADCAM_HOME", str(tmp_path / "home"))
    said = report("--offline", model="bvlc_googlenet")
    assert "nothing is fetched offline; put them into " + str(tmp_path / "home") in said
    assert not list((tmp_path / "home").rglob("*.caffemodel"))


def test_our_own_model_may_be_named_too(report):
    assert report(model="digits")["explanations"][0]["class"] in (3, 5)
