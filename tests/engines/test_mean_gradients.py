"""Mean gradients in closed form, against the mean of what ``backward`` gives."""

import cv2
import definitions
import numpy as np
import pytest
from nets import BATCH, BRANCHES
from opened import open_net

from caffe_gradcam.asking.questions import Top
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.passes import Pass
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.net.net import Net

# Max pooling whose windows leave the blob, dropout, two inner products; two layers that are read
# in two ways; a score that is not the last blob.
HEADS = """
name: "heads"
input: "data" input_shape { dim: 1 dim: 3 dim: 14 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "fc1" type: "InnerProduct" bottom: "pool" top: "fc1"
        inner_product_param { num_output: 40 } }
layer { name: "relu_fc1" type: "ReLU" bottom: "fc1" top: "fc1" }
layer { name: "beside" type: "Convolution" bottom: "conv" top: "beside"
        convolution_param { num_output: 5 kernel_size: 2 stride: 3 } }
layer { name: "flat" type: "Flatten" bottom: "beside" top: "flat" }
layer { name: "join" type: "Concat" bottom: "fc1" bottom: "flat" top: "join" }
layer { name: "score" type: "InnerProduct" bottom: "join" top: "score"
        inner_product_param { num_output: 24 } }
layer { name: "double" type: "Power" bottom: "score" top: "double" power_param { scale: 2 } }
"""
NETS = {
    "densenet": (definitions.densenet, "fc", "conv3_blk/bn"),
    "googlenet": (lambda: definitions.googlenet(40), "loss3/classifier", "inception_5b/output"),
    "heads": (lambda: HEADS, "score", "conv"),
    "lenet": (definitions.lenet, "ip2", "conv2"),
    "resnet50": (lambda: definitions.resnet(50, 40), "fc40", "res5c"),
    "squeezenet": (lambda: definitions.squeezenet(40), "pool10", "fire9/concat"),
}


@pytest.fixture(params=["caffe", "torch", "onnx"])
def any_kind(request):
    """Each engine, where its library is."""
    if request.param == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed here")
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")
    else:
        request.getfixturevalue(request.param)
    return request.param


def agree(actual, expected):
    return np.linalg.norm(actual - expected) <= 1e-6 * np.linalg.norm(expected)


def seeds(shape):
    """One class of each image, and a number for every score."""
    one_hot = np.zeros(shape, np.float32)
    for row in range(shape[0]):
        one_hot[row, 1 + row % 2] = 1
    return one_hot, np.random.RandomState(4).randn(*shape).astype(np.float32)


def check(engine, score, targets, images):
    """Hold the means against the gradients; which targets have a closed form."""
    scores = engine.forward({"data": images}, [score])[score]
    for seed in seeds(scores.shape):
        means = engine.mean_gradients(score, seed, targets)
        gradients = engine.backward(score, seed, targets)
        for target, mean in means.items():
            expected = gradients[target].mean(axis=(2, 3), dtype=np.float64)
            assert mean.shape == expected.shape + (1, 1) and mean.dtype == np.float32
            assert agree(mean[:, :, 0, 0], expected), target
    return set(means)


@pytest.mark.parametrize("name", sorted(NETS))
def test_means_are_those_of_the_gradients(name, any_kind, write_weights):
    make, score, target = NETS[name]
    text = make()
    size = Net.parse(text).at("TEST").inputs[0].shape[1:]
    with open_net(any_kind, text, write_weights(text), [score], [target]) as engine:
        for rows in (2, 1) if np.prod(size) < 9999 else (1,):
            assert check(engine, score, [target], definitions.random_input((rows,) + size)) == {
                target}


def test_a_target_with_other_layers_behind_it_has_no_closed_form(any_kind, write_weights):
    targets = ["conv1", "left", "norm1", "join"]
    with open_net(any_kind, BRANCHES, write_weights(BRANCHES), ["score", "side"],
                  targets) as engine:
        assert check(engine, "score", targets, BATCH) == {"join"}
        assert check(engine, "side", targets, BATCH) == {"join"}


def test_values_before_in_place_layers_have_no_closed_form(any_kind, write_weights):
    with open_net(any_kind, HEADS, write_weights(HEADS), ["score"], ["conv"],
                  gradient="pre-relu") as engine:
        assert check(engine, "score", ["conv"], BATCH) == set()


def test_one_score_may_lie_behind_another(any_kind, write_weights):
    with open_net(any_kind, HEADS, write_weights(HEADS), ["double", "score"], ["conv"]) as engine:
        assert check(engine, "double", ["conv"], BATCH) == {"conv"}
        assert check(engine, "score", ["conv"], BATCH) == {"conv"}


def test_other_weights_give_other_means(kind, write_weights):
    with open_net(kind, HEADS, write_weights(HEADS), ["score"], ["conv"]) as engine:
        check(engine, "score", ["conv"], BATCH)
        learned = definitions.random_weights(HEADS, seed=7)
        engine.replace_weights({"fc1": learned["fc1"], "beside": learned["beside"]})
        assert check(engine, "score", ["conv"], BATCH) == {"conv"}


def explained(models, kind, monkeypatch, **explaining):
    """Maps of the two best classes of a scene, and whether a whole backward pass was needed."""
    calls = []
    image = cv2.imread(str(models / "digits" / "scenes" / "3-5.png"))
    with Explainer.open(LoadedModel.load(str(models / "digits")), Explaining(**explaining),
                        Running(engine=kind)) as explainer:
        backward = explainer.engine.backward
        monkeypatch.setattr(explainer.engine, "backward", lambda *arguments, **rule: (
            calls.append(arguments), backward(*arguments, **rule))[1])
        result = explainer.explain([image], [Top(2)])[0].unwrap()
    return [explanation.cam for explanation in result.explanations], bool(calls)


def test_grad_cam_of_digits_needs_no_whole_backward_pass(any_kind, models, monkeypatch):
    cams, needed = explained(models, any_kind, monkeypatch)
    assert not needed
    monkeypatch.setattr(Pass, "mean_gradients", lambda self, seeds, target: None)
    expected, needed = explained(models, any_kind, monkeypatch)
    assert needed and len(cams) == len(expected) == 2
    for cam, other in zip(cams, expected):
        assert agree(cam, other)


def test_negative_gradients_left_out_take_the_whole_pass(any_kind, models, monkeypatch):
    assert explained(models, any_kind, monkeypatch, gradient="positive")[1]


def test_other_methods_beside_grad_cam_do_not_change_it(any_kind, models, monkeypatch):
    alone, _ = explained(models, any_kind, monkeypatch)
    for methods in (("grad-cam", "layer-cam"), ("layer-cam", "grad-cam")):
        cams, needed = explained(models, any_kind, monkeypatch, methods=methods)
        of_grad_cam = cams[:1] + cams[2:3] if methods[0] == "grad-cam" else cams[1::2]
        assert needed and all((cam == other).all() for cam, other in zip(of_grad_cam, alone))
