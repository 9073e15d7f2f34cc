"""Fields of forks in layers that an engine runs: understood, or refused by name."""

import cases
import numpy as np
import pytest
from opened import open_net

from caffe_gradcam.engines import NetToRun, Running
from caffe_gradcam.engines.subnet import Subnet
from prototxt_tools import rewrite, shapes, weights
from prototxt_tools.errors import ModelError, WeightsError
from prototxt_tools.reports import check
from prototxt_tools.text.document import Document


def scores(kind, net, weights_file, inputs, **running):
    with open_net(kind, cases.text_of(net + ".prototxt"), cases.path_of(weights_file), ["fc"],
                  ["data"], **running) as engine:
        return engine.forward(cases.inputs_of(inputs), ["fc"])["fc"][0]


def test_deeplabs_hole_is_dilation(kind):
    expected = [-14.42, 4.22, 28.58]
    for net in ("hole", "dilation"):
        np.testing.assert_allclose(scores(kind, net, "hole.caffemodel", "in_hole.npz"), expected,
                                   atol=0.01)


@pytest.mark.parametrize("net", ["nv_scale_bias", "nv_bn"])
def test_batch_norm_with_scale_and_bias_inside(kind, net):
    """The numbers are those of OpenCV 4.11; nv_bn has the blobs in the older order."""
    found = scores(kind, net, net + ".caffemodel", "in12.npz")
    np.testing.assert_allclose(found, [8.084, -33.129, 13.912], atol=0.001)


def test_layers_of_one_name_get_their_weights_in_order(kind, caplog):
    found = scores(kind, "dup_names", "dup_saved.caffemodel", "in_dup.npz")
    np.testing.assert_allclose(found, [-3.32, -1.84, -1.73], atol=0.005)
    assert kind == "caffe" or "renamed Convolution conv (line 5) to conv#2" in caplog.text


def test_layers_of_one_name_are_refused_where_the_weights_hold_another_number(kind, tmp_path):
    path = str(tmp_path / "one.caffemodel")
    stored = weights.load(cases.path_of("dup_saved.caffemodel"))
    weights.save(path, dict(stored))
    with pytest.raises(WeightsError) as caught:
        open_net(kind, cases.text_of("dup_names.prototxt"), path, ["fc"], ["data"])
    assert str(caught.value) == (
        f"{path}: 2 layers are named conv (lines 3 and 5), and the weights hold 1 of that name, "
        "so it is not known which belong to which; give the layers different names")


def test_a_field_that_is_not_understood_is_refused_by_name(kind):
    with pytest.raises(ModelError) as caught:
        scores(kind, "intel_relu", "hole.caffemodel", "in_hole.npz")
    assert str(caught.value) == (
        "layer fc (InnerProduct) has normalize, which a fork of Caffe may compute with and this "
        "engine does not understand; run the net in that Caffe, or without the field with "
        "--ignore-unknown-fields")
    assert caught.value.subject == "fc"


def test_unknown_fields_can_be_ignored_and_a_fused_relu_is_run(kind):
    found = scores(kind, "intel_relu", "hole.caffemodel", "in_hole.npz",
                   ignore_unknown_fields=True)
    relu = '\nlayer {{ name: "r{0}" type: "ReLU" bottom: "{0}" top: "{0}" }}'
    lines = cases.text_of("intel_relu.prototxt").splitlines()
    lines[2] = lines[2].replace(" relu: true negative_slope: 0", "") + relu.format("c1")
    lines[3] = lines[3].replace(" relu: true", "") + relu.format("fc6")
    plain = "\n".join(lines).replace("normalize: true", "")
    with open_net(kind, plain, cases.path_of("hole.caffemodel"), ["fc"], ["data"]) as engine:
        expected = engine.forward(cases.inputs_of("in_hole.npz"), ["fc"])["fc"][0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("parameters", [
    "engine: MKL2017 ", "mem_group_size: 8 ", "relu: false ", "cudnn_flavor: MULTIPLE_HANDLES "])
def test_harmless_fields_are_not_refused(kind, parameters, tmp_path):
    text = cases.text_of("dilation.prototxt").replace("num_output: 4", parameters + "num_output: 4")
    with open_net(kind, text, cases.path_of("hole.caffemodel"), ["fc"], ["data"]) as engine:
        found = engine.forward(cases.inputs_of("in_hole.npz"), ["fc"])["fc"][0]
    np.testing.assert_allclose(found, [-14.42, 4.22, 28.58], atol=0.01)


@pytest.mark.parametrize("step", ["stock", "fold"])
def test_rewritten_nets_give_the_same_with_their_weights(kind, step, tmp_path):
    document = Document.load(cases.path_of("nv_bn.prototxt"))
    changed = getattr(rewrite, step)(document, weights.load(cases.path_of("nv_bn.caffemodel")))
    path = str(tmp_path / "changed.caffemodel")
    weights.save(path, changed.weights)
    with open_net(kind, changed.document.text(), path, ["fc"], ["data"]) as engine:
        found = engine.forward(cases.inputs_of("in12.npz"), ["fc"])["fc"][0]
    np.testing.assert_allclose(found, [8.084, -33.129, 13.912], atol=0.001)


@pytest.mark.parametrize("net, weights_file", [
    ("nv_scale_bias.prototxt", "nv_scale_bias.caffemodel"), ("nv_bn.prototxt", "nv_bn.caffemodel"),
    ("dup_names.prototxt", "dup_saved.caffemodel"), ("hole.prototxt", "hole.caffemodel")])
def test_what_stock_caffe_gets_to_read_fits_its_weights(net, weights_file):
    subnet = Subnet(NetToRun(cases.text_of(net), cases.path_of(weights_file), ("fc",), ("data",)),
                    Running(), lambda document: rewrite.stock(document).document)
    assert check.problems(subnet.net) == [] and subnet.missing == {}
    assert set(subnet.weights) >= {layer.name for layer in subnet.net.layers
                                   if shapes.parameter_count(layer)}


def test_hdf5_with_shared_blobs_runs(kind):
    inputs = cases.inputs_of("shared.in.npz")
    with open_net(kind, cases.text_of("shared.prototxt"), cases.path_of("shared.caffemodel.h5"),
                  ["dist"], ["a"]) as engine:
        found = engine.forward(inputs, ["dist"])["dist"][0]
    stored = weights.load(cases.path_of("shared.caffemodel.h5"))
    first, second = (inputs[blob].reshape(1, -1) @ stored["ip1"][0].T + stored["ip1"][1]
                     for blob in "ab")
    expected = (first - second) @ stored["ip2"][0].T + stored["ip2"][1] - stored["ip2_p"][1]
    np.testing.assert_allclose(found, expected[0], rtol=1e-4, atol=1e-5)
