"""What no engine takes: one sentence each, before anything runs."""

import numpy as np
import pytest
from nets import AROUND, BATCH, SEED
from opened import open_net

from caffe_gradcam.engines import NetToRun, Running, open_engine, opening
from prototxt_tools import weights
from prototxt_tools.errors import EngineError, EngineMissing, InputError, PrototxtError

PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')


def refusal(kind, text, path, scores=("score",), targets=("conv",), **options):
    with pytest.raises(InputError) as caught:
        open_net(kind, text, path, scores, targets, **options).close()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_unknown_layer_type_is_named(kind, write_weights):
    text = PLAIN.replace('"ReLU"', '"Zorp"')
    message = refusal(kind, text, write_weights(PLAIN))
    assert "no layer type 'Zorp' (layer it)" in message


def test_a_layer_that_cannot_be_built_is_named_with_its_file_and_its_line_there(
        kind, write_weights):
    unread = 'layer {\n  name: "off" type: "ReLU" bottom: "data" top: "off"\n}\n'
    text = PLAIN.replace("layer", unread + "layer", 1).replace(
        '"ReLU" bottom: "conv"', '"Pooling" pooling_param { kernel_size: 99 } bottom: "conv"')
    line = text[:text.index('layer { name: "it"')].count("\n") + 1
    net = NetToRun(text, write_weights(PLAIN), ("score",), ("conv",), path="net/deploy.prototxt")
    with pytest.raises(PrototxtError) as caught:
        open_engine(net, Running(engine=kind)).close()
    assert str(caught.value).startswith(
        f"net/deploy.prototxt:{line}:1: layer it (Pooling) cannot be built")


@pytest.mark.parametrize("layer, problem", [
    ('"Pooling" top: "more" pooling_param { kernel_size: 2 pool: AVE }', "has 2 tops and needs 1"),
    ('"ReLU" bottom: "data"', "has 2 bottoms and needs 1"),
    ('"Exp" exp_param { base: 0 }', "has the base 0"),
    ('"Exp" exp_param { base: -2 }', "has the base -2"),
    ('"Log" log_param { base: 1 }', "has the base 1"),
    ('"Scale" scale_param { num_axes: -2 }', "its num_axes is -2"),
    ('"Pooling" pooling_param { kernel_size: 2 stride: 4294967295 }', "its stride is 4294967295"),
])
def test_what_caffe_refuses_to_set_up_is_refused_by_name(layer, problem, kind, write_weights):
    message = refusal(kind, PLAIN.replace('"ReLU"', layer), write_weights(PLAIN))
    assert "layer it (" in message and message.endswith(problem)


@pytest.mark.parametrize("layer, problem", [
    ("ShuffleChannel shuffle_channel_param { group: 0 }",
     "its channels do not divide into 0 groups"),
    ("Upsample", "it needs a whole scale of at least 1"),
    ("Upsample upsample_param { scale: 1.5 }", "it needs a whole scale of at least 1"),
    ("Upsample upsample_param { upsample_h: 9 scale: 2 }",
     "it needs both upsample_h and upsample_w, or neither")])
def test_layers_of_forks_with_impossible_values_are_refused(layer, problem, torch, write_weights):
    layer_type, _, parameters = layer.partition(" ")
    text = PLAIN.replace('"ReLU"', f'"{layer_type}" {parameters}')
    assert refusal("torch", text, write_weights(PLAIN)).endswith(problem)


def test_a_python_layer_is_refused(kind, write_weights):
    text = PLAIN.replace('"ReLU"', '"Python" python_param { module: "os" layer: "X" }')
    message = refusal(kind, text, write_weights(PLAIN))
    assert "layer it (line 5) of type Python runs Python code" in message and "--trust" in message


def test_a_layer_that_brings_its_own_data_is_refused(kind, write_weights):
    data = 'layer { name: "db" type: "Data" top: "data" data_param { source: "x" batch_size: 1 } }'
    text = PLAIN[PLAIN.index("layer"):]
    message = refusal(kind, data + text, write_weights(PLAIN))
    assert "layer db (line 1) of type Data reads a database" in message
    assert "prototxt-tools deploy" in message


def test_a_missing_weights_file_is_named(kind, tmp_path):
    path = str(tmp_path / "nowhere.caffemodel")
    assert refusal(kind, PLAIN, path).startswith(path)


def test_weights_of_another_net_name_the_first_layer_and_both_shapes(kind, write_weights):
    path = write_weights(PLAIN.replace("num_output: 4", "num_output: 7"))
    message = refusal(kind, PLAIN, path)
    assert "layer conv, blob 0" in message
    assert "4 x 2 x 3 x 3" in message and "7 x 2 x 3 x 3" in message


