"""Both engines give Caffe's numbers.

The numbers in tests/golden come from plain pycaffe (tests/golden/make_golden.py). The torch
engine is held against them wherever torch is; both engines, blob by blob, where pycaffe is too.
"""

import pathlib
import zlib

import cv2
import definitions
import numpy as np
import pytest
from opened import open_net

from caffe_gradcam.explaining.methods.gradients import grad_cam
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools import rewrite
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

GOLDEN = pathlib.Path(__file__).parent / "golden"
# name: (text, score, target)
NETS = {
    "caffenet": (definitions.caffenet(), "fc8", "conv5"),
    "googlenet": (definitions.googlenet(), "loss3/classifier", "inception_5b/output"),
    "vgg16": (definitions.vgg(16, form="V1"), "fc8", "conv5_3"),
    "resnet50": (definitions.resnet(50), "fc1000", "res5c"),
    "lenet": (definitions.lenet(), "ip2", "conv2"),
    "densenet": (definitions.densenet(), "fc", "conv3_blk/bn"),
}


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


def relative_error(found, expected):
    """Relative L2 distance."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    scale = np.linalg.norm(expected)
    return np.linalg.norm(found - expected) / scale if scale else np.linalg.norm(found)


def samples(name, array):
    """The values that make_golden.py took of an array of that name."""
    places = np.random.RandomState(zlib.crc32(name.encode())).randint(0, array.size, 64)
    return array.reshape(-1)[places]


def blobs_of(text, score):
    """The blobs that a net cut at its score holds, without its inputs."""
    stripped = rewrite.strip_softmax(Document.parse(text)).document
    net = Net.parse(rewrite.cut(stripped, [score]).document)
    return [blob for blob in net.blobs() if blob != "data"]


def one_hot(scores, classes):
    seed = np.zeros_like(scores)
    for row, label in enumerate(classes):
        seed.reshape(len(seed), -1)[row, label] = 1
    return seed


@pytest.mark.parametrize("name", sorted(NETS))
def test_blobs_gradients_and_cams_equal_plain_pycaffe(kind, name, tmp_path):
    text, score, target = NETS[name]
    golden = np.load(str(GOLDEN / (name + ".npz")))
    prototxt, caffemodel = definitions.write_model(tmp_path, text)
    blobs = blobs_of(text, score)
    assert len(blobs) == sum(key.startswith("data:") for key in golden.files)
    data = definitions.random_input((2,) + Net.parse(text).inputs[0].shape[1:])
    with open_net(kind, text, caffemodel, [score], [target]) as engine:
        values = engine.forward({"data": data}, blobs)
        seed = one_hot(values[score], [3, 5])
        gradient = engine.backward(score, seed, [target])[target]
    for blob in blobs:
        assert relative_error(samples(blob, values[blob]), golden["data:" + blob]) < 1e-5, blob
        norm = np.linalg.norm(values[blob].astype(np.float64))
        assert relative_error(norm, golden["norm:" + blob]) < 1e-5, blob
    assert relative_error(samples("gradient", gradient), golden["gradient"]) < 1e-4
    norm = np.linalg.norm(gradient.astype(np.float64))
    assert relative_error(norm, golden["gradient norm"]) < 1e-4
    assert relative_error(grad_cam(values[target], gradient), golden["cam"]) < 1e-4


@pytest.fixture(params=["squeezenet_v1.1", "lenet_mnist_bvlc", "digits"])
def real_model(request):
    """A net with learned weights."""
    if request.param == "digits":
        return LoadedModel.load(request.getfixturevalue("models") / "digits")
    return LoadedModel.load(request.getfixturevalue("shared") / "models" / request.param)


def test_both_engines_agree_on_every_blob_of_learned_nets(caffe, torch, real_model):
    text, score, target = real_model.prototxt, real_model.score, real_model.layers[0]
    blobs = blobs_of(text, score)
    data = definitions.random_input((2,) + real_model.shapes["data"][1:])
    results = []
    for engine_kind in ("caffe", "torch"):
        with open_net(engine_kind, text, real_model.weights, [score], [target]) as engine:
            values = engine.forward({"data": data}, blobs)
            seed = one_hot(values[score], [1, 2])
            results.append((values, engine.backward(score, seed, [target])[target]))
    (reference, gradient), (values, torch_gradient) = results
    for blob in blobs:
        assert relative_error(values[blob], reference[blob]) < 1e-5, blob
    assert relative_error(torch_gradient, gradient) < 1e-4
    cams = [grad_cam(reference[target], gradient), grad_cam(values[target], torch_gradient)]
    assert relative_error(cams[1], cams[0]) < 1e-4


def test_real_photographs_give_the_scores_and_maps_of_plain_pycaffe(kind, shared):
    folder = shared / "models" / "squeezenet_v1.1"
    golden = np.load(str(GOLDEN / "squeezenet.npz"))
    text, weights = (folder / "deploy.prototxt").read_text(), folder / "squeezenet_v1.1.caffemodel"
    with open_net(kind, text, str(weights), ["pool10"], ["fire9/concat"]) as engine:
        for name in ("cat.jpg", "cat_dog.png", "fish-bike.jpg"):
            image = cv2.imread(str(shared / "images" / name)).astype(np.float32)
            image = cv2.resize(image, (227, 227)) - np.float32([103.53, 116.28, 123.675])
            values = engine.forward({"data": image.transpose(2, 0, 1)[None]},
                                    ["pool10", "fire9/concat"])
            assert relative_error(values["pool10"].ravel(), golden["scores:" + name]) < 1e-4
            for key in [key for key in golden.files if key.startswith("cam:" + name)]:
                seed = one_hot(values["pool10"], [int(key.rsplit(":", 1)[1])])
                gradient = engine.backward("pool10", seed, ["fire9/concat"])["fire9/concat"]
                cam = grad_cam(values["fire9/concat"], gradient)[0]
                assert relative_error(cam, golden[key]) < 1e-3
