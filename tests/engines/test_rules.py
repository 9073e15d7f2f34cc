"""What rectifiers pass on in a backward pass: guided backpropagation and the deconvnet."""

import numpy as np
import pytest
from definitions import random_input, resnet
from nets import AROUND, BATCH, BRANCHES, SEED
from opened import open_net

from prototxt_tools.errors import InputError

# Each of four features goes through a rectifier and is a score itself.
HAND = """
input: "data" input_shape {{ dim: 1 dim: 4 }}
layer {{ name: "it" type: "{}" bottom: "data" top: "{}" {} }}
layer {{ name: "score" type: "Scale" bottom: "{}" top: "score" }}
"""
VALUES = np.float32([[-2, 3, -5, 7]])
# With a scale of ones the scores' gradient is what comes down to the rectifier.
ABOVE = np.float32([[10, -20, -30, 40]])


def by_hand(kind, tmp_path, text, rule):
    from prototxt_tools import weights

    path = str(tmp_path / "hand.caffemodel")
    weights.save(path, {"score": [np.ones(4, np.float32)]})
    with open_net(kind, text, path, ["score"], ["data"], gradient="pre-relu") as engine:
        engine.forward({"data": VALUES}, [])
        return engine.backward("score", ABOVE, ["data"], rule=rule)["data"].tolist()[0]


@pytest.mark.parametrize("rule, expected", [
    ("gradient", [0, -20, 0, 40]), ("guided", [0, 0, 0, 40]), ("deconvnet", [10, 0, 0, 40])])
@pytest.mark.parametrize("top", ["it", "data"], ids=["own top", "in place"])
def test_a_relu_by_hand(kind, tmp_path, rule, expected, top):
    assert by_hand(kind, tmp_path, HAND.format("ReLU", top, "", top), rule) == expected


@pytest.mark.parametrize("rule, expected", [
    ("gradient", [5, -20, -15, 40]), ("guided", [5, 0, 0, 40]), ("deconvnet", [10, 0, 0, 40])])
def test_a_leaky_relu_by_hand(kind, tmp_path, rule, expected):
    text = HAND.format("ReLU", "it", "relu_param { negative_slope: 0.5 }", "it")
    assert by_hand(kind, tmp_path, text, rule) == expected


@pytest.mark.parametrize("rule, expected", [
    ("gradient", [0, -20, 0, 0]), ("guided", [0, 0, 0, 0]), ("deconvnet", [10, 0, 0, 40])])
@pytest.mark.parametrize("layer", [("ReLU6", ""), ("Clip", "clip_param { min: 0 max: 6 }")],
                         ids=["ReLU6", "Clip"])
def test_a_relu_with_a_ceiling_by_hand(kind, tmp_path, rule, expected, layer):
    assert by_hand(kind, tmp_path, HAND.format(layer[0], "it", layer[1], "it"), rule) == expected


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_other_activations_keep_their_derivative(kind, tmp_path, rule):
    text = HAND.format("TanH", "it", "", "it")
    assert by_hand(kind, tmp_path, text, rule) == by_hand(kind, tmp_path, text, "gradient")


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_what_stands_below_a_rectifier_gets_nothing_negative(branches, rule, gradient):
    targets = ["data", "conv1", "norm1", "left", "join"]
    with branches(targets=targets, gradient=gradient) as engine:
        engine.forward({"data": BATCH}, [])
        plain = engine.backward("score", SEED, targets)
        found = engine.backward("score", SEED, targets, rule=rule)
        again = engine.backward("score", SEED, targets)
    for target in targets:
        assert np.array_equal(plain[target], again[target])
    # Its own ReLU is left out of "post", and comes last in "pre-relu".
    assert (found["conv1"].min() < 0) == (gradient == "post")
    assert plain["conv1"].min() < 0 < found["conv1"].max()
    assert found["data"].min() < 0


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_alone_or_together_targets_get_the_same(branches, rule):
    targets = ["data", "conv1", "left", "join"]
    with branches(targets=targets) as engine:
        engine.forward({"data": BATCH}, [])
        together = engine.backward("score", SEED, targets, rule=rule)
        for target in targets:
            alone = engine.backward("score", SEED, [target], rule=rule)[target]
            assert np.array_equal(alone, together[target])


@pytest.mark.parametrize("rule", ["gradient", "guided", "deconvnet"])
@pytest.mark.parametrize("name, limit", [("branches", 1e-5), ("resnet18", 1e-4)])
def test_both_engines_give_the_same_at_the_input(caffe, torch, write_weights, name, limit, rule):
    text, score, size = {
        "resnet18": (resnet(18), "fc1000", (1, 3, 224, 224)),
        "branches": (BRANCHES, "score", (3, 3, 14, 12))}[name]
    path, data = write_weights(text), random_input(size)
    results = []
    for kind in ("caffe", "torch"):
        with open_net(kind, text, path, [score], ["data"]) as engine:
            seed = np.zeros_like(engine.forward({"data": data}, [score])[score])
            seed.reshape(len(seed), -1)[:, 1] = 1
            results.append(engine.backward(score, seed, ["data"], rule=rule)["data"])
    reference, found = results
    assert np.linalg.norm(found - reference) < limit * np.linalg.norm(reference)


def test_an_unknown_rule_is_refused(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    with open_net(kind, text, write_weights(text), ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        with pytest.raises(InputError, match="no rule 'fancy'; known: gradient, guided, deconvnet"):
            engine.backward("score", np.ones((1, 3)), ["conv"], rule="fancy")
