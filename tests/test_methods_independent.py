"""Methods against pytorch-grad-cam and captum, on a torch net of the same weights.

Both run on modules that know nothing of ours, so gradients and guided passes are held to theirs
too. What is known to differ in them is said where it does.
"""

import dataclasses
import importlib
import sys
from unittest import mock

import numpy as np
import pytest
from explaining import explain, load, photographs, unpooled

from caffe_gradcam.explaining.methods import METHODS
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools import weights

pytest.importorskip("torch", reason="torch is not installed here")

CLASS, COUNT = 2, 3
# What pytorch-grad-cam imports at once and these tests have no use for.
SPARE = ("ttach", "torchvision", "torchvision.transforms",
         "torchvision.transforms.functional", "matplotlib", "matplotlib.lines", "PIL", "tqdm")


@pytest.fixture(scope="module")
def library():
    """pytorch_grad_cam, with stand-ins for those of its imports that are absent."""
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        pytest.skip("grad-cam (pytorch-grad-cam) is not installed here")
    stands = {}
    for name in SPARE:
        try:
            importlib.import_module(name)
        except ImportError:
            stands[name] = mock.MagicMock()
    if "tqdm" in stands:
        stands["tqdm"].tqdm = lambda items: items
    # Only the stand-ins go again: without what was imported meanwhile, Matplotlib would be there
    # twice.
    sys.modules.update(stands)
    yield importlib.import_module("pytorch_grad_cam")
    for name in stands:
        del sys.modules[name]


@pytest.fixture(scope="module")
def attr():
    """captum.attr."""
    pytest.importorskip("captum", reason="captum is not installed here")
    return importlib.import_module("captum.attr")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load(tmp_path_factory.mktemp("net") / "unpooled", unpooled(), layers="conv2")


@pytest.fixture(scope="module")
def data(model):
    import torch

    blobs = [prepare(one, model.inputs).blobs["data"] for one in photographs(COUNT)]
    return torch.from_numpy(np.concatenate(blobs))


@pytest.fixture(scope="module")
def ours(model):
    """Method -> N x h x w of all methods but CAM, which has no meaning here."""
    names = [name for name in METHODS if name != "cam"]
    found = explain(model, "torch", photographs(COUNT), names, [CLASS], samples=8,
                    placement="stretch")
    return {name: np.stack([next(one.cam for key, one in each.items() if key[0] == name)
                            for each in found]) for name in names}


@pytest.fixture
def net(model):
    """conv1, ReLU, pool, conv2, ReLU, and two linear layers, of torch's own modules."""
    import torch

    modules = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(6, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(640, 12), torch.nn.ReLU(), torch.nn.Linear(12, 4))
    learned = weights.load(model.weights)
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "hidden"), (8, "score")):
        for to, array in zip((modules[index].weight, modules[index].bias), learned[name]):
            to.data = torch.from_numpy(array.reshape(tuple(to.shape)))
    return modules.eval()


def theirs(library, name, net, data):
    """A method's maps before any ReLU, at the size of conv2; and what it shows in the end."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    kept = []
    kind = getattr(library, name)

    class Kept(kind):
        def get_cam_image(self, *arguments, **options):
            kept.append(super().get_cam_image(*arguments, **options))
            return kept[-1]

    cam = Kept(model=net, target_layers=[net[4]])
    shown = cam(input_tensor=data.clone(), targets=[ClassifierOutputTarget(CLASS)] * len(data))
    return kept[0] if kept else None, shown


def ranks_agree(first, second):
    """Spearman's coefficient of each pair of maps."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed here")
    return min(stats.spearmanr(one.ravel(), other.ravel())[0]
               for one, other in zip(first, second))


def shown_as(cams, size=(16, 20)):
    """Positive parts enlarged, as pytorch-grad-cam does."""
    import cv2

    return [cv2.resize(np.maximum(one, 0), size[::-1]) for one in cams]


def same_up_to_scale(found, expected, limit=1e-4):
    for one, other in zip(found, expected):
        scale = np.abs(other).max() / np.abs(one).max()
        assert np.abs(one * scale - other).max() < limit * np.abs(other).max()


@pytest.mark.parametrize("name, other", [
    ("grad-cam", "GradCAM"), ("hirescam", "HiResCAM"), ("layer-cam", "LayerCAM"),
    ("xgrad-cam", "XGradCAM"), ("element-wise", "GradCAMElementWise")])
def test_maps_are_those_of_pytorch_grad_cam(library, net, data, ours, name, other):
    raw, shown = theirs(library, other, net, data)
    same_up_to_scale(ours[name], raw)
    assert ranks_agree(shown_as(ours[name]), shown) > 0.999


def test_grad_cam_plus_plus_is_theirs_but_for_their_epsilon(library, net, data, ours):
    """They add 1e-6 to 2 g^2 + S g^3, which is of that size where gradients are near 1e-3."""
    import torch

    raw, shown = theirs(library, "GradCAMPlusPlus", net, data)
    assert ranks_agree(shown_as(ours["grad-cam++"]), shown) > 0.99
    with torch.no_grad():
        net[8].weight *= 1e4
    raw, shown = theirs(library, "GradCAMPlusPlus", net, data)
    found = large(net, data)
    same_up_to_scale(found, raw)
    assert ranks_agree(shown_as(found), shown) > 0.999


