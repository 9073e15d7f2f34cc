"""A layer type of one's own has a shape, a receptive field, a role and a gradient."""

import shutil
import sys

import numpy as np
import pytest
from definitions import random_input
from opened import open_net

from prototxt_tools import layers
from prototxt_tools.errors import EngineError

torch = pytest.importorskip("torch")

from caffe_gradcam import Model  # noqa: E402
from caffe_gradcam.engines.torch import (  # noqa: E402, F401  (families registers)
    LAYERS,
    families,
    layer,
)

OWN = """
input: "data" input_shape { dim: 1 dim: 3 dim: 16 dim: 16 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "swish" type: "MySwish" bottom: "conv1" top: "swish" }
layer { name: "pool" type: "Pooling" bottom: "swish" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


@pytest.fixture
def own_types():
    """Whatever a test registers is forgotten after it."""
    functions, table = dict(LAYERS), dict(layers.TABLE)
    yield
    for registry, before in ((LAYERS, functions), (layers.TABLE, table)):
        registry.clear()
        registry.update(before)


@pytest.fixture
def my_relu(own_types):
    @layer("MyReLU", shape=layers.same_shape, receptive=layers.pointwise, role="rectifier")
    def relu(message, bottoms, weights):
        return [torch.relu(bottoms[0])]


@pytest.fixture
def digits_with_my_relu(my_relu, models, tmp_path):
    """models/digits with a ReLU of one's own."""
    folder = tmp_path / "digits"
    shutil.copytree(str(models / "digits"), str(folder))
    text = (folder / "deploy.prototxt").read_text()
    (folder / "deploy.prototxt").write_text(
        text.replace('name: "relu1" type: "ReLU"', 'name: "relu1" type: "MyReLU"'))
    return folder


@pytest.mark.parametrize("method", ["grad-cam", "guided-backprop", "fullgrad", "score-cam"])
def test_maps_of_a_net_with_one_are_those_of_the_net_it_imitates(
        method, digits_with_my_relu, models):
    scene = str(models / "digits" / "scenes" / "3-5.png")
    explanations = []
    for folder in (models / "digits", digits_with_my_relu):
        with Model.load(str(folder)) as model:
            explanations += model.explain(scene, classes=3, method=method, engine="torch")
    expected, own = explanations
    assert own.layer == expected.layer
    assert own.score == pytest.approx(expected.score, rel=1e-5)
    assert own.placement == expected.placement
    np.testing.assert_allclose(own.cam, expected.cam, rtol=1e-4, atol=1e-6)


def test_its_gradient_is_autograds(own_types, write_weights):
    @layer("MySwish", shape=layers.same_shape, receptive=layers.pointwise, role="activation")
    def swish(message, bottoms, weights):
        return [bottoms[0] * torch.sigmoid(bottoms[0])]

    path = write_weights(OWN.replace("MySwish", "Swish"))
    data, seed = {"data": random_input((2, 3, 16, 16)) / 60}, np.eye(2, 3)
    results = []
    for text in (OWN, OWN.replace("MySwish", "Swish")):
        with open_net("torch", text, path, ["fc"], ["conv1", "swish"]) as engine:
            values = engine.forward(data, ["swish", "fc"])
            results.append(dict(engine.backward("fc", seed, ["conv1", "swish"]), **values))
    for name, expected in results[1].items():
        np.testing.assert_allclose(results[0][name], expected, rtol=1e-4, atol=1e-7)


def test_one_of_the_name_of_a_built_in_layer_takes_its_place(own_types, write_weights):
    text = OWN.replace("MySwish", "Swish")

    @layer("Swish")
    def zero(message, bottoms, weights):
        return [bottoms[0] * 0]

    with open_net("torch", text, write_weights(text), ["fc"], ["swish"]) as engine:
        assert not engine.forward({"data": random_input((1, 3, 16, 16))}, ["swish"])["swish"].any()
    # What the table knows of the type stays as it is.
    assert layers.of("Swish").role == "activation"


def test_fields_that_a_layer_type_does_not_have_are_refused(own_types):
    with pytest.raises(TypeError, match="colour"):
        layer("MyReLU", colour="red")
    with pytest.raises(ValueError, match="no role 'cutter'"):
        layer("MyReLU", role="cutter")


@pytest.mark.parametrize("function, problem", [
    (lambda message, bottoms, weights: bottoms[0], "a list with a tensor for each top .1., and "
     "returned Tensor"),
    (lambda message, bottoms, weights: bottoms * 2, "and returned 2 values"),
    (lambda message, bottoms, weights: [bottoms[0].detach().numpy()], "and returned 1 values"),
    (lambda message, bottoms, weights: [bottoms[0].no_such], "its function raises AttributeError"),
    (lambda message, bottoms: bottoms, "its function raises TypeError"),
])
def test_a_function_that_does_not_give_the_tops_is_named_with_its_layer(
        own_types, write_weights, function, problem):
    layer("MySwish")(function)
    path = write_weights(OWN.replace("MySwish", "Swish"))
    with open_net("torch", OWN, path, ["fc"], ["conv1"]) as engine:
        with pytest.raises(EngineError, match=f"layer swish .MySwish. fails on .*{problem}"):
            engine.forward({"data": random_input((1, 3, 16, 16))}, ["fc"])


def test_registering_one_loads_no_torch():
    """A plugin costs nothing where Caffe runs the net."""
    import subprocess

    program = ("import sys\nfrom caffe_gradcam.engines.torch import layer\n"
               "layer('Mine', role='rectifier')\nprint('torch' in sys.modules)")
    output = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert output.stdout.split() == [b"False"]
