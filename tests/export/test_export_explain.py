"""Graphs that explain their scores, against maps of real Caffe and against the engine."""

from pathlib import Path

import cv2
import definitions
import numpy as np
import pytest
from export_nets import TORCH

from caffe_gradcam.engines.closed_forms import terms
from caffe_gradcam.engines.onnx.registry import Unsupported
from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export.explaining.graph import METHODS, ExplainOptions
from caffe_gradcam.export.exporting import ExportOptions, export, write
from caffe_gradcam.export.proof import run_graph
from caffe_gradcam.export.source import NetSource
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Net

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RANDOM_NETS = {"lenet": definitions.lenet, "densenet": definitions.densenet,
               "googlenet": definitions.googlenet, "resnet50": definitions.resnet}


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture
def random_source(tmp_path):
    def make(text):
        definitions.write_model(tmp_path, text)
        return NetSource.load(ModelChoice(str(tmp_path)))
    return make


@pytest.fixture
def digits(models):
    return NetSource.load(ModelChoice(str(models / "digits")))


def graph_of(source, **explain):
    options = ExportOptions(explain=ExplainOptions(**explain))
    return write(source, options, TORCH).model().SerializeToString()


@pytest.mark.parametrize("name", sorted(RANDOM_NETS))
def test_maps_of_random_nets_are_those_of_real_caffe(name, random_source):
    """The golden maps are of the classes 3 and 5, of two random images."""
    golden = np.load(str(GOLDEN / (name + ".npz")))
    source = random_source(RANDOM_NETS[name]())
    graph = graph_of(source)
    data = definitions.random_input((2,) + source.input_shapes["data"][1:])
    for row, label in enumerate((3, 5)):
        outputs = run_graph(graph, {"data": data, "chosen_class": np.array([label])})
        assert outputs["class"].tolist() == [[label]] * 2
        assert relative_error(outputs["cam"][row], golden["cam"][row]) < 1e-4


def test_maps_of_digits_are_those_of_real_caffe(digits, models):
    golden = np.load(str(GOLDEN / "digits.npz"))
    graph = graph_of(digits)
    for key in (key for key in golden.files if key.startswith("cam:")):
        _, scene, label = key.split(":")
        image = cv2.imread(str(models / "digits" / "scenes" / (scene + ".png")))
        outputs = run_graph(graph, dict(prepare(image, digits.model.inputs).blobs,
                                        chosen_class=np.array([int(label)])))
        assert relative_error(outputs["score"].reshape(-1), golden["scores:" + scene]) < 1e-4
        assert relative_error(outputs["cam"][0], golden[key]) < 1e-4


def test_maps_of_squeezenet_are_those_of_real_caffe(shared):
    golden = np.load(str(GOLDEN / "squeezenet.npz"))
    graph = graph_of(NetSource.load(ModelChoice(str(shared / "models" / "squeezenet_v1.1"))))
    for key in (key for key in golden.files if key.startswith("cam:")):
        _, name, label = key.split(":")
        image = cv2.imread(str(shared / "images" / name)).astype(np.float32)
        blob = cv2.resize(image, (227, 227)) - np.float32([103.53, 116.28, 123.675])
        outputs = run_graph(graph, {"data": blob.transpose(2, 0, 1)[np.newaxis].copy(),
                                    "chosen_class": np.array([int(label)])})
        assert relative_error(outputs["cam"][0], golden[key]) < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_maps_of_the_engine(method, random_source):
    source = random_source(definitions.densenet())
    options = ExportOptions(explain=ExplainOptions(method, top=2, heatmap=True))
    certificate = export(source, options, TORCH).certificate
    assert certificate.failures == []
    assert [entry.name for entry in certificate.outputs] == [
        "score", "class", "probability", "cam", "heatmap"]


def test_the_best_class_is_explained_if_none_is_chosen(digits):
    graph = graph_of(digits)
    data = np.random.RandomState(0).rand(3, 1, 96, 96).astype(np.float32)
    outputs = run_graph(graph, {"data": data})
    assert (outputs["class"][:, 0] == outputs["score"].argmax(axis=1)).all()
    assert outputs["cam"].shape == (3, 24, 24)