def large(net, data):
    """Our Grad-CAM++ where the last layer has these weights."""
    import torch

    activations = net[:5](data).detach().requires_grad_()
    gradients, = torch.autograd.grad(net[5:](activations)[:, CLASS].sum(), activations)
    return METHODS["grad-cam++"].function(activations.detach().numpy(), gradients.numpy())


@pytest.mark.parametrize("name, other", [
    ("eigen-cam", "EigenCAM"), ("eigen-grad-cam", "EigenGradCAM")])
def test_components_are_theirs_up_to_the_sign(library, net, data, ours, name, other):
    """They take whatever sign the decomposition gives."""
    raw, _ = theirs(library, other, net, data)
    for found, expected in zip(ours[name], raw):
        sign = np.sign((found * expected).sum())
        np.testing.assert_allclose(found, sign * expected, atol=2e-4 * np.abs(expected).max())


def test_ablation_cam_is_theirs_times_the_score(library, net, data, ours):
    """They divide by the score, which turns the map round where that is negative."""
    raw, _ = theirs(library, "AblationCAM", net, data)
    scores = net(data)[:, CLASS].detach().numpy()
    np.testing.assert_allclose(raw * scores[:, None, None], ours["ablation-cam"],
                               atol=1e-4 * np.abs(ours["ablation-cam"]).max())


def test_score_cam_is_theirs_where_masks_need_no_enlarging(library, model, net, data):
    """They enlarge masks corner on corner, so the target here is as large as the input. Channels
    that are nowhere on get a part in their softmax, and none in ours, but add nothing."""
    found = explain(dataclasses.replace(model, layers=("conv1",)), "torch", photographs(COUNT),
                    ["score-cam"], [CLASS])
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = library.ScoreCAM(model=net, target_layers=[net[1]])
    shown = cam(input_tensor=data.clone(), targets=[ClassifierOutputTarget(CLASS)] * COUNT)
    maps = [next(iter(one.values())).cam for one in found]
    assert ranks_agree(shown_as(maps), shown) > 0.999
    same_up_to_scale([one - one.min() for one in maps], shown)


def test_fullgrad_is_theirs_but_for_the_range_of_the_layers(
        library, net, data, ours, monkeypatch):
    """They bring every channel to [0, 1] by itself, the paper a layer."""
    import cv2

    def by_layer(layers, size):
        lowest = layers.min(axis=(1, 2, 3), keepdims=True)
        unit = (layers - lowest) / (layers.max(axis=(1, 2, 3), keepdims=True) - lowest)
        return np.stack([[cv2.resize(one, size) for one in layer] for layer in unit])

    _, shown = theirs(library, "FullGrad", net, data)
    assert ranks_agree(ours["fullgrad"], shown) > 0.8
    monkeypatch.setattr(importlib.import_module("pytorch_grad_cam.fullgrad_cam"),
                        "scale_accross_batch_and_channels", by_layer)
    _, shown = theirs(library, "FullGrad", net, data)
    assert ranks_agree(ours["fullgrad"], shown) > 0.999


def test_saliency_is_captums(attr, net, data, ours):
    expected = attr.Saliency(net).attribute(data.clone().requires_grad_(), target=CLASS)
    same_up_to_scale(ours["saliency"], expected.numpy().max(axis=1))


def test_integrated_gradients_are_captums(attr, net, data, ours):
    expected = attr.IntegratedGradients(net).attribute(
        data.clone(), target=CLASS, n_steps=8, method="riemann_middle")
    expected = expected.numpy().sum(axis=1)
    np.testing.assert_allclose(ours["integrated-gradients"], expected,
                               atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name, other", [
    ("guided-backprop", "GuidedBackprop"), ("deconvnet", "Deconvolution")])
def test_passes_by_other_rules_are_captums(attr, net, data, ours, name, other):
    with pytest.warns(UserWarning):
        expected = getattr(attr, other)(net).attribute(
            data.clone().requires_grad_(), target=CLASS)
    expected = expected.detach().numpy()
    np.testing.assert_allclose(ours[name], np.abs(expected).max(axis=1),
                               atol=1e-5 * np.abs(expected).max())


def test_guided_grad_cam_is_captums(attr, net, data, ours):
    """Theirs has a map for each colour; ours is the size of the largest."""
    with pytest.warns(UserWarning):
        expected = attr.GuidedGradCam(net, net[4]).attribute(
            data.clone().requires_grad_(), target=CLASS, interpolate_mode="bilinear")
    expected = np.abs(expected.detach().numpy()).max(axis=1)
    np.testing.assert_allclose(ours["guided-grad-cam"], expected, atol=1e-4 * expected.max())


def test_occlusion_is_captums(attr, net, data, ours):
    # An eighth of 16 x 20 pixels is 2 x 3, half of which is 1.
    expected = attr.Occlusion(net).attribute(
        data, sliding_window_shapes=(3, 2, 3), strides=(3, 1, 1), target=CLASS)
    expected = expected.detach().numpy()
    assert np.array_equal(expected[:, 0], expected[:, 1])
    np.testing.assert_allclose(ours["occlusion"], expected[:, 0],
                               atol=1e-4 * np.abs(expected).max())
