"""Maps of classes that one graph makes, against those of a forward and a backward pass."""

import definitions
import numpy as np
import pytest
from opened import open_net

from caffe_gradcam.engines.class_maps import MapRequest
from caffe_gradcam.explaining.methods import METHODS
from prototxt_tools.net.net import Net

pytest.importorskip("onnx", reason="onnx is not installed here")

# A score that is an inner product, the same with its matrix the other way round, a convolution,
# and a mean; a ReLU below a global mean.
NETS = {
    "square": (lambda: definitions.SQUARE, "fc3", ("conv", "grouped", "same")),
    "lenet": (definitions.lenet, "ip2", ("conv2", "conv1")),
    "transposed": (lambda: _transposed(definitions.lenet()), "ip2", ("conv2",)),
    "densenet": (definitions.densenet, "fc", ("conv3_blk/bn", "concat_1_1")),
    "resnet": (lambda: definitions.resnet(18, 40), "fc40", ("res5b",)),
    "squeezenet": (lambda: definitions.squeezenet(40), "pool10", ("fire9/concat",)),
}
BATCH = 8
# In larger nets some ReLU's input is 0 but for rounding, and decides whether a gradient passes.
NEAR = {"densenet": 2e-2, "resnet": 2e-2, "squeezenet": 2e-2}


def _transposed(text):
    before, after = text.rsplit("inner_product_param {", 1)
    return before + "inner_product_param { transpose: true" + after


@pytest.fixture
def opened(graph_kind, tmp_path):
    """A function that opens an engine for a net and its layers."""
    engines = []

    def open_it(text, score, layers, **options):
        weights = definitions.write_model(tmp_path, text)[1]
        engines.append(open_net(graph_kind, text, weights, [score], layers, **options))
        return engines[-1]
    yield open_it
    for engine in engines:
        engine.close()


def images_of(text, count=BATCH):
    return {"data": definitions.random_input((count,) + Net.parse(text).inputs[0].shape[1:])}


def expected_map(engine, blobs, request, key, classes):
    """The map of a method, from what the engine's own passes give."""
    rank, method, layer = key
    seed = np.zeros_like(blobs[request.score])
    seed.reshape(len(seed), -1)[np.arange(len(seed)), classes[:, rank]] = 1
    gradient = engine.backward(request.score, seed, [layer])[layer]
    if request.only_positive:
        gradient = np.maximum(gradient, 0)
    return METHODS[method].function(activations=blobs[layer], gradients=gradient)


@pytest.mark.parametrize("asked", [
    {"methods": ("grad-cam",), "best": 1},
    {"methods": ("grad-cam", "layer-cam"), "classes": (4, 1)},
    {"methods": ("hirescam", "element-wise", "grad-cam++"), "best": 2},
    {"methods": ("grad-cam", "hirescam"), "best": 1, "only_positive": True}],
    ids=lambda asked: "-".join(asked["methods"]))
@pytest.mark.parametrize("name", sorted(NETS))
def test_maps_are_those_of_a_forward_and_a_backward_pass(name, asked, opened):
    text, (score, layers) = NETS[name][0](), NETS[name][1:]
    engine, data = opened(text, score, layers), images_of(text)
    request = MapRequest(score, layers, **asked)
    maps = engine.begin_maps(data, request).result()
    blobs = engine.forward(data, [score, *layers])
    np.testing.assert_allclose(maps.scores, blobs[score], rtol=1e-5, atol=1e-6)
    scores = blobs[score].reshape(BATCH, -1)
    best = np.argsort(-scores, axis=1)[:, :request.best].tolist()
    assert maps.classes.tolist() == (best if request.best else [list(request.classes)] * BATCH)
    assert list(maps.cams) == request.keys(maps.classes.shape[1])
    for key, cam in maps.cams.items():
        expected = expected_map(engine, blobs, request, key, maps.classes)
        assert np.linalg.norm(cam - expected) <= NEAR.get(name, 2e-5) * np.linalg.norm(expected)


def test_other_classes_and_other_batches_go_through_the_same_graph(opened):
    text = definitions.lenet()
    engine = opened(text, "ip2", ["conv2"])
    for classes, count in (((3, 7), 2), ((1, 0), 5), ((3, 7), 1)):
        maps = engine.begin_maps(images_of(text, count), MapRequest(
            "ip2", ("conv2",), ("grad-cam",), classes=classes)).result()
        assert maps.classes.tolist() == [list(classes)] * count
        assert all(len(cam) == count for cam in maps.cams.values())
    assert len(engine._maps) == 1


def test_of_equal_scores_the_first_classes_are_the_best(opened):
    text = definitions.lenet() + (
        'layer { name: "equal" type: "Power" bottom: "ip2" top: "equal" '
        'power_param { scale: 0 } }\n')
    maps = opened(text, "equal", ["conv2"]).begin_maps(images_of(text), MapRequest(
        "equal", ("conv2",), ("grad-cam",), best=4)).result()
    assert maps.scores.any() == 0
    assert maps.classes.tolist() == [[0, 1, 2, 3]] * BATCH


def test_more_best_classes_than_there_are_come_to_all_of_them(opened):
    text = definitions.lenet()
    maps = opened(text, "ip2", ["conv2"]).begin_maps(images_of(text), MapRequest(
        "ip2", ("conv2",), ("grad-cam",), best=25)).result()
    assert [sorted(row) for row in maps.classes.tolist()] == [list(range(10))] * BATCH


@pytest.mark.parametrize("request_fields", [
    {"methods": ("xgrad-cam",), "best": 1}, {"methods": ("score-cam",), "best": 1},
    {"methods": ("grad-cam",), "classes": (10,)}, {"methods": ("grad-cam",)}])
def test_other_methods_and_no_such_classes_are_left_to_the_passes(request_fields, opened):
    text = definitions.lenet()
    engine = opened(text, "ip2", ["conv2"])
    assert engine.begin_maps(images_of(text), MapRequest(
        "ip2", ("conv2",), **request_fields)) is None


@pytest.mark.parametrize("score, layer, gradient", [
    ("conv2", "conv1", "post"), ("ip2", "ip1", "post"), ("ip2", "conv2", "pre-relu")])
def test_scores_with_places_layers_without_and_other_gradients_are_left_to_the_passes(
        score, layer, gradient, opened):
    text = definitions.lenet()
    engine = opened(text, score, [layer], gradient=gradient)
    assert engine.begin_maps(images_of(text), MapRequest(
        score, (layer,), ("grad-cam",), best=1)) is None
