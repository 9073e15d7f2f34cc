"""What mathematics says that maps of nets must be."""

import numpy as np
import pytest
from definitions import pooled_linear
from explaining import (
    difference,
    explain,
    load,
    photographs,
    pooled_convolution,
    pooled_scores,
    rectified,
    traps,
    unpooled,
)
from opened import open_net

from caffe_gradcam.asking.questions import Sum
from caffe_gradcam.explaining import heads
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import images
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import weights
from prototxt_tools.errors import InputError

POOLED = {"linear": pooled_linear(), "scores": pooled_scores(), "convolution": pooled_convolution(),
          "traps": traps()}
# Where each one's maps are pooled, if the default target is another blob.
TARGETS = {"scores": "conv10", "traps": "join_pool"}


def blobs_of(model, count=2):
    return np.concatenate([prepare(one, model.inputs).blobs[model.input]
                           for one in photographs(count)])


def same_up_to_scale(maps, limit=1e-5):
    first, *others = [one / np.abs(one).max() for one in maps]
    for other in others:
        assert difference(other, first) < limit


@pytest.mark.parametrize("question", [1, Sum(((0, 1.0), (3, -2.0)))], ids=["class", "versus"])
@pytest.mark.parametrize("name", sorted(POOLED))
def test_on_a_pooled_linear_head_cam_is_grad_cam_is_hirescam(kind, tmp_path, name, question):
    fields = {"layers": TARGETS[name]} if name in TARGETS else {}
    if name == "linear":
        text = POOLED[name].replace("dim: 2 ", "dim: 3 ")
    else:
        text = POOLED[name]
    model = load(tmp_path / "net", text, **fields)
    for found in explain(model, kind, photographs(2), ["cam", "grad-cam", "hirescam"], [question]):
        assert len({target for _, _, target in found}) == 1
        same_up_to_scale([one.cam for one in found.values()])


def test_so_it_is_on_the_real_squeezenet(kind, shared):
    model = LoadedModel.load(shared / "models" / "squeezenet_v1.1", layers="conv10")
    picture = images.read(shared / "images" / "cat.jpg")
    found, = explain(model, kind, [picture], ["cam", "grad-cam", "hirescam"], [281])
    same_up_to_scale([one.cam for one in found.values()])


def test_cam_is_refused_where_the_head_is_another(tmp_path):
    model = load(tmp_path / "net", unpooled())
    with pytest.raises(InputError, match="before hidden stands|before score stands"):
        Explainer(model, None, Explaining(("cam",)))


@pytest.mark.parametrize("net", [unpooled, rectified, traps])
def test_integrated_gradients_sum_to_the_score_less_that_of_the_mean_picture(kind, tmp_path, net):
    model = load(tmp_path / "net", net())
    data = blobs_of(model)
    with open_net(kind, model.prototxt, model.weights, [model.score], ["data"]) as engine:
        scores = [engine.forward({"data": one}, [model.score])[model.score][:, 2]
                  for one in (data, 0 * data)]
    missing = []
    for samples in (2, 96):
        found = explain(model, kind, photographs(2), ["integrated-gradients"], [2], samples=samples)
        sums = [next(iter(one.values())).cam.sum(dtype=np.float64) for one in found]
        missing.append(np.abs(sums - (scores[0] - scores[1])).max())
    assert missing[1] < 2e-2 * np.abs(scores[0] - scores[1]).max()
    assert missing[1] < missing[0]


def test_parts_of_input_and_biases_sum_to_the_score(kind, tmp_path):
    """FullGrad before its bringing to [0, 1]; convolution, BatchNorm, Scale, ReLU in one blob."""
    model = load(tmp_path / "net", rectified())
    net = heads.biased_net(model.prototxt, model.score, weights.load(model.weights))
    biases, score = net.biases, net.score
    # conv3 has no bias; of each BatchNorm and each Scale there is one.
    assert len(biases) == 2 + 2 * 2
    data = blobs_of(model)
    with open_net(kind, net.prototxt, model.weights, [score], ["data"] + list(biases)) as engine:
        scores = engine.forward({"data": data}, [score])[score]
        seed = np.tile(np.eye(4)[2], (2, 1))
        gradients = engine.backward(score, seed, ["data"] + list(biases))
    parts = {"data": gradients["data"] * data}
    parts.update((blob, gradients[blob] * bias[:, None, None]) for blob, bias in biases.items())
    sums = {blob: part.sum(axis=(1, 2, 3), dtype=np.float64) for blob, part in parts.items()}
    np.testing.assert_allclose(sum(sums.values()), scores[:, 2], rtol=1e-4)
    assert all(np.abs(one).min() > 1e-5 for one in sums.values())