def test_a_layer_without_weights_is_named(kind, write_weights):
    path = write_weights(PLAIN.replace('name: "score"', 'name: "other"'))
    assert "no weights for layer score" in refusal(kind, PLAIN, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_name_their_layer(kind, value, write_weights):
    path = write_weights(PLAIN)
    broken = weights.load(path)
    broken["score"][1][2] = value
    weights.save(path, broken)
    assert "layer score, blob 1 holds NaN or infinity" in refusal(kind, PLAIN, path)


def test_large_weights_are_numbers(kind, write_weights):
    path = write_weights(PLAIN)
    large = weights.load(path)
    large["conv"][1][:] = np.finfo(np.float32).max
    weights.save(path, large)
    open_net(kind, PLAIN, path, ["score"], ["conv"]).close()


def test_blobs_that_the_net_does_not_have_are_named(kind, write_weights):
    path = write_weights(PLAIN)
    assert "'nowhere'" in refusal(kind, PLAIN, path, targets=["nowhere"])
    assert "'nowhere'" in refusal(kind, PLAIN, path, scores=["nowhere"])


def test_a_target_that_no_score_depends_on_is_named(kind, write_weights):
    path = write_weights(PLAIN)
    assert "no score depends on blob 'score'" in refusal(kind, PLAIN, path, targets=["score"])
    assert "no score depends on blob 'it'" in refusal(
        kind, PLAIN, path, scores=["conv"], targets=["it"])


def test_unknown_words_are_refused(kind, write_weights):
    path = write_weights(PLAIN)
    assert "no gradient 'both'" in refusal(kind, PLAIN, path, gradient="both")
    assert "no device 'tpu'" in refusal(kind, PLAIN, path, device="tpu")
    assert "no precision 'fp8'; known: fp32, tf32" in refusal(kind, PLAIN, path, precision="fp8")
    assert "no engine 'theano'" in refusal("theano", PLAIN, path)


def test_an_input_of_a_size_the_weights_cannot_take_is_refused(kind, write_weights):
    with open_net(kind, PLAIN, write_weights(PLAIN), ["score"], ["conv"]) as engine:
        with pytest.raises(InputError, match="layer score"):
            engine.forward({"data": np.ones((1, 2, 9, 9))}, [])
        with pytest.raises(InputError, match="layer conv"):
            engine.forward({"data": np.ones((1, 2, 1, 1))}, [])
        assert engine.forward({"data": np.ones((1, 2, 6, 6))}, ["score"])["score"].shape == (1, 3)


def test_blobs_and_order_of_calls_are_checked(branches):
    with branches(targets=["join"], scores=["score", "fc"]) as engine:
        with pytest.raises(EngineError, match="a forward before it"):
            engine.backward("score", SEED, ["join"])
        with pytest.raises(InputError, match="'side' is not among"):
            engine.forward({"data": BATCH}, ["side"])
        engine.forward({"data": BATCH}, [])
        with pytest.raises(InputError, match="not opened for score 'prob', but for score, fc"):
            engine.backward("prob", SEED, ["join"])
        with pytest.raises(InputError, match="not opened for target 'left', but for join"):
            engine.backward("score", SEED, ["left"])


def test_a_layer_that_passes_no_gradient_is_never_taken_for_zeros(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "Threshold" bottom: "conv" top: "it" }')
    with open_net(kind, text, write_weights(text), ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        with pytest.raises(EngineError):
            engine.backward("score", np.ones((1, 3)), ["conv"])


def test_propagate_down_does_not_leave_a_gradient_out(kind, write_weights):
    text = PLAIN.replace('bottom: "it"', 'bottom: "it" propagate_down: false')
    gradients = []
    for one in (PLAIN, text):
        with open_net(kind, one, write_weights(one), ["score"], ["conv"]) as engine:
            engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
            gradients.append(engine.backward("score", np.ones((1, 3)), ["conv"])["conv"])
    assert abs(gradients[0]).max() > 0
    assert np.array_equal(*gradients)


def test_a_blob_that_nothing_writes_is_named(kind, write_weights):
    text = PLAIN.replace('bottom: "it"', 'bottom: "that"')
    message = refusal(kind, text, write_weights(PLAIN), targets=["that"])
    assert "'that'" in message


def test_a_blob_written_by_two_layers_is_named(kind, write_weights):
    text = PLAIN.replace('layer { name: "score"',
                         'layer { name: "two" type: "TanH" bottom: "conv" top: "it" } '
                         'layer { name: "score"')
    assert "layer two writes blob 'it', which another layer" in refusal(
        kind, text, write_weights(PLAIN))


@pytest.fixture
def only(monkeypatch):
    """A function after which only some engines' libraries are installed."""
    def install(*libraries):
        monkeypatch.setattr(opening, "is_installed", lambda library: library in libraries)
    return install


def test_auto_takes_caffe_where_it_is_and_else_torch(only):
    only("torch", "caffe")
    assert opening.resolve_engine("auto") == "caffe"
    only("torch")
    assert opening.resolve_engine("auto") == "torch"


def test_an_engine_whose_library_is_missing_is_named(only):
    only()
    for engine, words in (("auto", "none of pycaffe, torch, onnxruntime and openvino is installed"),
                          ("caffe", "pycaffe is not installed"),
                          ("torch", "^torch is not installed; pip install torch$")):
        with pytest.raises(EngineMissing, match=words):
            open_net(engine, PLAIN, "", ["score"], ["conv"])


def test_a_folder_with_a_librarys_name_is_not_the_library(tmp_path, monkeypatch):
    """Such as Caffe's source, in which many work."""
    (tmp_path / "no_such_library").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not opening.is_installed("no_such_library")


def test_a_trusted_net_is_not_refused_for_its_python_layer(kind, write_weights):
    text = PLAIN.replace('"ReLU"', '"Python" python_param { module: "nowhere" layer: "X" }')
    with pytest.raises(InputError) as caught:
        open_net(kind, text, write_weights(PLAIN), ["score"], ["conv"], trust=True)
    # It is asked for now: torch has no such layer type, and Caffe looks for the module.
    assert "--trust" not in str(caught.value)
