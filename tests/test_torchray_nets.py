"""scripts/torchray_nets.py: files in the form of TorchRay's become Caffe's, of the same scores."""

import collections

import numpy as np
import opened
import pytest
import torchray_nets

from caffe_gradcam.asking.asker import Asking
from caffe_gradcam.asking.grammar import parse
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.recipe import ModelChoice, Recipe
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring.protocols.protocol import PROTOCOLS, takes_any_size
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.zoo import checks, fetching, locating, registry
from prototxt_tools.errors import InputError

torch = pytest.importorskip("torch", reason="torch is not installed here")
F = torch.nn.functional


def random_tensors(shapes):
    generator = torch.Generator().manual_seed(4)
    return {name: torch.rand(shape, generator=generator) + 0.5 if name.endswith("running_var")
            else torch.randn(shape, generator=generator) / max(1, np.prod(shape[1:])) ** 0.5
            for name, shape in shapes.items()}


def vgg_tensors():
    """VGG-16 of few channels, for images of 64 x 64; its dense layers are windows."""
    shapes, channels = {}, 3
    for block, numbers in enumerate(torchray_nets.VGG):
        for number in numbers:
            shapes[f"features.{number}.weight"] = (3 + block, channels, 3, 3)
            shapes[f"features.{number}.bias"] = (3 + block,)
            channels = 3 + block
    for number, (rows, columns, side) in {0: (9, 7, 2), 2: (8, 9, 1), 4: (20, 8, 1)}.items():
        shapes[f"classifier.{number}.weight"] = (rows, columns, side, side)
        shapes[f"classifier.{number}.bias"] = (rows,)
    return random_tensors(shapes)


def vgg_scores(tensors, blob):
    """What TorchRay makes of the file: torchvision's net with windows that round up."""
    for numbers in torchray_nets.VGG:
        for number in numbers:
            blob = F.relu(F.conv2d(blob, tensors[f"features.{number}.weight"],
                                   tensors[f"features.{number}.bias"], padding=1))
        blob = F.max_pool2d(blob, 2, 2, ceil_mode=True)
    for number in (0, 2, 4):
        blob = F.conv2d(blob, tensors[f"classifier.{number}.weight"],
                        tensors[f"classifier.{number}.bias"])
        blob = F.relu(blob) if number < 4 else blob
    return blob


def resnet_tensors():
    """ResNet-50 of few channels and blocks, its names as in TorchRay's file."""
    shapes = {"conv1.weight": (4, 3, 7, 7), "conv1.bias": (4,)}

    def norm(name, count):
        for part, kind in (("0", "running_mean"), ("0", "running_var"), ("1", "weight"),
                           ("1", "bias")):
            shapes[f"{name}.{part}.{kind}"] = (count,)

    norm("bn1", 4)
    channels = 4
    for stage in range(1, 5):
        for block in range(2 if stage == 1 else 1):
            name, inner, outer = f"layer{stage}.{block}", 2 + stage, 8 + stage
            if block == 0:
                shapes[name + ".downsample.0.weight"] = (outer, channels, 1, 1)
                norm(name + ".downsample.1", outer)
            for index, shape in enumerate(((inner, channels, 1, 1), (inner, inner, 3, 3),
                                           (outer, inner, 1, 1)), 1):
                shapes[f"{name}.conv{index}.weight"] = shape
                norm(f"{name}.bn{index}", shape[0])
            channels = outer
    shapes.update({"fc.weight": (20, channels), "fc.bias": (20,)})
    return random_tensors(shapes)