def test_without_biases_fullgrad_is_the_inputs_part_alone(kind, tmp_path):
    text = unpooled().replace("kernel_size: 3", "kernel_size: 3 bias_term: false")
    model = load(tmp_path / "net", text)
    found, = explain(model, kind, photographs(1), ["fullgrad"], [2])
    data = blobs_of(model, 1)
    with open_net(kind, model.prototxt, model.weights, [model.score], ["data"]) as engine:
        engine.forward({"data": data}, [])
        gradient = engine.backward(model.score, np.eye(4)[2:3], ["data"])["data"]
    part = np.abs(data * gradient)[0]
    expected = ((part - part.min()) / (part.max() - part.min())).sum(axis=0)
    assert difference(next(iter(found.values())).cam, expected) < 1e-5


def test_fullgrad_is_made_of_these_parts(kind, tmp_path):
    from caffe_gradcam.explaining.methods.pixels import full_grad

    model = load(tmp_path / "net", rectified())
    net = heads.biased_net(model.prototxt, model.score, weights.load(model.weights))
    biases, score = net.biases, net.score
    data = blobs_of(model)
    with open_net(kind, net.prototxt, model.weights, [score], ["data"] + list(biases)) as engine:
        engine.forward({"data": data}, [])
        gradients = engine.backward(score, np.tile(np.eye(4)[2], (2, 1)), ["data"] + list(biases))
    parts = [gradients[blob] * bias[:, None, None] for blob, bias in biases.items()]
    expected = full_grad(data, gradients["data"], parts)
    for found, cam in zip(explain(model, kind, photographs(2), ["fullgrad"], [2]), expected):
        assert difference(next(iter(found.values())).cam, cam) < 1e-4


@pytest.mark.parametrize("net, target, maker", [
    (unpooled, "conv2", "conv2"), (traps, "left", "scale_left"), (rectified, "conv2", "conv2")])
def test_ablation_cam_is_what_the_whole_net_loses_without_the_channel(
        kind, tmp_path, net, target, maker):
    """Without weights and bias a channel is 0 behind its ReLU; the net runs again from below."""
    model = load(tmp_path / "net", net(), layers=target)
    data, learned = blobs_of(model), weights.load(model.weights)
    found = explain(model, kind, photographs(2), ["ablation-cam"], [1])
    with open_net(kind, model.prototxt, model.weights, [model.score], [target]) as engine:
        blobs = engine.forward({"data": data}, [model.score, target])
        expected = np.zeros((2,) + blobs[target].shape[2:])
        for channel in range(blobs[target].shape[1]):
            changed = [array.copy() for array in learned[maker]]
            for array in changed:
                array.reshape(len(array), -1)[channel] = 0
            engine.replace_weights({maker: changed})
            left = engine.forward({"data": data}, [model.score])[model.score]
            lost = blobs[model.score][:, 1] - left[:, 1]
            expected += lost[:, None, None] * blobs[target][:, channel]
    for one, cam in zip(found, expected):
        assert difference(next(iter(one.values())).cam, cam) < 1e-4


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("net, rectifiers", [
    (rectified, ["conv1", "conv2", "norm3"]), (traps, ["conv1", "left", "to_right"])])
def test_below_every_relu_guided_gradients_are_not_negative(kind, tmp_path, net, rectifiers, rule):
    """Whatever layers and blobs are called; each ReLU here is the last in-place layer."""
    model = load(tmp_path / "net", net())
    for blob in rectifiers:
        plain, guided = [below(kind, model, blob, one) for one in ("gradient", rule)]
        assert plain.min() < 0 <= guided.min() and guided.max() > 0


def below(kind, model, blob, rule):
    """The gradient that arrives below the in-place layers of a blob, of positive slope here."""
    data = blobs_of(model)
    with open_net(kind, model.prototxt, model.weights, [model.score], [blob],
                     gradient="pre-relu") as engine:
        scores = engine.forward({"data": data}, [model.score])[model.score]
        seed = np.random.RandomState(0).randn(*scores.shape)
        return engine.backward(model.score, seed, [blob], rule=rule)[blob]
