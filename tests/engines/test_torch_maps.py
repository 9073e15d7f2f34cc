"""Maps of classes that the torch engine makes on its device, and passes that are replayed."""

import pathlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed here")

from caffe_gradcam.engines.class_maps import MapRequest  # noqa: E402
from caffe_gradcam.engines.running import NetToRun, Running  # noqa: E402
from caffe_gradcam.engines.torch import graphs, maps  # noqa: E402
from caffe_gradcam.engines.torch.engine import TorchEngine  # noqa: E402
from caffe_gradcam.explaining.methods import METHODS  # noqa: E402
from caffe_gradcam.model.model import LoadedModel  # noqa: E402

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "models" / "digits"


@pytest.fixture(scope="module")
def model():
    return LoadedModel.load(str(DIGITS))


@pytest.fixture
def engine(model):
    net = NetToRun(model.prototxt, model.weights, (model.score,), tuple(model.layers))
    with TorchEngine(net, Running(engine="torch")) as opened:
        yield opened


def images(count, seed=0):
    return np.random.RandomState(seed).rand(count, 1, 96, 96).astype(np.float32)


def request(model, **fields):
    return MapRequest(model.score, tuple(model.layers), **fields)


@pytest.mark.parametrize("name", sorted(maps.METHODS))
def test_a_formula_on_the_device_is_that_of_the_method(name):
    rng = np.random.RandomState(3)
    activations = rng.randn(2, 5, 3, 4).astype(np.float32)
    gradients = rng.randn(2, 5, 3, 4).astype(np.float32)
    activations[0, 1] = 0  # A channel that cancels to nothing.
    made = maps.METHODS[name](torch.from_numpy(activations), torch.from_numpy(gradients))
    np.testing.assert_allclose(made, METHODS[name].function(activations, gradients),
                               rtol=1e-5, atol=1e-6)


def test_the_best_classes_of_equal_scores_are_the_first_ones(model):
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    assert maps.classes_of(scores, request(model, methods=(), best=3)).tolist() == [
        [1, 2, 3], [0, 1, 2]]


def test_maps_are_those_of_a_forward_and_a_backward_pass(engine, model):
    data = images(3)
    answer = engine.begin_maps({"data": data}, request(
        model, methods=("grad-cam", "layer-cam"), classes=(4, 1))).result()
    blobs = engine.forward({"data": data}, [model.score, *model.layers])
    np.testing.assert_allclose(answer.scores, blobs[model.score], rtol=1e-5, atol=1e-6)
    assert answer.classes.tolist() == [[4, 1]] * 3
    for rank, index in enumerate((4, 1)):
        diff = np.zeros_like(blobs[model.score])
        diff.reshape(3, -1)[:, index] = 1
        gradients = engine.backward(model.score, diff, model.layers)
        for name in ("grad-cam", "layer-cam"):
            for layer in model.layers:
                expected = METHODS[name].function(blobs[layer], gradients[layer])
                np.testing.assert_allclose(answer.cams[rank, name, layer], expected, rtol=1e-4,
                                           atol=1e-5 * np.abs(expected).max())


def test_other_methods_and_unknown_classes_are_left_to_forward_and_backward(engine, model):
    data = {"data": images(1)}
    assert engine.begin_maps(data, request(model, methods=("score-cam",), best=1)) is None
    assert engine.begin_maps(data, request(model, methods=("grad-cam",), classes=(10,))) is None


def test_a_second_batch_may_be_begun_before_the_first_is_taken(engine, model):
    asked = request(model, methods=("grad-cam",), best=1)
    alone = [engine.begin_maps({"data": images(2, seed)}, asked).result() for seed in (1, 2)]
    pending = [engine.begin_maps({"data": images(2, seed)}, asked) for seed in (1, 2)]
    for before, maps_of_batch in zip(alone, pending):
        assert maps_of_batch.is_done()
        key, = before.cams
        np.testing.assert_array_equal(maps_of_batch.result().cams[key], before.cams[key])


class Replayed:
    """As a CUDA graph: what the function gave lies in tensors that a replay overwrites."""

    def __init__(self, function, inputs):
        self.function, self.outputs = function, [
            tensor.clone() for tensor in function(inputs)]
        self.replays = 0

    def replay(self, inputs):
        self.replays += 1
        for output, tensor in zip(self.outputs, self.function(inputs)):
            output.copy_(tensor)
        return self.outputs


def test_a_pass_is_recorded_when_its_shape_has_come_often(engine, model):
    recordings = []

    def record(function, inputs):
        recordings.append(Replayed(function, inputs))
        return recordings[-1]

    engine.settle(2)  # Otherwise OpenVINO takes over in the middle.
    asked = request(model, methods=("grad-cam",), best=1)
    expected = [engine.begin_maps({"data": images(2, seed)}, asked).result().cams.popitem()[1]
                for seed in range(6)]
    engine._graphs = graphs.Graphs(torch.device("cpu"), record)
    assert engine._graphs.patience == graphs.PATIENCE
    pending = [engine.begin_maps({"data": images(2, seed)}, asked) for seed in range(6)]
    for answer, cams in zip(pending, expected):
        np.testing.assert_array_equal(answer.result().cams.popitem()[1], cams)
    assert len(recordings) == 1 and recordings[0].replays == 6 - graphs.PATIENCE
    engine.replace_weights({})
    assert engine.begin_maps({"data": images(2)}, asked).result()
    assert recordings[0].replays == 6 - graphs.PATIENCE


@pytest.mark.parametrize("fault", ["raises", "differs"])
def test_a_pass_that_cannot_be_recorded_runs_layer_by_layer(engine, model, fault):
    class Faulty(Replayed):
        def __init__(self, function, inputs):
            if fault == "raises":
                raise RuntimeError("operation not permitted when stream is capturing")
            super().__init__(function, inputs)

        def replay(self, inputs):
            return [tensor.double() + 1 for tensor in super().replay(inputs)]

    engine.settle(2)
    engine._graphs = graphs.Graphs(torch.device("cpu"), Faulty)
    asked = request(model, methods=("grad-cam",), best=1)
    answers = [engine.begin_maps({"data": images(2)}, asked).result() for _ in range(5)]
    assert engine.description["graph"].startswith("not recorded: ")
    np.testing.assert_array_equal(answers[0].scores, answers[-1].scores)


def test_short_numbers_go_from_layer_to_layer_and_come_back_whole(model, monkeypatch):
    from caffe_gradcam.engines.torch import devices, trunk

    monkeypatch.setattr(devices, "processor_has_bf16", lambda: True)
    monkeypatch.setattr(trunk, "VERSION", None)
    net = NetToRun(model.prototxt, model.weights, (model.score,), tuple(model.layers))
    asked = request(model, methods=("grad-cam",), best=1)
    data = {"data": images(4)}
    with TorchEngine(net, Running(engine="torch")) as whole, TorchEngine(
            net, Running(engine="torch", precision="bf16")) as short:
        exact, other = (one.begin_maps(data, asked).result() for one in (whole, short))
        short.forward(data, ["conv2"])
        assert short._blobs["conv2"].dtype == torch.bfloat16
    # Scores of eight bits would often be equal.
    assert not torch.equal(torch.from_numpy(other.scores).bfloat16().float(),
                           torch.from_numpy(other.scores))
    distance = np.linalg.norm(other.scores - exact.scores) / np.linalg.norm(exact.scores)
    assert 0 < distance < 0.05