def resnet_scores(tensors, blob):
    """What TorchRay makes of the file: torchvision's net with Caffe's strides and windows."""
    def norm(blob, name):
        return F.batch_norm(blob, tensors[name + ".0.running_mean"],
                            tensors[name + ".0.running_var"], tensors[name + ".1.weight"],
                            tensors[name + ".1.bias"])

    blob = F.conv2d(blob, tensors["conv1.weight"], tensors["conv1.bias"], 2, 3)
    blob = F.max_pool2d(F.relu(norm(blob, "bn1")), 3, 2, ceil_mode=True)
    names = sorted({".".join(name.split(".")[:2]) for name in tensors if name.startswith("layer")})
    for name in names:
        stride = 2 if name.endswith(".0") and not name.startswith("layer1") else 1
        shortcut, inner = blob, blob
        if name + ".downsample.0.weight" in tensors:
            shortcut = norm(F.conv2d(blob, tensors[name + ".downsample.0.weight"], None, stride),
                            name + ".downsample.1")
        for index, padding in ((1, 0), (2, 1), (3, 0)):
            inner = norm(F.conv2d(inner, tensors[f"{name}.conv{index}.weight"], None,
                                  stride if index == 1 else 1, padding), f"{name}.bn{index}")
            inner = F.relu(inner) if index < 3 else inner
        blob = F.relu(shortcut + inner)
    blob = F.avg_pool2d(blob, 7, 1)
    return F.conv2d(blob, tensors["fc.weight"][:, :, None, None], tensors["fc.bias"])


@pytest.mark.parametrize("tensors, scores, score, layer, size", [
    (vgg_tensors, vgg_scores, "fc8", "conv5_3", (64, 97)),
    (resnet_tensors, resnet_scores, "fc", "layer4_0", (224, 250)),
])
@pytest.mark.parametrize("zipped", [False, True])  # TorchRay's files are of the older form.
def test_the_scores_are_those_of_the_file(tmp_path, tensors, scores, score, layer, size, zipped):
    values = tensors()
    torch.save(values, str(tmp_path / "net.pth.tar"), _use_new_zipfile_serialization=zipped)
    torchray_nets.convert(str(tmp_path / "net.pth.tar"), str(tmp_path / "net"))
    model = LoadedModel.load(str(tmp_path / "net"))
    assert (model.score, model.layers, model.class_count) == (score, (layer,), 20)
    assert model.preprocessing.any_size and takes_any_size(model)
    blob = np.random.RandomState(1).randn(1, 3, *size).astype(np.float32)
    with torch.no_grad():
        expected = scores(values, torch.tensor(blob)).numpy()
    with opened.open_net("torch", model.prototxt, model.weights, [score], [layer]) as engine:
        actual = engine.forward({"data": blob}, [score])[score]
    assert expected.shape[3] > 1
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


class Trap:
    def __reduce__(self):
        return print, ("the file ran code",)


@pytest.mark.parametrize("values, message", [
    ({"features.0.weight": Trap()}, "cannot be read as tensors alone"),
    ({"features.0.weight": 3}, "does not hold tensors by name"),
    ({"conv1.weight": torch.zeros(4, 3, 7, 7)}, "holds no bn1.running_mean"),
    ({}, "holds no conv1.weight, so it is none of TorchRay's four nets"),
])
def test_another_file_is_refused_and_nothing_in_it_runs(tmp_path, capsys, values, message):
    torch.save(values, str(tmp_path / "x.pth.tar"), _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=message):
        torchray_nets.convert(str(tmp_path / "x.pth.tar"), str(tmp_path / "net"))
    assert "ran code" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torchray-vgg16-voc07", "torchray-vgg16-coco14",
                                  "torchray-resnet50-voc07", "torchray-resnet50-coco14"])
def test_the_registry_names_the_file_and_the_converter(name, tmp_path, monkeypatch):
    pytest.importorskip("requests")
    monkeypatch.setenv("CAFFE_GRADCAM_HOME", str(tmp_path))
    entry = registry.find(name)
    assert not entry.is_fetchable and checks.problems(entry) == []
    with pytest.raises(InputError) as caught:
        fetching.fetch(entry)
    assert "https://dl.fbaipublicfiles.com/torchray/" in str(caught.value)
    assert f"run scripts/torchray_nets.py with its path and {tmp_path}/models/{name}" in str(
        caught.value)