def test_several_layers_have_maps_of_their_names(digits):
    graph = graph_of(digits, layers=("branches/concat", "conv1"))
    outputs = run_graph(graph, {"data": np.zeros((1, 1, 96, 96), np.float32)})
    assert {"cam_branches/concat", "cam_conv1"} <= set(outputs)


def test_a_mean_gradient_in_closed_form_needs_no_unpooling(random_source):
    """CaffeNet's kind of head: max pooling and two InnerProducts."""
    text = definitions.lenet()
    net = Net.parse(text).at("TEST")
    weights = definitions.random_weights(text)
    parts = terms(net.layers, shapes.infer(net), "conv2", "ip2")
    assert [(part.top, part.matrix(weights.get).shape) for part in parts] == [("ip1", (500, 50))]
    operators = {node.op_type for node in write(
        random_source(text), ExportOptions(explain=ExplainOptions()), TORCH).model().graph.node}
    assert "ScatterElements" not in operators


def test_a_gradient_that_is_not_known_is_refused_by_name(random_source):
    text = definitions.pooled_linear().replace(
        'name: "pool"\n', 'name: "pool"\n')
    text = text.replace('bottom: "conv" top: "pool"', 'bottom: "mvn" top: "pool"') + (
        'layer { name: "mvn" type: "MVN" bottom: "conv" top: "mvn" }\n')
    lines = text.rstrip().rsplit("layer {", 1)
    before, after = lines[0].split('layer {\n  name: "pool"', 1)
    text = before + "layer {" + lines[1] + '\nlayer {\n  name: "pool"' + after
    with pytest.raises(Unsupported, match=r"layer mvn \(MVN\) stands between the score and"):
        graph_of(random_source(text), layers=("conv",))


def test_a_net_without_scores_for_each_class_is_refused(random_source):
    text = definitions.pooled_linear()
    source = random_source(text.split('layer {\n  name: "pool"')[0])
    with pytest.raises(InputError, match="no scores to explain|is not one score for each class"):
        graph_of(source)


@pytest.mark.parametrize("name", ["digits"])
def test_pictures_of_any_size_go_in(name, models):
    source = NetSource.load(ModelChoice(str(models / name)))
    options = ExportOptions(explain=ExplainOptions(heatmap=True), with_preprocessing=True)
    exported = export(source, options, TORCH)
    assert exported.certificate.failures == []
    image = cv2.imread(str(models / name / "scenes" / "3-5.png"))
    larger = cv2.resize(image, (230, 170))
    outputs = run_graph(exported.model, {"image": np.ascontiguousarray(larger[:, :, ::-1])})
    assert outputs["cam"].shape == (1, 24, 24)
    assert outputs["heatmap"].shape == (1, 96, 96)
    assert outputs["heatmap"].max() == 1


@pytest.mark.parametrize("given", [
    {"resize": "80"}, {"resize": "80", "crop": "64x64"}, {"resize": "letterbox"},
    {"resize": "70x90", "crop": "64x64", "scale": "0.5"}, {"channel_order": "RGB"},
    {"resize": "70x90", "crop": "64x64", "mean": np.arange(3 * 70 * 90.).reshape(3, 70, 90) % 99},
])
def test_every_preparation_is_that_of_pictures_elsewhere(given, tmp_path):
    text = definitions.pooled_linear(size=64).replace("dim: 2 dim: 64", "dim: 3 dim: 64")
    if given == {"resize": "80"}:
        text = text.replace("dim: 64 dim: 64", "dim: 80 dim: 106")
    definitions.write_model(tmp_path, text)
    overrides = dict({"mean": "104,117,123", "scale": "0.01"}, **given)
    source = NetSource.load(ModelChoice(str(tmp_path), None, overrides))
    image = np.random.RandomState(0).randint(0, 256, (150, 199, 3)).astype(np.uint8)
    options = ExportOptions(with_preprocessing=True)
    exported = export(source, options, TORCH, [({"made": "pixels"}, image)])
    assert exported.certificate.failures == []
