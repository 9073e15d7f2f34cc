"""What every engine promises, whichever it is."""

import numpy as np
import pytest
from definitions import random_input
from nets import AROUND, BRANCHES, STREAMS

from caffe_gradcam.engines import EngineError, open_engine
from prototxt_tools import weights
from prototxt_tools.errors import InputError

BATCH = random_input((3, 3, 14, 12)) / 60
TARGETS = ["conv1", "left", "join", "norm1"]
SEED = np.random.RandomState(5).randn(3, 5).astype(np.float32)


@pytest.fixture
def branches(kind, write_weights):
    path = write_weights(BRANCHES)

    def open_branches(targets=TARGETS, scores=("score",), **options):
        return open_engine(kind, BRANCHES, path, scores, targets, **options)
    return open_branches


def test_a_batch_gives_what_its_images_give_one_by_one(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["score", "join"])
        gradients = engine.backward("score", SEED, TARGETS)
        for row in range(3):
            one = engine.forward({"data": BATCH[row:row + 1]}, ["score", "join"])
            single = engine.backward("score", SEED[row:row + 1], TARGETS)
            for blob in one:
                np.testing.assert_allclose(one[blob][0], values[blob][row], rtol=1e-4, atol=1e-6)
            for target in TARGETS:
                np.testing.assert_allclose(
                    single[target][0], gradients[target][row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
def test_several_targets_at_once_give_what_each_gives_alone(branches, gradient):
    with branches(gradient=gradient) as engine:
        engine.forward({"data": BATCH}, [])
        together = engine.backward("score", SEED, TARGETS)
        alone = {target: engine.backward("score", SEED, [target])[target] for target in TARGETS}
    for target in TARGETS:
        assert abs(alone[target]).max() > 0
        assert np.array_equal(together[target], alone[target]), target


def test_backward_again_gives_the_same_and_nothing_carries_over(branches):
    with branches() as engine:
        engine.forward({"data": BATCH}, [])
        first = engine.backward("score", SEED, TARGETS)
        other = engine.backward("score", -2 * SEED, TARGETS)
        again = engine.backward("score", SEED, TARGETS)
    for target in TARGETS:
        assert np.array_equal(first[target], again[target])
        assert np.array_equal(other[target], -2 * first[target])


def test_a_score_does_not_feel_the_other_scores(branches):
    side = np.ones((3, 3), np.float32)
    with branches() as engine:
        engine.forward({"data": BATCH}, [])
        expected = engine.backward("score", SEED, TARGETS)
    with branches(scores=["side", "score"]) as engine:
        values = engine.forward({"data": BATCH}, ["side", "score"])
        assert values["side"].shape == (3, 3)
        of_side = engine.backward("side", side, TARGETS)
        found = engine.backward("score", SEED, TARGETS)
        again = engine.backward("side", side, TARGETS)
    for target in TARGETS:
        np.testing.assert_allclose(found[target], expected[target], rtol=1e-5, atol=1e-8)
        assert abs(of_side[target] - found[target]).max() > 1e-3
        assert np.array_equal(of_side[target], again[target])


def test_pre_relu_is_post_where_the_relu_was_open_and_zero_elsewhere(branches):
    with branches() as engine:
        value = engine.forward({"data": BATCH}, ["conv1"])["conv1"]
        post = engine.backward("score", SEED, ["conv1"])["conv1"]
    with branches(gradient="pre-relu") as engine:
        assert np.array_equal(engine.forward({"data": BATCH}, ["conv1"])["conv1"], value)
        pre = engine.backward("score", SEED, ["conv1"])["conv1"]
    assert value.min() == 0
    assert np.array_equal(pre, post * (value > 0))
    assert abs(post[value == 0]).max() > 0


def test_the_two_gradients_are_one_where_nothing_is_in_place(branches):
    results = []
    for gradient in ("post", "pre-relu"):
        with branches(gradient=gradient) as engine:
            engine.forward({"data": BATCH}, [])
            results.append(engine.backward("score", SEED, ["norm1"])["norm1"])
    assert np.array_equal(*results)


def test_another_size_of_image_is_taken_where_the_net_allows_it(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "Pooling" bottom: "conv" top: "it" '
                         'pooling_param { pool: AVE global_pooling: true } }')
    with open_engine(kind, text, write_weights(text), ["score"], ["conv"]) as engine:
        for size in ((1, 2, 6, 6), (2, 2, 9, 5), (1, 2, 6, 6)):
            values = engine.forward({"data": np.ones(size, np.float32)}, ["conv", "score"])
            assert values["conv"].shape == (size[0], 4, size[2] - 2, size[3] - 2)
            gradient = engine.backward("score", np.ones((size[0], 3)), ["conv"])["conv"]
            assert gradient.shape == values["conv"].shape


def test_what_comes_back_are_copies(branches):
    with branches() as engine:
        values = engine.forward({"data": BATCH}, ["conv1", "score"])
        kept = values["conv1"].copy()
        values["conv1"][...] = 7
        first = engine.backward("score", SEED, ["conv1"])["conv1"]
        expected = first.copy()
        first[...] = 7
        assert np.array_equal(engine.backward("score", SEED, ["conv1"])["conv1"], expected)
        assert np.array_equal(engine.forward({"data": BATCH}, ["conv1"])["conv1"], kept)


def test_one_backward_yields_the_targets_of_all_streams(kind, write_weights):
    random = np.random.RandomState(0)
    inputs = {"left": random.randn(2, 3, 8, 8), "right": random.randn(2, 1, 6, 6)}
    seed = random.randn(2, 2).astype(np.float32)
    path = write_weights(STREAMS)
    with open_engine(kind, STREAMS, path, ["score"], ["conv_l", "conv_r"]) as engine:
        values = engine.forward(inputs, ["fc_l", "fc_r"])
        gradients = engine.backward("score", seed, ["conv_l", "conv_r"])
        with pytest.raises(InputError, match="input blob 'right' is missing"):
            engine.forward({"left": inputs["left"]}, [])
    learned = weights.load(path)
    for mine, other in (("l", "r"), ("r", "l")):
        to_fc = np.dot(seed, learned["score"][0]) * values["fc_" + other]
        expected = np.dot(to_fc, learned["fc_" + mine][0])
        found = gradients["conv_" + mine].reshape(2, -1)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_two_targets_that_share_one_tensor_have_their_own_gradients(kind, write_weights):
    text = AROUND.format("""
        layer { name: "drop" type: "Dropout" bottom: "conv" top: "drop" }
        layer { name: "it" type: "Concat" bottom: "conv" bottom: "drop" top: "it" }""")
    path = write_weights(text)
    with open_engine(kind, text, path, ["score"], ["conv", "drop"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        gradients = engine.backward("score", np.float32([[1, 0, 0]]), ["conv", "drop"])
    of_conv, of_drop = weights.load(path)["score"][0][0].reshape(2, 1, 4, 4, 4)
    np.testing.assert_allclose(gradients["drop"], of_drop, rtol=1e-6)
    np.testing.assert_allclose(gradients["conv"], of_conv + of_drop, rtol=1e-5, atol=1e-7)


def test_a_target_that_is_an_input(kind, write_weights):
    path = write_weights(STREAMS)
    inputs = {"left": np.ones((1, 3, 8, 8)), "right": np.ones((1, 1, 6, 6))}
    with open_engine(kind, STREAMS, path, ["score"], ["right"]) as engine:
        engine.forward(inputs, [])
        gradient = engine.backward("score", np.ones((1, 2)), ["right"])["right"]
    with open_engine(kind, STREAMS, path, ["score"], ["conv_r"]) as engine:
        engine.forward(inputs, [])
        above = engine.backward("score", np.ones((1, 2)), ["conv_r"])["conv_r"]
    kernels = weights.load(path)["conv_r"][0]
    expected = np.zeros((6, 6))
    for row, column in np.ndindex(4, 4):
        expected[row:row + 3, column:column + 3] += np.tensordot(
            above[0, :, row, column], kernels[:, 0], 1)
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-4, atol=1e-5)


V1 = """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 3
    layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"
             convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
    layers { name: "score" type: INNER_PRODUCT bottom: "conv" top: "score"
             inner_product_param { num_output: 3 } }
"""
V0 = """
    input: "data" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 3
    layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "pad" }
    layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 }
             bottom: "pad" top: "conv" }
    layers { layer { name: "score" type: "innerproduct" num_output: 3 }
             bottom: "conv" top: "score" }
"""


@pytest.mark.parametrize("text", [V1, V0], ids=["V1", "V0"])
def test_old_forms_run(kind, text, write_weights):
    path = write_weights(V1)
    with open_engine(kind, text, path, ["score"], ["conv"]) as engine:
        assert engine.forward({"data": np.ones((1, 2, 3, 3))}, ["conv"])["conv"].shape[3] == 3
        gradient = engine.backward("score", np.float32([[0, 1, 0]]), ["conv"])["conv"]
    np.testing.assert_allclose(gradient.ravel(), weights.load(path)["score"][0][1], rtol=1e-6)


# Refusals: one sentence each, before anything runs.

def refusal(kind, text, path, scores=("score",), targets=("conv",), **options):
    with pytest.raises(InputError) as caught:
        open_engine(kind, text, path, scores, targets, **options).close()
    message = str(caught.value)
    assert "\n" not in message
    return message


PLAIN = AROUND.format('layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }')


def test_an_unknown_layer_type_is_named(kind, write_weights):
    text = PLAIN.replace('"ReLU"', '"Zorp"')
    message = refusal(kind, text, write_weights(PLAIN))
    assert "no layer type 'Zorp' (layer it)" in message


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
    open_engine(kind, PLAIN, path, ["score"], ["conv"]).close()


UNLEARNED = """
input: "data" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { value: 0.5 }
                            bias_filler { type: "constant" value: -20 } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "bn" }
layer { name: "scale" type: "Scale" bottom: "bn" top: "scale" scale_param { bias_term: true } }
layer { name: "prelu" type: "PReLU" bottom: "scale" top: "prelu" }
layer { name: "up" type: "Deconvolution" bottom: "prelu" top: "up"
        convolution_param { num_output: 2 group: 2 kernel_size: 4 stride: 2 pad: 1
                            bias_term: false weight_filler { type: "bilinear" } } }
layer { name: "score" type: "InnerProduct" bottom: "up" top: "score"
        inner_product_param { num_output: 3 } }
"""


def only(path, *names):
    """Leave the weights of some layers in a file."""
    learned = weights.load(path)
    weights.save(path, {name: learned[name] for name in names})


def test_layers_without_weights_are_filled_as_caffe_fills_them(kind, write_weights):
    path = write_weights(UNLEARNED)
    only(path, "score")
    message = refusal(kind, UNLEARNED, path)
    assert message == path + ": no weights for layer conv, bn, scale, prelu, up"
    with open_engine(kind, UNLEARNED, path, ["score"], ["conv"], allow_missing=True) as engine:
        values = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["conv", "scale", "up"])
    # 18 ones times 0.5, minus 20; variance 0, so eps alone; then a slope of 0.25.
    np.testing.assert_allclose(values["conv"], -11, rtol=1e-6)
    np.testing.assert_allclose(values["scale"], -11 / np.sqrt(1e-5), rtol=1e-5)
    edge = np.array([0.75, 1, 1, 1, 1, 1, 1, 0.75])
    expected = np.outer(edge, edge) * values["scale"].mean() / 4
    np.testing.assert_allclose(values["up"], np.stack([[expected] * 2]), rtol=1e-5)


def test_random_fillers_are_left_to_caffe(kind, write_weights):
    text = PLAIN.replace("num_output: 3", 'num_output: 3 weight_filler { type: "xavier" }')
    path = write_weights(text)
    only(path, "conv")
    if kind == "torch":
        with pytest.raises(EngineError, match="layer score, and its filler 'xavier' draws random"):
            open_engine(kind, text, path, ["score"], ["conv"], allow_missing=True)
    else:
        with open_engine(kind, text, path, ["score"], ["conv"], allow_missing=True) as engine:
            score = engine.forward({"data": np.ones((1, 2, 6, 6))}, ["score"])["score"]
        assert len(set(score[0])) == 3


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
    assert "no precision 'fp8'; say fp32, tf32" in refusal(kind, PLAIN, path, precision="fp8")
    assert "no engine 'theano'" in refusal("theano", PLAIN, path)


def test_an_input_of_a_size_the_weights_cannot_take_is_refused(kind, write_weights):
    with open_engine(kind, PLAIN, write_weights(PLAIN), ["score"], ["conv"]) as engine:
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
        with pytest.raises(InputError, match="'prob' is none of the scores"):
            engine.backward("prob", SEED, ["join"])
        with pytest.raises(InputError, match="'left' is none of the targets"):
            engine.backward("score", SEED, ["left"])


def test_a_layer_that_passes_no_gradient_is_never_taken_for_zeros(kind, write_weights):
    text = AROUND.format('layer { name: "it" type: "Threshold" bottom: "conv" top: "it" }')
    with open_engine(kind, text, write_weights(text), ["score"], ["conv"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
        with pytest.raises(EngineError):
            engine.backward("score", np.ones((1, 3)), ["conv"])


def test_propagate_down_does_not_leave_a_gradient_out(kind, write_weights):
    text = PLAIN.replace('bottom: "it"', 'bottom: "it" propagate_down: false')
    gradients = []
    for one in (PLAIN, text):
        with open_engine(kind, one, write_weights(one), ["score"], ["conv"]) as engine:
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


def test_layers_that_share_weights_by_name_get_the_same(kind, write_weights):
    """The file holds one stream of a siamese net, the definition has two."""
    shared = 'param { name: "w" } param { name: "b" }'
    stream = """
        layer {{ name: "conv{0}" type: "Convolution" bottom: "data{0}" top: "conv{0}" {1}
                convolution_param {{ num_output: 4 kernel_size: 3 }} }}"""
    head = 'input: "data{0}" input_shape {{ dim: 1 dim: 2 dim: 3 dim: 3 }}'
    text = head.format(1) + head.format(2) + stream.format(1, shared) + stream.format(2, shared)
    text += 'layer { name: "score" type: "Eltwise" bottom: "conv1" bottom: "conv2" top: "score" }'
    path = write_weights(head.format(1) + stream.format(1, ""))
    image = random_input((1, 2, 3, 3))
    with open_engine(kind, text, path, ["score"], ["conv1", "conv2"]) as engine:
        values = engine.forward({"data1": image, "data2": image}, ["conv1", "conv2"])
    assert abs(values["conv1"]).max() > 0
    assert np.array_equal(values["conv1"], values["conv2"])


def test_auto_takes_caffe_where_it_is_and_else_torch(monkeypatch):
    from caffe_gradcam.engines import base

    def only(*present):
        monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: name in present or None)

    only()
    with pytest.raises(InputError, match="neither pycaffe nor torch is installed"):
        base.open_engine("auto", "", "", [], [])
    with pytest.raises(InputError, match="pycaffe is not installed"):
        base.open_here("caffe")
    with pytest.raises(InputError, match="^torch is not installed; pip install torch$"):
        base.open_here("torch")
    opened = []
    monkeypatch.setattr(base, "open_here", lambda kind, **rest: opened.append(kind))
    only("torch")
    base.open_engine("auto", "", "", [], [])
    assert opened == ["torch"]


def test_a_trusted_net_is_not_refused_for_its_python_layer(kind, write_weights):
    text = PLAIN.replace('"ReLU"', '"Python" python_param { module: "nowhere" layer: "X" }')
    with pytest.raises(InputError) as caught:
        open_engine(kind, text, write_weights(PLAIN), ["score"], ["conv"], trust=True)
    # It is asked for now: torch has no such layer type, and Caffe looks for the module.
    assert "--trust" not in str(caught.value)