def test_a_converted_net_in_the_cache_goes_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("CAFFE_GRADCAM_HOME", str(tmp_path))
    torch.save(vgg_tensors(), str(tmp_path / "vgg16_voc-b050e8c3.pth.tar"))
    folder = tmp_path / "models" / "torchray-vgg16-voc07"
    torchray_nets.convert(str(tmp_path / "vgg16_voc-b050e8c3.pth.tar"), str(folder))
    entry = registry.find("torchray-vgg16-voc07")
    model = LoadedModel.load(locating.locate(entry.id, offline=True))
    counts = collections.Counter(layer.type for layer in model.graph.net.layers)
    assert {kind: counts[kind] for kind in entry.facts["net"]["layers"]} == entry.facts["net"][
        "layers"]
    assert (model.score, model.layers, model.class_count) == ("fc8", ("conv5_3",), 20)
    assert model.preprocessing.any_size


def torchray_map(tensors, image, class_index):
    """Grad-CAM as TorchRay's benchmark makes it: its resize, its gradient, its map."""
    height, width = image.shape[:2]
    pixels = torch.tensor(image.transpose(2, 0, 1)[np.newaxis].astype(np.float32))
    blob = F.interpolate(pixels, (224, int(224 * width / height)), mode="bilinear",
                         align_corners=False)
    blob = blob - torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)
    for numbers in torchray_nets.VGG:
        for number in numbers:
            blob = F.relu(F.conv2d(blob, tensors[f"features.{number}.weight"],
                                   tensors[f"features.{number}.bias"], padding=1))
        if number < 28:
            blob = F.max_pool2d(blob, 2, 2, ceil_mode=True)
    activation = blob.detach().requires_grad_()
    scores = F.max_pool2d(activation, 2, 2, ceil_mode=True)
    for number in (0, 2, 4):
        scores = F.conv2d(scores, tensors[f"classifier.{number}.weight"],
                          tensors[f"classifier.{number}.bias"])
        scores = F.relu(scores) if number < 4 else scores
    gradient = torch.zeros_like(scores)
    gradient[0, class_index] = torch.exp(scores[0, class_index])
    gradient[0, class_index] /= gradient[0, class_index].sum()
    scores.backward(gradient.detach())
    factors = activation.grad.mean((2, 3), keepdim=True)
    heat = (activation * factors).sum(1, keepdim=True).clamp(min=0)
    return F.interpolate(heat, (height, width), mode="bilinear", align_corners=False)[
        0, 0].detach().numpy()


def test_the_maps_of_the_protocol_are_those_of_torchrays_benchmark(tmp_path):
    tensors = vgg_tensors()
    tensors["features.0.weight"] /= 60  # so that the scores differ by a few units, as trained ones
    torch.save(tensors, str(tmp_path / "net.pth.tar"))
    torchray_nets.convert(str(tmp_path / "net.pth.tar"), str(tmp_path / "net"))
    image = np.random.RandomState(0).randint(0, 255, (300, 375, 3)).astype(np.uint8)
    model = LoadedModel.load(str(tmp_path / "net"))
    protocol = PROTOCOLS["torchray-voc07"]
    recipe = Recipe(ModelChoice(str(tmp_path / "net"), overrides=protocol.overrides(model)),
                    Asking(), Explaining(placement="stretch"), Running(engine="torch"))
    compared = 0
    with recipe.open() as explainer:
        for class_index in range(0, 20, 3):
            question = parse(f"{class_index} at its peak", explainer.model.find_class)
            heat = explainer.explain([image], [question])[0].unwrap().explanations[
                0].heatmap
            expected = torchray_map(tensors, image, class_index)
            if expected.max() > 0:
                np.testing.assert_allclose(heat, expected / expected.max(), atol=2e-3)
                assert heat.argmax() == expected.argmax()
                compared += 1
    assert compared > 1
