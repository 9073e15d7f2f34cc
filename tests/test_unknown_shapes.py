"""Nets whose shapes end at a layer of a type that the table does not have."""

import numpy as np
import pytest
from definitions import Builder
from explaining import load, photographs

from caffe_gradcam import Explainer, Explaining, Model, Running
from caffe_gradcam.model.model import LoadedModel

pytestmark = pytest.mark.usefixtures("half")
TORCH = Running("torch")


@pytest.fixture
def half(torch, monkeypatch):
    """``Half`` divides by 2, and nothing else is known of it."""
    from caffe_gradcam.engines.torch.registry import LAYERS

    monkeypatch.setitem(LAYERS, "Half", lambda message, bottoms, weights: [bottoms[0] / 2])


def net(kind):
    """Two convolutions, the second behind a layer of a kind; pooled scores."""
    b = Builder("halved", (1, 3, 16, 20))
    x = b.conv_relu("conv1", "data", 6, 3, pad=1)
    params = "power_param { scale: 0.5 }" if kind == "Power" else ""
    x = b.layer(kind, "half", [x], params=params)
    x = b.conv_relu("conv2", x, 5, 3, pad=1)
    b.softmax(b.fc("score", b.global_average("mean", x), 4))
    return b.text()


@pytest.fixture
def known(tmp_path):
    """The net, of types that the table has."""
    return load(tmp_path / "known", net("Power"))


@pytest.fixture
def unknown(tmp_path, known):
    """The same net with a type that it does not have, and the same weights."""
    path = tmp_path / "unknown.prototxt"
    path.write_text(net("Half"))
    return LoadedModel.load(path, known.weights, mean=127.5, scale=1 / 127.5)


def test_the_layer_is_not_certain_before_the_net_has_run(unknown):
    assert unknown.shapes.get("conv2") is None and not unknown.layers_are_certain


def test_the_first_pass_settles_it(unknown, known):
    with Explainer.open(unknown, Explaining(placement="stretch"), TORCH) as explainer:
        assert explainer.model.layers == known.layers == ("conv2",)
        assert explainer.model.layers_are_certain
        found = explainer.explain(photographs(2), [1])
    with Explainer.open(known, Explaining(placement="stretch"), TORCH) as explainer:
        expected = explainer.explain(photographs(2), [1])
    for first, second in zip(found, expected):
        assert np.allclose(first.unwrap().explanations[0].cam,
                           second.unwrap().explanations[0].cam, rtol=1e-5, atol=1e-7)


def test_a_layer_that_is_named_is_taken(unknown):
    with Explainer.open(unknown, Explaining(layers=("half",)), TORCH) as explainer:
        result = explainer.explain(photographs(1), [1])[0].unwrap()
    assert [explanation.layer for explanation in result.explanations] == ["half"]


@pytest.mark.parametrize("method", ["cam", "fullgrad", "ablation-cam", "score-cam", "saliency"])
def test_methods_give_what_they_give_where_all_shapes_are_known(unknown, known, method):
    cams = []
    for model in (unknown, known):
        with Explainer.open(model, Explaining((method,), ("conv2",)), TORCH) as explainer:
            result = explainer.explain(photographs(1), [1])[0].unwrap()
        cams.append(result.explanations[0].cam)
    assert np.allclose(cams[0], cams[1], rtol=1e-4, atol=1e-6)


def test_the_public_model_explains_at_the_settled_layer(unknown):
    with Model.load(unknown.path, unknown.weights, mean=127.5, scale=1 / 127.5) as model:
        explanation, = model.explain(photographs(1), 1, engine="torch")
    assert explanation.layer == "conv2"
