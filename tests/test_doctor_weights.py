"""What doctor says of weights that fit the net and are odd all the same."""

import cases
import pytest

from caffe_gradcam.doctor.net import examine_weights
from caffe_gradcam.model.model import LoadedModel


def findings(net, weights_file):
    model = LoadedModel.load(cases.path_of(net), cases.path_of(weights_file))
    return [str(finding.what) for finding in examine_weights(model)]


@pytest.mark.parametrize("net, weights_file, sentence", [
    ("bn.prototxt", "bn0.caffemodel", "the factor (third blob) of BatchNorm conv1/bn is 0"),
    ("dup_names.prototxt", "dup_saved.caffemodel", "2 layers with weights are named conv"),
    ("nv_bn.prototxt", "nv_bn.caffemodel", "all 4 layers fit"),
])
def test_weights(net, weights_file, sentence):
    assert any(sentence in text for text in findings(net, weights_file))
