"""The torch engine with its trunk compiled gives what it gives layer by layer."""

import numpy as np
import pytest
from definitions import googlenet, random_input, resnet
from nets import AROUND, BRANCHES, STREAMS
from opened import open_net

from caffe_gradcam.engines import openvino_library
from caffe_gradcam.explaining.methods.gradients import grad_cam
from prototxt_tools import weights

torch = pytest.importorskip("torch")
pytest.importorskip("openvino", reason="OpenVINO is not installed here")

from caffe_gradcam.engines.torch import LAYERS, devices, layer, trunk  # noqa: E402


@pytest.fixture
def plain_and_compiled(write_weights, monkeypatch):
    """A function that runs a net both ways: values, gradients and description for each."""
    def run(text, inputs, score, targets, keep=(), **options):
        results = []
        path = write_weights(text)
        for patience in (10, 0):
            monkeypatch.setattr(trunk, "PATIENCE", patience)
            with open_net("torch", text, path, [score], targets, **options) as engine:
                values = engine.forward(inputs, [score] + targets + list(keep))
                seed = np.zeros_like(values[score])
                seed.reshape(len(seed), -1)[:, 1] = 1
                gradients = engine.backward(score, seed, targets)
                results.append((values, gradients, dict(engine.description)))
        return results
    return run


