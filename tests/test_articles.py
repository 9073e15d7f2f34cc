"""The pipelines that people read about: CaffeNet, GoogLeNet's last concat, LeNet on grey images,
VGG-19, DenseNet and ResNet-18, from a deploy.prototxt to a figure."""

import json

import cv2
import definitions
import numpy as np
import pytest

from caffe_gradcam.commands.cli import main as caffe_gradcam
from prototxt_tools.commands.cli import main as prototxt_tools
from prototxt_tools.net.net import Net

# name: (text, target blob, its map's shape)
PIPELINES = {
    "caffenet": (definitions.caffenet(30), "conv5", [13, 13]),
    "googlenet": (definitions.googlenet(30), "inception_5b/output", [7, 7]),
    "lenet-grey": (definitions.lenet(), "conv2", [8, 8]),
    "vgg19": (definitions.vgg(19, 30), "conv5_4", [14, 14]),
    "densenet": (definitions.densenet(), "conv3_blk/bn", [8, 8]),
    "resnet18": (definitions.resnet(18, 30), "res5b", [7, 7]),
}


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture
def photograph(tmp_path):
    """A blurred random picture, 90 x 120."""
    noise = np.random.RandomState(0).randint(0, 256, (90, 120, 3)).astype(np.uint8)
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 5))
    return path


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_convert_and_explain(kind, name, tmp_path, photograph, capsys):
    text, target, shape = PIPELINES[name]
    prototxt, weights = definitions.write_model(tmp_path, text)

    converted = str(tmp_path / "gradcam.prototxt")
    assert prototxt_tools(["convert", prototxt, "-o", converted]) == 0
    net = Net.load(converted)
    assert net.document.root.first("force_backward").value.text == "true"
    assert "Softmax" not in [layer.type for layer in net.layers]
    capsys.readouterr()

    # The user's own file and the converted one lead to the same map.
    maps = []
    for path in (prototxt, converted):
        out = tmp_path / ("out-" + str(len(maps)))
        code = caffe_gradcam(["explain", path, str(photograph), "--weights", weights,
                              "--engine", kind, "--class", "3", "-o", str(out), "--npz", "--json"])
        assert code == 0
        report = json.loads(capsys.readouterr().out)
        explanation = report["images"][0]["explanations"][0]
        assert explanation["layer"] == target
        assert explanation["cam_shape"] == shape
        assert cv2.imread(explanation["figure"]) is not None
        maps.append(np.load(explanation["npz"])["cam"])
    assert np.abs(maps[0]).max() > 0
    assert np.array_equal(*maps)