def distance(found, expected):
    """Relative L2."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def check(results, limit=1e-5):
    (values, gradients, _), (compiled_values, compiled_gradients, description) = results
    assert description["trunk"].startswith("openvino 20")
    for blob in values:
        assert distance(compiled_values[blob], values[blob]) < limit, blob
    for target in gradients:
        assert distance(compiled_gradients[target], gradients[target]) < limit, target
    return results


@pytest.fixture
def runs(monkeypatch):
    """The layers of type Watch that run, in order; they copy their bottom."""
    names = []

    @layer("Watch")
    def watch(message, bottoms, weights):
        names.append(message.name)
        return [bottoms[0] * 1]

    yield names
    del LAYERS["Watch"]


WATCHED = AROUND.format("""
    layer { name: "below" type: "Watch" bottom: "conv" top: "below" }
    layer { name: "target" type: "Watch" bottom: "below" top: "target" }
    layer { name: "it" type: "Watch" bottom: "target" top: "it" }""")
ONES = {"data": np.ones((1, 2, 6, 6), np.float32)}


@pytest.mark.parametrize("text, score, target", [
    (googlenet(), "loss3/classifier", "inception_5b/output"), (resnet(50), "fc1000", "res5c"),
], ids=["googlenet", "resnet50"])
def test_raw_cams_of_whole_nets_are_the_same(plain_and_compiled, text, score, target):
    batch = {"data": random_input((2, 3, 224, 224))}
    results = check(plain_and_compiled(text, batch, score, [target]), 1e-4)
    cams = [grad_cam(values[target], gradients[target]) for values, gradients, _ in results]
    assert distance(cams[1], cams[0]) < 1e-4


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
@pytest.mark.parametrize("targets", [["conv1"], ["left"], ["join", "norm1"], ["right"]],
                         ids=["conv1", "left", "join+norm1", "right"])
def test_targets_at_any_height(plain_and_compiled, gradient, targets):
    batch = {"data": random_input((3, 3, 14, 12)) / 60}
    check(plain_and_compiled(BRANCHES, batch, "score", targets, gradient=gradient))


def test_nets_with_two_inputs(plain_and_compiled):
    random = np.random.RandomState(0)
    inputs = {"left": random.randn(2, 3, 8, 8), "right": random.randn(2, 1, 6, 6)}
    check(plain_and_compiled(STREAMS, inputs, "score", ["conv_r"]))
    check(plain_and_compiled(STREAMS, inputs, "score", ["conv_l", "conv_r"]))


def test_only_the_head_runs_in_torch(runs, write_weights, monkeypatch):
    monkeypatch.setattr(trunk, "PATIENCE", 0)
    with open_net("torch", WATCHED, write_weights(AROUND.format(
            'layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')),
            ["score"], ["target"]) as engine:
        engine.forward(ONES, [])
        del runs[:]
        engine.forward(ONES, [])
        assert runs == ["it"]
        # A blob from below is there only when its layer runs.
        engine.forward(ONES, ["below"])
        assert runs == ["it", "below", "target", "it"]


def test_a_shape_is_compiled_when_it_has_come_often(runs, write_weights, monkeypatch):
    monkeypatch.setattr(trunk, "PATIENCE", 2)
    with open_net("torch", WATCHED, write_weights(AROUND.format(
            'layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')),
            ["score"], ["target"]) as engine:
        for _ in range(2):
            engine.forward(ONES, [])
        assert runs == ["below", "target", "it"] * 2
        engine.forward(ONES, [])
        del runs[:]
        engine.forward({"data": np.ones((2, 2, 6, 6))}, [])
        engine.forward(ONES, [])
        assert runs == ["below", "target", "it", "it"]


def test_once_settled_what_a_batch_gives_does_not_depend_on_what_ran_before(
        runs, write_weights):
    path = write_weights(AROUND.format(
        'layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }'))
    values = {}
    for sizes in ([2, 3, 2, 3, 3, 3, 3, 3, 3], [3, 2], [2]):
        with open_net("torch", WATCHED, path, ["score"], ["target"]) as engine:
            engine.settle(2)
            for images in sizes:
                del runs[:]
                array = np.random.RandomState(images).rand(images, 2, 6, 6)
                score = engine.forward({"data": array}, ["score"])["score"]
                if images == 2:
                    assert engine.description["trunk"].startswith("openvino")
                else:
                    assert runs == ["below", "target", "it"]
                np.testing.assert_array_equal(score, values.setdefault(images, score))


def test_shapes_that_take_turns_are_not_compiled_again_and_again(write_weights, monkeypatch):
    compiled, compile_one = [], trunk.Trunk._compile

    def counted(self, shapes, tensors):
        compiled.append(shapes[0][0])
        compile_one(self, shapes, tensors)

    monkeypatch.setattr(trunk.Trunk, "_compile", counted)
    monkeypatch.setattr(trunk, "PATIENCE", 0)
    plain = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')
    with open_net("torch", plain, write_weights(plain), ["score"], ["it"]) as engine:
        for _ in range(3):
            for images in (1, 2, 3):
                engine.forward({"data": np.ones((images, 2, 6, 6))}, [])
        assert compiled == [1, 2]
        for _ in range(4):
            engine.forward({"data": np.ones((3, 2, 6, 6))}, [])
        # Now it comes more than twice as often as one of the others.
        assert compiled == [1, 2, 3]


@pytest.mark.parametrize("kind", ["ArgMax", "Odd"])
def test_what_cannot_be_compiled_runs_layer_by_layer_and_says_why(kind, write_weights, monkeypatch):
    """ArgMax leaves torch, which tracing cannot see; the other refuses to be traced."""
    def odd(message, bottoms, weights):
        if torch.jit.is_tracing():
            raise RuntimeError("no tracing here")
        return [bottoms[0] * 2]

    monkeypatch.setitem(LAYERS, "Odd", odd)
    monkeypatch.setattr(trunk, "PATIENCE", 0)
    odd_layers = """
        layer {{ name: "odd" type: "{}" bottom: "data" top: "odd" {} }}
        layer {{ name: "sum" type: "Eltwise" bottom: "conv" bottom: "odd" top: "sum" }}
        layer {{ name: "it" type: "TanH" bottom: "sum" top: "it" }}"""
    text = AROUND.replace("kernel_size: 3", "kernel_size: 3 pad: 1").replace(
        "num_output: 4", "num_output: 2").format(odd_layers.format(
            kind, "argmax_param { axis: 1 top_k: 2 }" if kind == "ArgMax" else ""))
    path = write_weights(text.replace('"Odd"', '"ReLU"'))
    random = np.random.RandomState(3)
    with open_net("torch", text, path, ["score"], ["sum"]) as engine:
        for _ in range(2):
            data = random.randn(1, 2, 6, 6).astype(np.float32)
            values = engine.forward({"data": data}, ["sum", "conv", "odd"])
            values = dict(engine.forward({"data": data}, ["sum"]), **{
                name: values[name] for name in ("conv", "odd")})
            np.testing.assert_allclose(values["sum"], values["conv"] + values["odd"], rtol=1e-5)
        assert engine.description["trunk"] == "not openvino: " + {
            "ArgMax": "its values of blob sum are not those of torch",
            "Odd": "no tracing here"}[kind]


def test_bf16_is_near_and_not_equal(plain_and_compiled, monkeypatch):
    """Compiled where the processor has such arithmetic, and imitated by torch where not."""
    batch = {"data": random_input((3, 3, 14, 12)) / 60}
    exact = plain_and_compiled(BRANCHES, batch, "score", ["join"])[0][0]["join"]
    monkeypatch.setattr(devices, "processor_has_bf16", lambda: True)
    half = plain_and_compiled(BRANCHES, batch, "score", ["join"], precision="bf16")
    for values, _, _ in half:
        assert 1e-5 < distance(values["join"], exact) < 0.05


@pytest.mark.skipif(openvino_library.has_bf16(), reason="this processor has bf16")
def test_a_trunk_that_would_compute_in_another_precision_is_not_used(
        plain_and_compiled, monkeypatch):
    batch = {"data": random_input((3, 3, 14, 12)) / 60}
    monkeypatch.setattr(devices, "processor_has_bf16", lambda: True)
    _, (_, _, description) = plain_and_compiled(
        BRANCHES, batch, "score", ["join"], precision="bf16")
    assert description["trunk"] == "not openvino: it would compute in f32 instead of bf16"


def test_the_description_tells_what_a_compiled_trunk_computes_in(plain_and_compiled):
    batch = {"data": random_input((3, 3, 14, 12)) / 60}
    _, (_, _, description) = plain_and_compiled(
        BRANCHES, batch, "score", ["join"], precision="bf16")
    expected = "bf16" if openvino_library.has_bf16() else "fp32"
    assert description["precision"] == expected
    assert description["trunk"].startswith("openvino 20")


def test_a_compiled_trunk_takes_other_weights(write_weights, monkeypatch):
    monkeypatch.setattr(trunk, "PATIENCE", 0)
    path = write_weights(BRANCHES)
    batch = {"data": random_input((3, 3, 14, 12)) / 60}
    with open_net("torch", BRANCHES, path, ["score"], ["join"]) as engine:
        before = engine.forward(batch, ["join"])["join"]
        kernels, bias = weights.load(path)["conv1"]
        engine.replace_weights({"conv1": [kernels[::-1], bias[::-1]]})
        after = engine.forward(batch, ["join"])["join"]
        assert engine.description["trunk"].startswith("openvino 20")
    monkeypatch.setattr(trunk, "PATIENCE", 10)
    with open_net("torch", BRANCHES, path, ["score"], ["join"]) as engine:
        engine.replace_weights({"conv1": [kernels[::-1], bias[::-1]]})
        expected = engine.forward(batch, ["join"])["join"]
    assert distance(before, expected) > 0.1
    assert distance(after, expected) < 1e-5
